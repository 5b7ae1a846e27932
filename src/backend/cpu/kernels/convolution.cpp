// How convolutions are cut into chunks and what each chunk copies before it multiplies.
#include "backend/cpu/kernels/convolution.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels/matmul_kernels.h"

namespace chainrule::cpu {
namespace {

// A chunk's results are finished by a chain while they are in L2, beside the weights.
constexpr std::int64_t kLargestBlock = 32768;  // floats
constexpr std::int64_t kChunksWanted = 16;
constexpr std::int64_t kFinishedTogether = 4096;  // numbers of a weight's gradient

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::size_t bytes_of(std::int64_t floats) {
  return static_cast<std::size_t>(divide_up(floats, 16) * 16) * sizeof(float);
}

Tensor panels_for(std::int64_t height, std::int64_t columns) {
  return Tensor(DType::kF32, {divide_up(columns, kPanelColumns), height, kPanelColumns});
}

// The most rows that give a block of at most kLargestBlock floats and enough chunks.
std::int64_t rows_of_band(std::int64_t images, std::int64_t rows, std::int64_t floats_of_row) {
  std::int64_t bands = divide_up(rows * floats_of_row, kLargestBlock);
  bands = std::max(bands, divide_up(kChunksWanted, std::max<std::int64_t>(images, 1)));
  return divide_up(rows, std::min(bands, rows));
}

}  // namespace

// ── padded rows ──────────────────────────────────────────────────────────────

PaddedRows::PaddedRows(const Window& window, std::int64_t height, std::int64_t width,
                       std::int64_t channels, std::int64_t out_width)
    : window_(window),
      height_(height),
      width_(width),
      channels_(channels),
      padded_width_((out_width - 1) * window.stride[1] + window.kernel[1]),
      copies_(window.before[0] > 0 || window.before[1] > 0 || window.after[0] > 0 ||
              window.after[1] > 0) {}

std::int64_t PaddedRows::rows_for(std::int64_t out_rows) const {
  return (out_rows - 1) * window_.stride[0] + (window_.kernel[0] - 1) * window_.dilation[0] + 1;
}

std::int64_t PaddedRows::scratch_floats(std::int64_t out_rows) const {
  return copies_ ? rows_for(out_rows) * padded_width_ * channels_ : 0;
}

const float* PaddedRows::rows(const float* image, std::int64_t first, std::int64_t out_rows,
                              float* scratch) const {
  const std::int64_t top = first * window_.stride[0] - window_.before[0];
  if (!copies_) return image + top * width_ * channels_;
  const std::int64_t left = std::min(window_.before[1], padded_width_);
  const std::int64_t inside = std::clamp<std::int64_t>(padded_width_ - left, 0, width_);
  const std::int64_t right = padded_width_ - left - inside;
  float* to = scratch;
  const auto zeros = [&](std::int64_t pixels) {
    std::memset(to, 0, static_cast<std::size_t>(pixels * channels_) * sizeof(float));
    to += pixels * channels_;
  };
  const std::int64_t end = top + rows_for(out_rows);
  for (std::int64_t row = top; row < end; ++row) {
    if (row < 0 || row >= height_) {
      zeros(padded_width_);
      continue;
    }
    zeros(left);
    std::memcpy(to, image + row * width_ * channels_,
                static_cast<std::size_t>(inside * channels_) * sizeof(float));
    to += inside * channels_;
    zeros(right);
  }
  return scratch;
}

// ── forward, and the gradient of the input at stride 1 ───────────────────────

BandedPlan::BandedPlan(const Shape& y, std::int64_t step)
    : y_(y),
      band_rows_(divide_up(rows_of_band(y[0], y[1], y[2] * y[3]), step) * step),
      bands_(divide_up(y[1], band_rows_)) {}

BandedPlan::Band BandedPlan::band(std::int64_t chunk) const {
  const std::int64_t first = chunk % bands_ * band_rows_;
  return {chunk / bands_, first, std::min(band_rows_, y_[1] - first)};
}

Rectangle BandedPlan::block(std::int64_t chunk) const {
  const Band b = band(chunk);
  return {(b.image * y_[1] + b.first) * y_[2], b.rows * y_[2], 0, y_[3]};
}

ConvolutionPlan::ConvolutionPlan(const Shape& x, const Shape& y, const Window& window,
                                 bool gradient)
    : BandedPlan(y),
      x_(x),
      window_(window),
      gradient_(gradient),
      padded_(window, x[1], x[2], x[3], y[2]),
      panels_(panels_for(window.kernel[0] * window.kernel[1] * x[3], y[3])) {}

std::size_t ConvolutionPlan::scratch_bytes() const {
  return bytes_of(padded_.scratch_floats(band_rows_));
}

double ConvolutionPlan::flop() const {
  return 2.0 * static_cast<double>(element_count(y_)) *
         static_cast<double>(window_.kernel[0] * window_.kernel[1] * x_[3]);
}

void ConvolutionPlan::prepare(const float* weights, ThreadPool&) const {
  const std::int64_t pixels = window_.kernel[0] * window_.kernel[1];
  const std::int64_t in = x_[3];
  const std::int64_t out = y_[3];
  const std::int64_t height = pixels * in;
  float* const panels = panels_.values<float>().data();
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
    for (std::int64_t c = 0; c < in; ++c) {
      // Turned around, the last pixel comes first, and the stored [C, O] is [out, in].
      const float* const from = gradient_ ? weights + (pixels - 1 - pixel) * out * in + c
                                          : weights + (pixel * in + c) * out;
      const std::int64_t step = gradient_ ? in : 1;
      for (std::int64_t n = 0; n < out; ++n) {
        const std::int64_t row = n / kPanelColumns * height + pixel * in + c;
        panels[row * kPanelColumns + n % kPanelColumns] = from[n * step];
      }
    }
  }
}

void ConvolutionPlan::run(std::int64_t chunk, const float* x, const float*, float* c,
                          std::int64_t ldc, std::byte* scratch) const {
  const auto [image_index, first, rows] = band(chunk);
  const float* const image = x + image_index * x_[1] * x_[2] * x_[3];
  const float* const a = padded_.rows(image, first, rows, reinterpret_cast<float*>(scratch));
  const std::int64_t stride = padded_.row_stride();
  multiply_windows({.a = a,
                    .panels = panels_.values<float>().data(),
                    .c = c,
                    .lda = window_.stride[1] * x_[3],
                    .a_row = window_.stride[0] * stride,
                    .a_segment = window_.dilation[0] * stride,
                    .ldc = ldc,
                    .rows = rows,
                    .pixels = y_[2],
                    .columns = y_[3],
                    .k = window_.kernel[1] * x_[3],
                    .segments = window_.kernel[0]});
}

// ── the gradient of the input at any stride ──────────────────────────────────

FoldedProductPlan::FoldedProductPlan(const Shape& dy, const Shape& dx, const Window& window)
    : dy_(dy), dx_(dx), window_(window), panels_(panels_for(dy[3], copied_channels())) {}

Rectangle FoldedProductPlan::block(std::int64_t chunk) const {
  const std::int64_t pixels = dx_[1] * dx_[2];
  return {chunk * pixels, pixels, 0, dx_[3]};
}

std::size_t FoldedProductPlan::scratch_bytes() const {
  return bytes_of(dy_[1] * dy_[2] * copied_channels());
}

double FoldedProductPlan::flop() const {
  return 2.0 * static_cast<double>(element_count(dy_)) * static_cast<double>(copied_channels());
}

void FoldedProductPlan::prepare(const float* weights, ThreadPool&) const {
  // The weights [KH·KW·C, O] as panels of their transpose [O, KH·KW·C].
  const std::int64_t in = dy_[3];
  float* const panels = panels_.values<float>().data();
  for (std::int64_t n = 0; n < copied_channels(); ++n) {
    for (std::int64_t o = 0; o < in; ++o) {
      panels[(n / kPanelColumns * in + o) * kPanelColumns + n % kPanelColumns] =
          weights[n * in + o];
    }
  }
}

void FoldedProductPlan::run(std::int64_t chunk, const float* dy, const float*, float* c,
                            std::int64_t ldc, std::byte* scratch) const {
  const std::int64_t out_pixels = dy_[1] * dy_[2];
  const std::int64_t width = copied_channels();
  auto* const copies = reinterpret_cast<float*>(scratch);
  multiply_windows({.a = dy + chunk * out_pixels * dy_[3],
                    .panels = panels_.values<float>().data(),
                    .c = copies,
                    .lda = dy_[3],
                    .a_row = 0,
                    .a_segment = 0,
                    .ldc = width,
                    .rows = 1,
                    .pixels = out_pixels,
                    .columns = width,
                    .k = dy_[3],
                    .segments = 1});
  const std::int64_t channels = dx_[3];
  for (std::int64_t pixel = 0; pixel < dx_[1] * dx_[2]; ++pixel) {
    std::fill_n(c + pixel * ldc, channels, 0.0F);
  }
  const float* from = copies;
  for (std::int64_t i = 0; i < dy_[1]; ++i) {
    for (std::int64_t j = 0; j < dy_[2]; ++j) {
      for (std::int64_t u = 0; u < window_.kernel[0]; ++u) {
        const std::int64_t row =
            i * window_.stride[0] + u * window_.dilation[0] - window_.before[0];
        for (std::int64_t v = 0; v < window_.kernel[1]; ++v, from += channels) {
          const std::int64_t column =
              j * window_.stride[1] + v * window_.dilation[1] - window_.before[1];
          if (row < 0 || row >= dx_[1] || column < 0 || column >= dx_[2]) continue;
          float* const to = c + (row * dx_[2] + column) * ldc;
          for (std::int64_t k = 0; k < channels; ++k) to[k] += from[k];
        }
      }
    }
  }
}

// ── the gradient of the weights ──────────────────────────────────────────────

void join_partials(const float* partials, std::int64_t parts, std::int64_t elements,
                   std::int64_t begin, std::int64_t end, float* dw) {
  std::fill(dw + begin, dw + end, 0.0F);
  for (std::int64_t part = 0; part < parts; ++part) {
    const float* const from = partials + part * elements;
    for (std::int64_t i = begin; i < end; ++i) dw[i] += from[i];
  }
}

ConvolutionWeightPlan::ConvolutionWeightPlan(const Shape& x, const Shape& dy, const Window& window)
    : x_(x), dy_(dy), window_(window), padded_(window, x[1], x[2], x[3], dy[2]) {}

std::int64_t ConvolutionWeightPlan::partial_elements() const {
  return window_.kernel[0] * window_.kernel[1] * x_[3] * dy_[3];
}

std::size_t ConvolutionWeightPlan::scratch_bytes() const {
  return bytes_of(padded_.scratch_floats(dy_[1])) + bytes_of(dy_[1] * dy_[2] * kPanelColumns);
}

double ConvolutionWeightPlan::flop() const {
  return 2.0 * static_cast<double>(partial_elements()) *
         static_cast<double>(dy_[0] * dy_[1] * dy_[2]);
}

void ConvolutionWeightPlan::run(std::int64_t begin, std::int64_t end, const float* x,
                                const float* dy, float* partial, bool accumulate,
                                std::byte* scratch) const {
  auto* const copy = reinterpret_cast<float*>(scratch);
  auto* const packed = reinterpret_cast<float*>(scratch + bytes_of(padded_.scratch_floats(dy_[1])));
  const std::int64_t stride = padded_.row_stride();
  for (std::int64_t image = begin; image < end; ++image) {
    multiply_transposed_windows(
        {.a = padded_.rows(x + image * x_[1] * x_[2] * x_[3], 0, dy_[1], copy),
         .b = dy + image * dy_[1] * dy_[2] * dy_[3],
         .c = partial,
         .lda = window_.stride[1] * x_[3],
         .a_row = window_.stride[0] * stride,
         .a_segment = window_.dilation[0] * stride,
         .rows = dy_[1],
         .pixels = dy_[2],
         .columns = dy_[3],
         .k = window_.kernel[1] * x_[3],
         .segments = window_.kernel[0],
         .accumulate = accumulate || image > begin},
        packed);
  }
}

std::int64_t ConvolutionWeightPlan::finishing_chunks() const {
  return divide_up(partial_elements(), kFinishedTogether);
}

void ConvolutionWeightPlan::finish(const float* partials, std::int64_t parts, std::int64_t chunk,
                                   float* dw) const {
  const std::int64_t begin = chunk * kFinishedTogether;
  const std::int64_t end = std::min(begin + kFinishedTogether, partial_elements());
  join_partials(partials, parts, partial_elements(), begin, end, dw);
}

}  // namespace chainrule::cpu
