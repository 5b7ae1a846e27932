// The SIMD side of the matrix product: one rectangle of c, computed by one thread. matmul.h cuts a
// product into such rectangles; matmul_kernels.cpp computes one, for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chainrule::cpu {

/// One rectangle of c = op(a)·op(b).
struct MatmulBlock {
  const float* a;  // op(a)[0, 0]: element (m, k) lies at a[m·lda + k], transposed at a[k·lda + m]
  const float* b;  // op(b)[0, 0]: element (k, n) lies at b[k·ldb + n], transposed at b[n·ldb + k]
  float* c;        // c[0, 0] of the rectangle: element (m, n) lies at c[m·ldc + n]
  std::int64_t lda, ldb, ldc;
  std::int64_t rows, columns, k;
  std::int64_t k_block;  // k is cut into pieces of at most this many
  bool transpose_a, transpose_b;
  bool copy_a;  // copy a's part into rows that lie next to each other
  bool pack_b;  // copy each panel of b's columns next to each other (transposed: always done)
  bool accumulate = false;  // add the product to what c holds
};

/// Columns of b in one packed panel; a multiple of every instruction set's tile width.
inline constexpr std::int64_t kPanelColumns = 32;

/// Floats between two rows of a copied a of so many columns: whole cache lines, and never a
/// multiple of 4 KB, which would put the rows that a tile reads together into one set of the L1
/// cache.
constexpr std::int64_t copied_a_stride(std::int64_t columns) {
  const std::int64_t lines = (columns + 15) / 16;
  return (lines + (lines % 2 == 0 ? 1 : 0)) * 16;
}

/// Computes the rectangle. scratch, 64-byte aligned, holds k_block·kPanelColumns floats for b and,
/// with copy_a, one copied_a_stride for every stored row of a's part after them.
using MatmulBlockKernel = void (*)(const MatmulBlock& block, float* scratch);

/// Rows of pixels of a convolution, each a small product: pixel p of row r of c is
///
///     c[r·pixels + p, n] = Σ_s Σ_k a[r·a_row + p·lda + s·a_segment + k] · panels[s·k_count + k, n]
///
/// A window's pixels that follow each other in memory are one segment: a line of the kernel.
struct WindowBlock {
  const float* a;
  const float* panels;  // [⌈columns / kPanelColumns⌉][segments·k][kPanelColumns], padded with zeros
  float* c;
  std::int64_t lda, a_row, a_segment, ldc;
  std::int64_t rows, pixels, columns, k, segments;
};
void multiply_windows(const WindowBlock& block);

/// The transpose, for the gradient of the weights:
///
///     c[s·k_count + k, n] (+)= Σ_r Σ_p a[r·a_row + p·lda + s·a_segment + k] · b[r·pixels + p, n]
///
/// scratch holds rows·pixels·kPanelColumns floats.
struct TransposedWindowBlock {
  const float* a;
  const float* b;  // [rows·pixels, columns]
  float* c;        // [segments·k, columns]
  std::int64_t lda, a_row, a_segment;
  std::int64_t rows, pixels, columns, k, segments;
  bool accumulate;
};
void multiply_transposed_windows(const TransposedWindowBlock& block, float* scratch);

/// The kernel for the best instruction set of this machine.
MatmulBlockKernel matmul_block_kernel();

}  // namespace chainrule::cpu
