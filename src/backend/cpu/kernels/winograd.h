// Convolutions by 3×3 kernels at stride 1 with 16 multiplications where 36 stand in the sum
// (Winograd's minimal filtering; winograd_kernels.h has the formulas). Tiles of 2×2 results only:
// larger ones save more multiplications and lose digits, while these are as exact as the direct
// sum.
#pragma once

#include "backend/cpu/kernels/convolution.h"

namespace chainrule::cpu {

/// Whether these plans compute it and are the faster ones: x of `inputs` channels, y [B, OH, OW,
/// O].
bool suits_winograd(const Window& window, std::int64_t inputs, const Shape& y);

/// conv2d, and with `gradient` conv2d_transpose of stride 1, as ConvolutionPlan.
class WinogradPlan final : public BandedPlan {
 public:
  /// requires  suits_winograd(window, x[3], y).
  WinogradPlan(const Shape& x, const Shape& y, const Window& window, bool gradient);

  std::size_t scratch_bytes() const override;
  double flop() const override;  // of the direct sum
  void prepare(const float* weights, ThreadPool& pool) const override;
  void run(std::int64_t chunk, const float* x, const float* weights, float* c, std::int64_t ldc,
           std::byte* scratch) const override;

 private:
  Shape x_;
  Window window_;
  bool gradient_;
  std::int64_t tile_rows_;  // that are transformed together
  Tensor zeros_;            // a row outside the image
  mutable Tensor panels_;   // the transformed kernels
};

/// conv2d_weight_backward by tiles of 2×2 cotangents.
class WinogradWeightPlan final : public WeightGradientPlan {
 public:
  /// requires  suits_winograd(window, x[3], dy).
  WinogradWeightPlan(const Shape& x, const Shape& dy, const Window& window);

  std::int64_t partial_elements() const override;
  std::size_t scratch_bytes() const override;
  double flop() const override;
  void run(std::int64_t begin, std::int64_t end, const float* x, const float* dy, float* partial,
           bool accumulate, std::byte* scratch) const override;
  std::int64_t finishing_chunks() const override { return x_[3]; }
  void finish(const float* partials, std::int64_t parts, std::int64_t chunk,
              float* dw) const override;

 private:
  Shape x_, dy_;
  Window window_;
  std::int64_t tile_rows_;  // that are transformed together, of one image or several
  Tensor zeros_;
};

}  // namespace chainrule::cpu
