// How a matrix product is cut and which way each piece is computed. The rules and their constants
// were measured on a core with AVX-512 and two FMA units, 48 KB of L1 and 2 MB of L2.
#include "backend/cpu/matmul.h"

#include <algorithm>

#include "backend/cpu/onednn.h"

namespace chainrule::cpu {
namespace {

constexpr std::int64_t kVectorColumns = 16;  // the widest vector: narrower c costs as much

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
  const std::int64_t panels = divide_up(shape.n, kPanelColumns);

  // Halve the longer side while the halves are worth a thread's attention: half a million
  // multiplications are 6 µs, handing over a chunk costs 0.2 µs. The k that is added stands for the
  // work that does not depend on k: reading, packing, storing.
  constexpr std::int64_t kSmallestChunk = std::int64_t{1} << 19;
  constexpr std::int64_t kLargestChunk = std::int64_t{1} << 24;
  constexpr std::int64_t kChunksWanted = 16;
  constexpr std::int64_t kSmallestRows = 28;  // two tiles, so that b is read at most half as often
  const std::int64_t columns = divide_up(shape.n, kVectorColumns) * kVectorColumns;
  const std::int64_t work = shape.m * columns * (shape.k + 16);
  const std::int64_t chunk_work = std::clamp(work / kChunksWanted, kSmallestChunk, kLargestChunk);
  while (work / (2 * chunks()) >= chunk_work) {
    const std::int64_t rows = shape.m / row_parts_;
    const std::int64_t columns_each = panels / column_parts_ * kPanelColumns;
    const bool can_cut_rows = rows >= 2 * kSmallestRows;
    const bool can_cut_columns = columns_each >= 2 * kPanelColumns;
    if (can_cut_rows && (rows >= columns_each || !can_cut_columns)) {
      row_parts_ *= 2;
    } else if (can_cut_columns) {
      column_parts_ *= 2;
    } else {
      break;
    }
  }

  constexpr std::int64_t kLongestK = 1024;
  if (shape.k > kLongestK) {
    k_block_ = divide_up(divide_up(shape.k, divide_up(shape.k, kLongestK)), 16) * 16;
  }
}

MatmulPlan::Block MatmulPlan::block(std::int64_t chunk) const {
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
  const std::int64_t floats =
      k_block_ * kPanelColumns + (copy_a_ ? max_block_rows() * copied_a_stride(k_block_) : 0);
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void MatmulPlan::run(std::int64_t chunk, const float* a, const float* b, float* c, std::int64_t ldc,
                     std::byte* scratch) const {
  const Block part = chunks() == 1 ? Block{0, shape_.m, 0, shape_.n} : block(chunk);
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
