// The CPU's matrix product, cut into rectangles of the result that threads compute independently.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/kernels/matmul_kernels.h"
#include "backend/cpu/kernels/product.h"

namespace chainrule::cpu {

/// The shape of c = op(a)·op(b), row-major: op(a) [m, k], op(b) [k, n], c [m, n]. With transpose_a,
/// a is stored as [k, m]; with transpose_b, b as [n, k].
struct MatmulShape {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
};

/// A matrix product in float32 with everything decided beforehand: immutable, shared by all
/// threads.
///
///     c[m, n] = Σ_k op(a)[m, k] · op(b)[k, n]
///
/// The result is cut into chunks() disjoint rectangles that depend on the shape only; the sum over
/// k is never split between threads, so the bits of c do not depend on which thread runs what.
///
/// Example:  MatmulPlan plan({.m = 64, .n = 128, .k = 784});
///           pool.run(plan.chunks(), [&](std::int64_t chunk, int worker) {
///             const Rectangle block = plan.block(chunk);
///             plan.run(chunk, x, w, y + block.row * 128 + block.column, 128, scratch[worker]);
///           });
class MatmulPlan final : public ProductPlan {
 public:
  /// requires  m, n, k ≥ 0.
  explicit MatmulPlan(const MatmulShape& shape);

  const MatmulShape& shape() const { return shape_; }

  /// How many rectangles; 0 if c is empty.
  std::int64_t chunks() const override { return row_parts_ * column_parts_; }

  std::int64_t columns() const override { return shape_.n; }
  std::int64_t largest_block() const override { return max_block_rows() * max_block_columns(); }
  double flop() const override {
    return 2.0 * static_cast<double>(shape_.m) * static_cast<double>(shape_.n) *
           static_cast<double>(shape_.k);
  }

  /// The part of c that a chunk computes.
  Rectangle block(std::int64_t chunk) const override;

  /// The rows and columns of the largest rectangle.
  std::int64_t max_block_rows() const;
  std::int64_t max_block_columns() const;

  /// Bytes of scratch memory that each thread needs.
  std::size_t scratch_bytes() const override;

  /// Computes one rectangle; every element of it is written, none is read.
  ///
  /// `c` points at the rectangle's own first element, and `ldc` floats lie between its rows: so the
  /// result goes into the whole matrix (c + row·n + column, n) or into a buffer of the block alone.
  /// requires  0 ≤ chunk < chunks(); ldc ≥ the block's columns; scratch of scratch_bytes(), 64-byte
  ///           aligned, that no other thread uses meanwhile; c apart from a and b.
  void run(std::int64_t chunk, const float* a, const float* b, float* c, std::int64_t ldc,
           std::byte* scratch) const override;

 private:
  void cut(std::int64_t work);
  bool can_take_whole_rows() const;

  MatmulShape shape_;
  std::int64_t row_parts_ = 1;
  std::int64_t column_parts_ = 1;
  std::int64_t k_block_;
  bool copy_a_ = false;
  bool pack_b_ = false;
  bool onednn_ = false;
  MatmulBlockKernel kernel_;
};

}  // namespace chainrule::cpu
