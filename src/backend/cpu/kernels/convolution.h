// Convolutions on the CPU without an unfolded image: the pixels under one line of the kernel follow
// each other in memory, so a row of results is a short sum of small matrix products on the image
// itself, or on a padded copy of a few of its rows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/cpu/kernels/product.h"
#include "chainrule/convolution.h"
#include "chainrule/tensor.h"

namespace chainrule::cpu {

/// An image's rows, copied with zeros around them where a window reaches over the edge.
class PaddedRows {
 public:
  /// For `out_width` windows in a row over images of height × width × channels.
  PaddedRows(const Window& window, std::int64_t height, std::int64_t width, std::int64_t channels,
             std::int64_t out_width);

  /// Floats between two rows, as copied or as they lie.
  std::int64_t row_stride() const {
    return copies_ ? padded_width_ * channels_ : width_ * channels_;
  }
  /// Floats of scratch for the input of so many rows of results.
  std::int64_t scratch_floats(std::int64_t out_rows) const;
  /// The input of rows [first, first + out_rows) of the results of one image: either in the image
  /// itself or copied into scratch.
  const float* rows(const float* image, std::int64_t first, std::int64_t out_rows,
                    float* scratch) const;

 private:
  std::int64_t rows_for(std::int64_t out_rows) const;

  Window window_;
  std::int64_t height_, width_, channels_;
  std::int64_t padded_width_;
  bool copies_;
};

/// A product for images whose chunks are bands of rows of one image after the other.
class BandedPlan : public ProductPlan {
 public:
  /// For results y: [B, OH, OW, O]; the rows of a band are a multiple of `step`.
  explicit BandedPlan(const Shape& y, std::int64_t step = 1);

  std::int64_t columns() const override { return y_[3]; }
  std::int64_t chunks() const override { return y_[0] * bands_; }
  Rectangle block(std::int64_t chunk) const override;
  std::int64_t largest_block() const override { return band_rows_ * y_[2] * y_[3]; }

 protected:
  struct Band {
    std::int64_t image, first, rows;  // of results
  };
  Band band(std::int64_t chunk) const;

  Shape y_;
  std::int64_t band_rows_;  // rows of results of one chunk
  std::int64_t bands_;      // chunks of an image
};

/// conv2d as a product: the result as the matrix [B·OH·OW, O].
///
/// With `gradient` it is conv2d_transpose of stride 1: the image is dy, and the weights
/// [KH, KW, C, O] are read turned around, with C and O exchanged.
class ConvolutionPlan final : public BandedPlan {
 public:
  /// x: [B, H, W, C]; y: [B, OH, OW, O].
  /// requires  the sizes fit; dilation[1] = 1; with gradient, stride 1 and `window` that of the
  ///           turned convolution.
  ConvolutionPlan(const Shape& x, const Shape& y, const Window& window, bool gradient);

  std::size_t scratch_bytes() const override;
  double flop() const override;
  void prepare(const float* weights, ThreadPool& pool) const override;
  void run(std::int64_t chunk, const float* x, const float* weights, float* c, std::int64_t ldc,
           std::byte* scratch) const override;

 private:
  Shape x_;
  Window window_;
  bool gradient_;
  PaddedRows padded_;
  mutable Tensor panels_;  // the weights as multiply_windows() reads them
};

/// conv2d_transpose with any stride and dilation: a product for each image, then its fold.
class FoldedProductPlan final : public ProductPlan {
 public:
  /// dy: [B, OH, OW, O]; dx: [B, H, W, C].
  FoldedProductPlan(const Shape& dy, const Shape& dx, const Window& window);

  std::int64_t columns() const override { return dx_[3]; }
  std::int64_t chunks() const override { return dx_[0]; }
  Rectangle block(std::int64_t chunk) const override;
  std::int64_t largest_block() const override { return dx_[1] * dx_[2] * dx_[3]; }
  std::size_t scratch_bytes() const override;
  double flop() const override;
  void prepare(const float* weights, ThreadPool& pool) const override;
  void run(std::int64_t chunk, const float* dy, const float* weights, float* c, std::int64_t ldc,
           std::byte* scratch) const override;

 private:
  std::int64_t copied_channels() const { return window_.kernel[0] * window_.kernel[1] * dx_[3]; }

  Shape dy_, dx_;
  Window window_;
  mutable Tensor panels_;
};

/// conv2d_weight_backward, some images at a time: each part of a batch gives a partial sum of the
/// plan's own shape, and all of them give dw in the end.
class WeightGradientPlan {
 public:
  WeightGradientPlan() = default;
  WeightGradientPlan(const WeightGradientPlan&) = delete;
  WeightGradientPlan& operator=(const WeightGradientPlan&) = delete;
  virtual ~WeightGradientPlan() = default;

  virtual std::int64_t partial_elements() const = 0;
  virtual std::size_t scratch_bytes() const = 0;
  virtual double flop() const = 0;
  /// partial (+)= the sum over images [begin, end).
  ///
  /// requires  begin < end.
  virtual void run(std::int64_t begin, std::int64_t end, const float* x, const float* dy,
                   float* partial, bool accumulate, std::byte* scratch) const = 0;
  /// How many independent pieces the end is cut into.
  virtual std::int64_t finishing_chunks() const = 0;
  /// A piece of dw, from `parts` partial sums that follow each other.
  virtual void finish(const float* partials, std::int64_t parts, std::int64_t chunk,
                      float* dw) const = 0;
};

/// dw[i] = the sum over `parts` partial sums of so many elements, for i in [begin, end).
void join_partials(const float* partials, std::int64_t parts, std::int64_t elements,
                   std::int64_t begin, std::int64_t end, float* dw);

/// The plan for x: [B, H, W, C] and dy: [B, OH, OW, O].  requires  dilation[1] = 1.
std::unique_ptr<WeightGradientPlan> make_weight_plan(const Shape& x, const Shape& dy,
                                                     const Window& window);

/// The direct sum: a partial sum is a dw.
class ConvolutionWeightPlan final : public WeightGradientPlan {
 public:
  /// requires  dilation[1] = 1.
  ConvolutionWeightPlan(const Shape& x, const Shape& dy, const Window& window);

  std::int64_t partial_elements() const override;
  std::size_t scratch_bytes() const override;
  double flop() const override;
  void run(std::int64_t begin, std::int64_t end, const float* x, const float* dy, float* partial,
           bool accumulate, std::byte* scratch) const override;
  std::int64_t finishing_chunks() const override;
  void finish(const float* partials, std::int64_t parts, std::int64_t chunk,
              float* dw) const override;

 private:
  Shape x_, dy_;
  Window window_;
  PaddedRows padded_;
};

}  // namespace chainrule::cpu
