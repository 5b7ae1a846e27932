// Reductions. Along the last axis four vectors of partial results hide the latency of addition;
// over an earlier axis eight rows are joined by a small tree and added to the row of results, which
// stays in cache while the rows stream by. Neither adds up many terms plainly: stretches of them
// are joined by sums that keep what they round off.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/reduce.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "backend/cpu/kernels/reduce.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// out[j] = the rows joined, for so many columns of rows that begin `stride` apart.
template <class Join>
HWY_INLINE void reduce_rows(const float* x, float* out, std::int64_t rows, std::size_t stride,
                            std::size_t columns, const Join& join) {
  std::int64_t r = 0;
  if (rows >= 8) {
    sweep(columns,
          [&](std::size_t j, auto access) HWY_ATTR { access.store(Join::neutral(), out + j); });
  }
  for (; r + 8 <= rows; r += 8, x += 8 * stride) {
    sweep(columns, [&](std::size_t j, auto access) HWY_ATTR {
      const float* p = x + j;
      const V ab = join(access.load(p), access.load(p + stride));
      const V cd = join(access.load(p + 2 * stride), access.load(p + 3 * stride));
      p += 4 * stride;
      const V ef = join(access.load(p), access.load(p + stride));
      const V gh = join(access.load(p + 2 * stride), access.load(p + 3 * stride));
      const V all = join(join(ab, cd), join(ef, gh));
      access.store(join(access.load(out + j), all), out + j);
    });
  }
  if (r == rows && r > 0) return;
  // The last rows, or the only ones, meet in a register: a masked load waits long for a masked
  // store.
  sweep(columns, [&](std::size_t j, auto access) HWY_ATTR {
    V total = r == 0 ? Join::neutral() : access.load(out + j);
    for (std::int64_t last = r; last < rows; ++last) {
      total = join(total, access.load(x + static_cast<std::size_t>(last - r) * stride + j));
    }
    access.store(total, out + j);
  });
}

/// Total::add for each of n sums.
HWY_INLINE void add_row(const float* x, float* sum, float* lost, std::size_t n) {
  sweep(n, [&](std::size_t j, auto access) HWY_ATTR {
    Total total(access.load(sum + j));
    total.lost = access.load(lost + j);
    total.add(access.load(x + j));
    access.store(total.sum, sum + j);
    access.store(total.lost, lost + j);
  });
}

/// The sum of many rows, so many at a time and a stretch of columns at a time.
void sum_rows(const float* x, float* out, std::int64_t rows, std::size_t stride,
              std::size_t columns) {
  constexpr std::int64_t kRows = 128;
  constexpr std::size_t kColumns = 512;
  if (rows <= kRows) return reduce_rows(x, out, rows, stride, columns, AddJoin{});
  alignas(64) float part[kColumns];
  alignas(64) float lost[kColumns];
  for (std::size_t column = 0; column < columns; column += kColumns) {
    const std::size_t n = std::min(kColumns, columns - column);
    const float* from = x + column;
    float* const to = out + column;
    reduce_rows(from, to, kRows, stride, n, AddJoin{});
    std::fill_n(lost, n, 0.0F);
    for (std::int64_t row = kRows; row < rows; row += kRows) {
      from += static_cast<std::size_t>(kRows) * stride;
      reduce_rows(from, part, std::min(kRows, rows - row), stride, n, AddJoin{});
      add_row(part, to, lost, n);
    }
  }
}

void array_added(const float* x, float* sum, float* lost, std::size_t n) {
  add_row(x, sum, lost, n);
}

void sum_range(const float* x, float* out, const ReduceRange& range, float scale) {
  const auto columns = static_cast<std::size_t>(range.inner_end - range.inner_begin);
  for (std::int64_t o = range.outer_begin; o < range.outer_end; ++o) {
    const float* const from = x + o * range.reduced * range.inner;
    if (range.inner == 1) {
      if (range.inner_begin < range.inner_end) {
        out[o] = scale *
                 reduce_row(from, static_cast<std::size_t>(range.reduced), AddJoin{}, Identity{});
      }
      continue;
    }
    float* const to = out + o * range.inner;
    sum_rows(from + range.inner_begin, to + range.inner_begin, range.reduced,
             static_cast<std::size_t>(range.inner), columns);
    if (scale != 1.0F) {
      for (std::int64_t i = range.inner_begin; i < range.inner_end; ++i) to[i] *= scale;
    }
  }
}

void max_range(const float* x, float* out, const ReduceRange& range) {
  const auto columns = static_cast<std::size_t>(range.inner_end - range.inner_begin);
  for (std::int64_t o = range.outer_begin; o < range.outer_end; ++o) {
    const float* const from = x + o * range.reduced * range.inner;
    if (range.inner == 1) {
      if (range.inner_begin < range.inner_end) {
        out[o] = reduce_row(from, static_cast<std::size_t>(range.reduced), MaxJoin{}, Identity{});
      }
      continue;
    }
    reduce_rows(from + range.inner_begin, out + o * range.inner + range.inner_begin, range.reduced,
                static_cast<std::size_t>(range.inner), columns, MaxJoin{});
  }
}

void argmax_range(const float* x, std::int32_t* out, std::int64_t reduced, std::int64_t outer_begin,
                  std::int64_t outer_end) {
  for (std::int64_t o = outer_begin; o < outer_end; ++o) {
    const float* const row = x + o * reduced;
    const float largest = reduce_row(row, static_cast<std::size_t>(reduced), MaxJoin{}, Identity{});
    std::int64_t at = 0;
    if (largest != largest) {
      while (row[at] == row[at]) ++at;
    } else {
      while (row[at] != largest) ++at;
    }
    out[o] = static_cast<std::int32_t>(at);
  }
}

template <class Map>
HWY_INLINE void chunks(const float* x, std::int64_t n, std::int64_t begin, std::int64_t end,
                       float* partials, Map map) {
  for (std::int64_t c = begin; c < end; ++c) {
    const std::int64_t at = c * kSumChunk;
    partials[c] =
        reduce_row(x + at, static_cast<std::size_t>(std::min(kSumChunk, n - at)), AddJoin{}, map);
  }
}

void sum_of_chunks(const float* x, std::int64_t n, std::int64_t begin, std::int64_t end,
                   float* partials) {
  chunks(x, n, begin, end, partials, Identity{});
}

void sum_of_square_chunks(const float* x, std::int64_t n, std::int64_t begin, std::int64_t end,
                          float* partials) {
  chunks(x, n, begin, end, partials, Square{});
}

bool finite_everywhere(const float* x, std::int64_t n) {
  // 0·x is 0 for a finite x and NaN otherwise, and a sum keeps a NaN: two operations a vector.
  constexpr std::int64_t kBatch = 4096;
  for (std::int64_t at = 0; at < n; at += kBatch) {
    const auto count = static_cast<std::size_t>(std::min(kBatch, n - at));
    if (reduce_row(x + at, count, AddJoin{}, Vanish{}) != 0.0F) return false;
  }
  return true;
}

NonFinite non_finite_count(const float* x, std::int64_t n) {
  NonFinite found;
  sweep(static_cast<std::size_t>(n), [&](std::size_t i, auto access) HWY_ATTR {
    const V v = access.load(x + i);
    if (hn::AllTrue(kFloats, hn::IsFinite(v))) return;
    const std::size_t nan = hn::CountTrue(kFloats, hn::IsNaN(v));
    const std::size_t finite = hn::CountTrue(kFloats, hn::IsFinite(v));
    found.nan += static_cast<std::int64_t>(nan);
    found.inf += static_cast<std::int64_t>(lanes() - nan - finite);
  });
  return found;
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(sum_range);
HWY_EXPORT(max_range);
HWY_EXPORT(argmax_range);
HWY_EXPORT(sum_of_chunks);
HWY_EXPORT(sum_of_square_chunks);
HWY_EXPORT(array_added);
HWY_EXPORT(finite_everywhere);
HWY_EXPORT(non_finite_count);

void sum(const float* x, float* out, const ReduceRange& range, float scale) {
  chosen(HWY_DISPATCH_TABLE(sum_range))(x, out, range, scale);
}

void max(const float* x, float* out, const ReduceRange& range) {
  chosen(HWY_DISPATCH_TABLE(max_range))(x, out, range);
}

void argmax(const float* x, std::int32_t* out, std::int64_t reduced, std::int64_t outer_begin,
            std::int64_t outer_end) {
  chosen(HWY_DISPATCH_TABLE(argmax_range))(x, out, reduced, outer_begin, outer_end);
}

void sum_chunks(const float* x, std::int64_t n, std::int64_t begin, std::int64_t end,
                float* partials) {
  chosen(HWY_DISPATCH_TABLE(sum_of_chunks))(x, n, begin, end, partials);
}

void sum_squares_chunks(const float* x, std::int64_t n, std::int64_t begin, std::int64_t end,
                        float* partials) {
  chosen(HWY_DISPATCH_TABLE(sum_of_square_chunks))(x, n, begin, end, partials);
}

void add_to_sum(const float* x, float* sum, float* lost, std::int64_t n) {
  chosen(HWY_DISPATCH_TABLE(array_added))(x, sum, lost, static_cast<std::size_t>(n));
}

float sum_partials(const float* partials, std::int64_t count) {
  if (count <= 0) return 0.0F;
  if (count == 1) return partials[0];
  // The left half is the largest power of two below count, so that the tree depends on count only.
  std::int64_t left = 1;
  while (left * 2 < count) left *= 2;
  return sum_partials(partials, left) + sum_partials(partials + left, count - left);
}

NonFinite count_non_finite(const float* x, std::int64_t n) {
  return chosen(HWY_DISPATCH_TABLE(non_finite_count))(x, n);
}

bool all_finite(const float* x, std::int64_t n) {
  return chosen(HWY_DISPATCH_TABLE(finite_everywhere))(x, n);
}

}  // namespace chainrule::cpu
#endif
