// The SIMD side of the matrix product, compiled once for every instruction set.
//
// A tile of c, some rows by one or two vectors, stays in registers while the loop over k
// broadcasts elements of a and loads rows of b: up to 14×2 vectors, 28 of AVX-512's 32 registers.
// Any tile of 8 rows or more is bound by the multipliers and not by the loads, so tails cost
// little. a is read where it lies; b too, unless it is transposed or its rows are far apart (see
// matmul.cpp).
#include "backend/cpu/kernels/matmul_kernels.h"

#include <algorithm>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/matmul_kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, as Highway asks.
#include <hwy/cache_control.h>
#include <hwy/highway.h>
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/instruction_set.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr std::int64_t kLanes = hn::MaxLanes(D());

constexpr int kMaxVectors = 2;
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kMaxRows = 14;
#else
constexpr int kMaxRows = 6;  // 16 registers
#endif

// The most rows of a tile: a in rows and two vectors of b need a pointer for every three rows, and
// with a fifth one the loop spills: NN 128×512×512 falls from 98 to 94 % of peak.
constexpr std::int64_t most_rows(bool transpose_a, std::int64_t vectors) {
  return transpose_a || vectors == 1 ? kMaxRows : std::min(kMaxRows, 12);
}

// Where a part of a row can be loaded without touching what lies behind it, a narrow panel of b is
// read in place. Elsewhere it is packed and padded with zeros.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
constexpr bool kMasks = true;
#else
constexpr bool kMasks = false;
#endif

// How a tile reads b. A masked load costs a slot on a multiplier's port (14×2 falls from 96 to 93 %
// of peak), so only the last, narrow panel uses it. The copying tile packs the panel for the tiles
// below it: its stores hide behind the multiplications, where a loop of its own took 15 %.
enum class Read { kPlain, kMasked, kCopying };

// Rows ahead that b is prefetched, as the rows of an unpacked b are too far apart for the hardware:
// NN 128×512×784 in one piece rises from 60-75 to 88 % of peak, with 4 rows ahead to 80.
constexpr std::int64_t kPrefetchRows = 8;

struct Tile {
  const float* a;
  const float* b;
  float* c;
  float* packed;  // where kCopying writes the panel
  std::int64_t lda, ldb, ldc, columns, k;
  bool accumulate;
  // The sum runs over `segments` stretches of k rows; a's begin a_segment apart, b's follow each
  // other.
  std::int64_t segments = 1, a_segment = 0;
};

V load_first(D d, const float* from, std::int64_t n) {
  if constexpr (kMasks) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(n)), d, from);
  } else {
    alignas(64) float lanes[kLanes] = {};
    std::copy_n(from, n, lanes);
    return hn::Load(d, lanes);
  }
}

void store_first(V v, D d, float* to, std::int64_t n) {
  if constexpr (kMasks) {
    hn::BlendedStore(v, hn::FirstN(d, static_cast<std::size_t>(n)), d, to);
  } else {
    alignas(64) float lanes[kLanes];
    hn::Store(v, d, lanes);
    std::copy_n(lanes, n, to);
  }
}

template <bool kTransposeA, Read kRead, int kRows, int kVectors>
void multiply_tile(const Tile& t) {
  const D d;
  constexpr int kLast = kVectors - 1;
  const std::int64_t columns_in_last = t.columns - kLast * kLanes;
  [[maybe_unused]] const auto mask = hn::FirstN(d, static_cast<std::size_t>(columns_in_last));

  V sum[kRows][kVectors];
  HWY_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(d);
  }

  // One pointer for every three rows: their addresses then fit into the general registers.
  constexpr int kGroups = (kRows + 2) / 3;
  const float* a[kGroups];
  HWY_UNROLL(16)
  for (int g = 0; g < kGroups; ++g) a[g] = kTransposeA ? t.a : t.a + 3 * g * t.lda;
  const std::int64_t lda = t.lda;
  const std::int64_t ldb = t.ldb;
  const float* b = t.b;
  [[maybe_unused]] float* packed = t.packed;

  for (std::int64_t segment = 0; segment < t.segments; ++segment) {
    HWY_UNROLL(4)
    for (std::int64_t k = 0; k < t.k; ++k) {
      V row[kVectors];
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) {
        if (kRead == Read::kMasked && v == kLast) {
          row[v] = hn::MaskedLoad(mask, d, b + v * kLanes);
        } else {
          row[v] = hn::LoadU(d, b + v * kLanes);
        }
        hwy::Prefetch(b + kPrefetchRows * ldb + v * kLanes);
        if constexpr (kRead == Read::kCopying) hn::Store(row[v], d, packed + v * kLanes);
      }
      if constexpr (kRead == Read::kCopying) packed += kVectors * kLanes;
      b += ldb;
      HWY_UNROLL(16)
      for (int i = 0; i < kRows; ++i) {
        const V x = hn::Set(d, kTransposeA ? a[0][k * lda + i] : a[i / 3][k + i % 3 * lda]);
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::MulAdd(x, row[v], sum[i][v]);
      }
    }
    HWY_UNROLL(16)
    for (int g = 0; g < kGroups; ++g) a[g] += t.a_segment;
  }

  const bool partial = columns_in_last < kLanes;
  float* c = t.c;
  HWY_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      float* to = c + v * kLanes;
      if (partial && v == kLast) {
        if (t.accumulate) sum[i][v] = hn::Add(load_first(d, to, columns_in_last), sum[i][v]);
        store_first(sum[i][v], d, to, columns_in_last);
      } else {
        if (t.accumulate) sum[i][v] = hn::Add(hn::LoadU(d, to), sum[i][v]);
        hn::StoreU(sum[i][v], d, to);
      }
    }
    c += t.ldc;
  }
}

using TileFunction = void (*)(const Tile&);

struct TileTable {
  TileFunction by_rows[kMaxRows];
};

template <bool kTransposeA, Read kRead, int kVectors, int... kRow>
constexpr TileTable tile_table(std::integer_sequence<int, kRow...>) {
  return {{&multiply_tile<kTransposeA, kRead, kRow + 1, kVectors>...}};
}

// The tiles for one reading of a: whole[vectors - 1], masked[vectors - 1], and copying for 2
// vectors.
struct Tiles {
  TileTable whole[kMaxVectors];
  TileTable masked[kMaxVectors];
  TileTable copying;
};

template <bool kTransposeA>
constexpr Tiles all_tiles() {
  constexpr std::make_integer_sequence<int, kMaxRows> kRows;
  constexpr Read kNarrow = kMasks ? Read::kMasked : Read::kPlain;
  return {{tile_table<kTransposeA, Read::kPlain, 1>(kRows),
           tile_table<kTransposeA, Read::kPlain, 2>(kRows)},
          {tile_table<kTransposeA, kNarrow, 1>(kRows), tile_table<kTransposeA, kNarrow, 2>(kRows)},
          tile_table<kTransposeA, Read::kCopying, 2>(kRows)};
}

constexpr Tiles kTiles[2] = {all_tiles<false>(), all_tiles<true>()};

// panel[k·width + n] = b[k·ldb + n] for n < columns, 0 up to width.
void pack(const float* b, std::int64_t ldb, std::int64_t k_count, std::int64_t columns,
          std::int64_t width, float* panel) {
  for (std::int64_t k = 0; k < k_count; ++k) {
    float* end = std::copy_n(b + k * ldb, columns, panel + k * width);
    std::fill(end, panel + (k + 1) * width, 0.0F);
  }
}

#if HWY_TARGET == HWY_SCALAR
constexpr std::int64_t kSquare = 1;
void transpose_square(const float* from, std::int64_t, float* to, std::int64_t) { *to = *from; }
#else
// Squares of 8×8 and not 16×16 with AVX-512, whose shuffles run on one port instead of two.
using S = hn::CappedTag<float, 8>;
constexpr std::int64_t kSquare = hn::MaxLanes(S());

// Transposes four rows in every 128-bit block and stores them ldto apart.
HWY_INLINE void transpose_blocks(hn::Vec<S> r0, hn::Vec<S> r1, hn::Vec<S> r2, hn::Vec<S> r3,
                                 float* to, std::int64_t ldto) {
  const S s;
  const hn::RepartitionToWide<hn::RebindToUnsigned<S> > pairs;
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(s, r0, r1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(s, r2, r3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(s, r0, r1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(s, r2, r3));
  hn::StoreU(hn::BitCast(s, hn::InterleaveLower(pairs, low01, low23)), s, to);
  hn::StoreU(hn::BitCast(s, hn::InterleaveUpper(pairs, low01, low23)), s, to + ldto);
  hn::StoreU(hn::BitCast(s, hn::InterleaveLower(pairs, high01, high23)), s, to + 2 * ldto);
  hn::StoreU(hn::BitCast(s, hn::InterleaveUpper(pairs, high01, high23)), s, to + 3 * ldto);
}

// Rows `at` floats into a square's four; with eight lanes each holds rows i and i + 4.
HWY_INLINE hn::Vec<S> load_rows(const float* from, [[maybe_unused]] std::int64_t ldfrom) {
  const S s;
  if constexpr (kSquare == 8) {
    const hn::Half<S> half;
    return hn::Combine(s, hn::LoadU(half, from + 4 * ldfrom), hn::LoadU(half, from));
  } else {
    return hn::LoadU(s, from);
  }
}

// to[j·ldto + i] = from[i·ldfrom + j] for i, j < kSquare.
HWY_INLINE void transpose_square(const float* from, std::int64_t ldfrom, float* to,
                                 std::int64_t ldto) {
  HWY_UNROLL(2)
  for (int j = 0; j < kSquare; j += 4) {
    transpose_blocks(load_rows(from + j, ldfrom), load_rows(from + ldfrom + j, ldfrom),
                     load_rows(from + 2 * ldfrom + j, ldfrom),
                     load_rows(from + 3 * ldfrom + j, ldfrom), to + j * ldto, ldto);
  }
}
#endif

// panel[k·width + n] = b[n·ldb + k] for n < columns, 0 up to width.
void pack_transposed(const float* b, std::int64_t ldb, std::int64_t k_count, std::int64_t columns,
                     std::int64_t width, float* panel) {
  // A cache line of every row at a time: with rows a multiple of 2 KB apart more than 12 lines
  // would push each other out of L1 before their second half is read.
  constexpr std::int64_t kLine = 16;
  const std::int64_t whole = columns / kSquare * kSquare;
  if (columns < width) {
    for (std::int64_t i = 0; i < k_count * width; i += kLanes)
      hn::Store(hn::Zero(D()), D(), panel + i);
  }
  for (std::int64_t k0 = 0; k0 < k_count; k0 += kLine) {
    const std::int64_t k1 = std::min(k0 + kLine, k_count);
    for (std::int64_t n = 0; n < whole; n += kSquare) {
      const float* rows = b + n * ldb;
      std::int64_t k = k0;
      for (; k + kSquare <= k1; k += kSquare) {
        transpose_square(rows + k, ldb, panel + k * width + n, width);
      }
      if (k < k1 && k_count >= kSquare) {  // the last square overlaps the one before it
        k = k_count - kSquare;
        transpose_square(rows + k, ldb, panel + k * width + n, width);
        k = k1;
      }
      for (; k < k1; ++k) {
        for (std::int64_t i = 0; i < kSquare; ++i) panel[k * width + n + i] = rows[i * ldb + k];
      }
    }
    for (std::int64_t k = k0; k < k1; ++k) {
      for (std::int64_t n = whole; n < columns; ++n) panel[k * width + n] = b[n * ldb + k];
    }
  }
}

void copy_rows(const float* from, std::int64_t ld, std::int64_t rows, std::int64_t columns,
               float* copy) {
  const std::int64_t stride = copied_a_stride(columns);
  for (std::int64_t i = 0; i < rows; ++i) std::copy_n(from + i * ld, columns, copy + i * stride);
}

// One piece of k: c (+)= op(a)[:, k] · op(b)[k, :], panel of columns by panel.
void multiply_piece(const MatmulBlock& block, const float* a, std::int64_t lda, const float* b,
                    std::int64_t k_count, bool accumulate, float* scratch) {
  const Tiles& tiles = kTiles[block.transpose_a ? 1 : 0];
  constexpr std::int64_t kWidth = kMaxVectors * kLanes;
  Tile tile{};
  tile.accumulate = accumulate;
  tile.k = k_count;
  tile.lda = lda;
  tile.ldc = block.ldc;
  for (std::int64_t column = 0; column < block.columns; column += kWidth) {
    tile.columns = std::min(kWidth, block.columns - column);
    const std::int64_t vectors = (tile.columns + kLanes - 1) / kLanes;
    const std::int64_t width = vectors * kLanes;
    const std::int64_t most = most_rows(block.transpose_a, vectors);
    const std::int64_t row_tiles = (block.rows + most - 1) / most;
    const std::int64_t rows_each = block.rows / row_tiles;
    const std::int64_t taller = block.rows % row_tiles;
    const TileTable* first = &tiles.whole[vectors - 1];
    const TileTable* others = first;
    const float* panel = block.transpose_b ? b + column * block.ldb : b + column;
    tile.b = panel;
    tile.ldb = block.ldb;
    if (block.transpose_b) {
      pack_transposed(panel, block.ldb, k_count, tile.columns, width, scratch);
      tile.b = scratch;
      tile.ldb = width;
    } else if (tile.columns < width) {
      if constexpr (kMasks) {
        first = others = &tiles.masked[vectors - 1];
      } else {
        pack(panel, block.ldb, k_count, tile.columns, width, scratch);
        tile.b = scratch;
        tile.ldb = width;
      }
    } else if (block.pack_b && vectors == kMaxVectors && row_tiles > 1) {
      first = &tiles.copying;
      tile.packed = scratch;
    }
    const float* a_rows = a;
    tile.c = block.c + column;
    for (std::int64_t i = 0; i < row_tiles; ++i) {
      const std::int64_t rows = rows_each + (i < taller ? 1 : 0);
      tile.a = a_rows;
      (i == 0 ? first : others)->by_rows[rows - 1](tile);
      a_rows += block.transpose_a ? rows : rows * lda;
      tile.c += rows * block.ldc;
      if (first == &tiles.copying) {
        tile.b = scratch;
        tile.ldb = width;
      }
    }
  }
}

}  // namespace

void multiply_block(const MatmulBlock& block, float* scratch) {
  if (block.rows == 0 || block.columns == 0) return;
  std::int64_t k = 0;
  do {  // once even if there is nothing to add up: c is then zero
    const std::int64_t k_count = std::min(block.k_block, block.k - k);
    const float* a = block.transpose_a ? block.a + k * block.lda : block.a + k;
    const float* b = block.transpose_b ? block.b + k : block.b + k * block.ldb;
    std::int64_t lda = block.lda;
    if (block.copy_a) {
      float* copy = scratch + block.k_block * kPanelColumns;
      const std::int64_t stored_rows = block.transpose_a ? k_count : block.rows;
      const std::int64_t stored_columns = block.transpose_a ? block.rows : k_count;
      copy_rows(a, block.lda, stored_rows, stored_columns, copy);
      lda = copied_a_stride(stored_columns);
      a = copy;
    }
    multiply_piece(block, a, lda, b, k_count, k > 0 || block.accumulate, scratch);
    k += k_count;
  } while (k < block.k);
}

void multiply_windows(const WindowBlock& block) {
  constexpr std::int64_t kWidth = kMaxVectors * kLanes;
  const std::int64_t height = block.segments * block.k;
  Tile tile{};
  tile.accumulate = false;
  tile.k = block.k;
  tile.lda = block.lda;
  tile.ldb = kPanelColumns;
  tile.ldc = block.ldc;
  tile.segments = block.segments;
  tile.a_segment = block.a_segment;
  for (std::int64_t column = 0; column < block.columns; column += kWidth) {
    tile.columns = std::min(kWidth, block.columns - column);
    const std::int64_t vectors = (tile.columns + kLanes - 1) / kLanes;
    const TileTable& tiles = kTiles[0].whole[vectors - 1];
    const std::int64_t most = most_rows(false, vectors);
    const std::int64_t row_tiles = (block.pixels + most - 1) / most;
    const std::int64_t in_panel = column % kPanelColumns;
    tile.b = block.panels + (column - in_panel) * height + in_panel;
    for (std::int64_t row = 0; row < block.rows; ++row) {
      tile.a = block.a + row * block.a_row;
      tile.c = block.c + row * block.pixels * block.ldc + column;
      for (std::int64_t i = 0; i < row_tiles; ++i) {
        const std::int64_t pixels =
            block.pixels / row_tiles + (i < block.pixels % row_tiles ? 1 : 0);
        tiles.by_rows[pixels - 1](tile);
        tile.a += pixels * block.lda;
        tile.c += pixels * block.ldc;
      }
    }
  }
}

void multiply_transposed_windows(const TransposedWindowBlock& block, float* scratch) {
  constexpr std::int64_t kWidth = kMaxVectors * kLanes;
  Tile tile{};
  tile.accumulate = block.accumulate;
  tile.k = block.pixels;
  tile.lda = block.lda;
  tile.ldc = block.columns;
  tile.segments = block.rows;
  tile.a_segment = block.a_row;
  for (std::int64_t column = 0; column < block.columns; column += kWidth) {
    tile.columns = std::min(kWidth, block.columns - column);
    const std::int64_t vectors = (tile.columns + kLanes - 1) / kLanes;
    const std::int64_t width = vectors * kLanes;
    tile.b = block.b + column;
    tile.ldb = block.columns;
    if (tile.columns < width) {
      pack(tile.b, tile.ldb, block.rows * block.pixels, tile.columns, width, scratch);
      tile.b = scratch;
      tile.ldb = width;
    }
    const TileTable& tiles = kTiles[1].whole[vectors - 1];
    const std::int64_t row_tiles = (block.k + kMaxRows - 1) / kMaxRows;
    for (std::int64_t segment = 0; segment < block.segments; ++segment) {
      tile.a = block.a + segment * block.a_segment;
      tile.c = block.c + segment * block.k * block.columns + column;
      for (std::int64_t i = 0; i < row_tiles; ++i) {
        const std::int64_t rows = block.k / row_tiles + (i < block.k % row_tiles ? 1 : 0);
        tiles.by_rows[rows - 1](tile);
        tile.a += rows;
        tile.c += rows * block.columns;
      }
    }
  }
}

}  // namespace chainrule::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(multiply_block);

HWY_EXPORT(multiply_windows);
HWY_EXPORT(multiply_transposed_windows);

void multiply_windows(const WindowBlock& block) {
  chosen(HWY_DISPATCH_TABLE(multiply_windows))(block);
}

void multiply_transposed_windows(const TransposedWindowBlock& block, float* scratch) {
  chosen(HWY_DISPATCH_TABLE(multiply_transposed_windows))(block, scratch);
}

MatmulBlockKernel matmul_block_kernel() {
  choose_instruction_set();
  return chosen(HWY_DISPATCH_TABLE(multiply_block));
}

}  // namespace chainrule::cpu
#endif
