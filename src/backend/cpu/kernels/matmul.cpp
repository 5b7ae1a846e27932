// How a matrix product is cut and which way each piece is computed. The rules and their constants
// were measured on a core with AVX-512 and two FMA units, 48 KB of L1 and 2 MB of L2.
#include "backend/cpu/kernels/matmul.h"

#include <algorithm>

#include "backend/cpu/kernels/onednn.h"
#include "backend/cpu/simd/instruction_set.h"

namespace chainrule::cpu {
namespace {

constexpr std::int64_t kVectorColumns = 16;  // the widest vector: narrower c costs as much

// From here on oneDNN computes the chunks. Percent of one core's peak, ours / oneDNN's, both in 16
// or so chunks (4 for the last row), NN, NT, TN in turn:
//   128×512×784  96 / 82 (NN)      512×512×512    92 88 90 / 93 78 88
//   128×512×512  97 87 / 89 61     1024×1024×1024 90 86 80 / 89 85 87
//   784×512×128  95 / 96 (TN)      2048×2048×512  91 85 87 / 89 83 86
//                                  2048×2048×2048 87 90 60 / 90 90 84
// Below, what oneDNN might gain does not pay for loading it (30 ms, 7 MB): cut into as many chunks,
// it loses the 3-5 % by which it leads on a whole matrix.
constexpr std::int64_t kOnednnWork = std::int64_t{1} << 33;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Where part `part` of `count` things cut into `parts` begins; sizes differ by at most one.
std::int64_t part_begin(std::int64_t part, std::int64_t count, std::int64_t parts) {
  return part * count / parts;
}

}  // namespace

MatmulPlan::MatmulPlan(const MatmulShape& shape)
    : shape_(shape), k_block_(shape.k), kernel_(matmul_block_kernel()) {
  if (shape.m == 0 || shape.n == 0) {
    row_parts_ = 0;
    return;
  }
  const std::int64_t columns = divide_up(shape.n, kVectorColumns) * kVectorColumns;
  // The k that is added stands for the work that does not depend on k: reading, packing, storing.
  const std::int64_t work = shape.m * columns * (shape.k + 16);
  onednn_ = work >= kOnednnWork && named_instruction_set().empty() && onednn_available();
  cut(work);
  if (onednn_) return;

  const std::int64_t longest_k = shape.transpose_a ? 512 : 1024;
  if (shape.k > longest_k) {
    k_block_ = divide_up(divide_up(shape.k, divide_up(shape.k, longest_k)), 16) * 16;
  }
  // With fewer row tiles below it, a packed panel is not read often enough: 32×32 of NN 64×128×784
  // falls from 99 to 97 %, but 128×32 of NN 128×512×784 rises from 93 to 96.
  pack_b_ = max_block_rows() >= 48;
  // Rows of a that lie a multiple of 4 KB apart share few sets of the L2 cache: TN 1024×1024×1024
  // rises from 49 to 80-90 % of peak, while TN 1536×384×2048 would fall from 86 to 80.
  copy_a_ = shape.transpose_a && shape.m % 1024 == 0 && shape.k >= 256;
}

// Halves the longer side while the halves are worth a thread's attention: half a million
// multiplications last 6 µs, handing over a chunk 0.1 µs.
void MatmulPlan::cut(std::int64_t work) {
  constexpr std::int64_t kChunksWanted = 16;
  constexpr std::int64_t kSmallestChunk = std::int64_t{1} << 19;
  constexpr std::int64_t kLargestChunk = std::int64_t{1} << 27;
  // oneDNN packs both sides of every chunk anew: 512×512 of 2048×2048×2048 reach 80-89 %, 1024×1024
  // 84-90.
  constexpr std::int64_t kSmallestOnednnChunk = std::int64_t{1} << 31;
  const std::int64_t chunk_work =
      onednn_ ? std::max(work / kChunksWanted, kSmallestOnednnChunk)
              : std::clamp(work / kChunksWanted, kSmallestChunk, kLargestChunk);
  // Two tiles of rows at least; more where every part of the rows transposes b again.
  const std::int64_t smallest_rows = shape_.transpose_b ? 64 : 28;
  const std::int64_t panels = divide_up(shape_.n, kPanelColumns);
  while (work / (2 * chunks()) >= chunk_work) {
    const std::int64_t rows = shape_.m / row_parts_;
    const std::int64_t columns = panels / column_parts_ * kPanelColumns;
    const bool can_cut_rows = rows >= 2 * smallest_rows;
    const bool can_cut_columns = columns >= 2 * kPanelColumns;
    // Few rows are better left together, as one packed panel of b then serves them all:
    // 128×512×784 reaches 96 % in pieces of 128×32, 93 in pieces of 64×64. Of many, a piece takes
    // whole rows: 768×128×128 itself falls from 94 to 89 %, but results that go to memory in pieces
    // of 128 bytes cost it another 30.
    const bool whole_rows = can_take_whole_rows() && rows >= 96;
    const bool rows_first = whole_rows || rows >= (rows > 256 ? columns : 4 * columns);
    if (can_cut_rows && (rows_first || !can_cut_columns)) {
      row_parts_ *= 2;
    } else if (can_cut_columns) {
      column_parts_ *= 2;
    } else {
      return;
    }
  }
}

bool MatmulPlan::can_take_whole_rows() const {
  return shape_.m >= 512 && shape_.n <= 512 && !shape_.transpose_a && !shape_.transpose_b;
}

Rectangle MatmulPlan::block(std::int64_t chunk) const {
  const std::int64_t row_part = chunk % row_parts_;
  const std::int64_t column_part = chunk / row_parts_;
  const std::int64_t panels = divide_up(shape_.n, kPanelColumns);
  const std::int64_t row = part_begin(row_part, shape_.m, row_parts_);
  const std::int64_t column = part_begin(column_part, panels, column_parts_) * kPanelColumns;
  const std::int64_t end = part_begin(column_part + 1, panels, column_parts_) * kPanelColumns;
  return {row, part_begin(row_part + 1, shape_.m, row_parts_) - row, column,
          std::min(end, shape_.n) - column};
}

std::int64_t MatmulPlan::max_block_rows() const {
  return row_parts_ == 0 ? 0 : divide_up(shape_.m, row_parts_);
}

std::int64_t MatmulPlan::max_block_columns() const {
  const std::int64_t panels = divide_up(shape_.n, kPanelColumns);
  return std::min(divide_up(panels, column_parts_) * kPanelColumns, shape_.n);
}

std::size_t MatmulPlan::scratch_bytes() const {
  std::int64_t floats = k_block_ * kPanelColumns;
  if (copy_a_) {
    floats += shape_.transpose_a ? k_block_ * copied_a_stride(max_block_rows())
                                 : max_block_rows() * copied_a_stride(k_block_);
  }
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void MatmulPlan::run(std::int64_t chunk, const float* a, const float* b, float* c, std::int64_t ldc,
                     std::byte* scratch) const {
  const Rectangle part = chunks() == 1 ? Rectangle{0, shape_.m, 0, shape_.n} : block(chunk);
  const std::int64_t lda = shape_.transpose_a ? shape_.m : shape_.k;
  const std::int64_t ldb = shape_.transpose_b ? shape_.k : shape_.n;
  a += shape_.transpose_a ? part.row : part.row * lda;
  b += shape_.transpose_b ? part.column * ldb : part.column;
  if (onednn_) {
    onednn_sgemm(shape_.transpose_a, shape_.transpose_b, part.rows, part.columns, shape_.k, a, lda,
                 b, ldb, c, ldc);
    return;
  }
  kernel_({a, b, c, lda, ldb, ldc, part.rows, part.columns, shape_.k, k_block_, shape_.transpose_a,
           shape_.transpose_b, copy_a_, pack_b_},
          reinterpret_cast<float*>(scratch));
}

}  // namespace chainrule::cpu
