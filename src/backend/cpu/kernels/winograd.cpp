// How Winograd's convolutions are cut: some rows of tiles are transformed, go through sixteen
// matrix products and are transformed back while all of it is in cache.
#include "backend/cpu/kernels/winograd.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <array>

#include "backend/cpu/kernels/matmul_kernels.h"
#include "backend/cpu/kernels/winograd_kernels.h"

namespace chainrule::cpu {
namespace {

constexpr std::int64_t kChannelsTogether = 16;  // the widest vector
// Tiles before and after the products of a band, in floats: they stay in L2 beside the kernels.
constexpr std::int64_t kFloatsOfTiles = 32768;
// The gradient of the kernels adds to [16, C, O] numbers once a band: the longer, the fewer times.
constexpr std::int64_t kTilesOfGradient = 64;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t tiles_of(std::int64_t extent) { return divide_up(extent, 2); }

// Not a multiple of 4 KB, which would put all positions of a tile into one set of L1.
std::int64_t position_stride(std::int64_t tiles, std::int64_t channels) {
  return copied_a_stride(tiles * channels);
}

// The four rows of pixels under tile row i of an image; `zeros` where there is none.
struct PixelRows {
  PixelRows(const float* image, const Shape& x, const Window& window, std::int64_t i,
            const float* zeros) {
    for (std::int64_t r = 0; r < 4; ++r) {
      const std::int64_t row = 2 * i + r - window.before[0];
      rows[r] = row < 0 || row >= x[1] ? zeros : image + row * x[2] * x[3];
    }
  }
  const float* rows[4];
};

// The two rows that tile row i reads and the one before it does not.
void fetch_rows(const float* image, const Shape& x, const Window& window, std::int64_t i) {
  const std::int64_t row = 2 * i + 2 - window.before[0];
  if (row < 0 || row + 2 > x[1]) return;
  const float* const from = image + row * x[2] * x[3];
  for (std::int64_t at = 0; at < 2 * x[2] * x[3]; at += 16) hwy::Prefetch(from + at);
}

double direct_flop(const Shape& y, std::int64_t inputs) {
  return 2.0 * 9.0 * static_cast<double>(element_count(y)) * static_cast<double>(inputs);
}

}  // namespace

bool suits_winograd(const Window& window, std::int64_t inputs, const Shape& y) {
  const std::array<std::int64_t, 2> ones{1, 1};
  const std::array<std::int64_t, 2> threes{3, 3};
  return window.kernel == threes && window.stride == ones && window.dilation == ones &&
         inputs % kChannelsTogether == 0 && y[3] % kChannelsTogether == 0 && y[1] >= 4 && y[2] >= 4;
}

// ── forward, and the gradient of the input ───────────────────────────────────

WinogradPlan::WinogradPlan(const Shape& x, const Shape& y, const Window& window, bool gradient)
    : BandedPlan(y, 2), x_(x), window_(window), gradient_(gradient) {
  const std::int64_t tiles_in_row = tiles_of(y[2]);
  const std::int64_t tiles = kFloatsOfTiles / (kPositions * (x[3] + y[3]));
  tile_rows_ = std::clamp<std::int64_t>(tiles / tiles_in_row, 1, band_rows_ / 2);
  zeros_ = Tensor(DType::kF32, {x[2] * x[3]});
  panels_ = Tensor(DType::kF32, {kPositions, divide_up(y[3], kPanelColumns), x[3], kPanelColumns});
}

std::size_t WinogradPlan::scratch_bytes() const {
  const std::int64_t tiles = tile_rows_ * tiles_of(y_[2]);
  const std::int64_t floats = position_stride(tiles, x_[3]) + position_stride(tiles, y_[3]);
  return static_cast<std::size_t>(kPositions * floats) * sizeof(float);
}

double WinogradPlan::flop() const { return direct_flop(y_, x_[3]); }

void WinogradPlan::prepare(const float* weights, ThreadPool& pool) const {
  float* const panels = panels_.values<float>().data();
  const std::int64_t outer = gradient_ ? y_[3] : x_[3];
  pool.run(outer / kChannelsTogether, [&](std::int64_t chunk, int) {
    transform_weights(weights, x_[3], y_[3], gradient_, chunk * kChannelsTogether,
                      (chunk + 1) * kChannelsTogether, panels);
  });
}

void WinogradPlan::run(std::int64_t chunk, const float* x, const float*, float* c, std::int64_t ldc,
                       std::byte* scratch) const {
  const std::int64_t in = x_[3];
  const std::int64_t out = y_[3];
  const std::int64_t width = y_[2];
  const std::int64_t in_row = tiles_of(width);
  const auto [image_index, first, rows] = band(chunk);
  const float* const image = x + image_index * x_[1] * x_[2] * in;
  const float* const panels = panels_.values<float>().data();
  const std::int64_t panel_stride = panels_.bytes() / sizeof(float) / kPositions;
  auto* const before = reinterpret_cast<float*>(scratch);
  for (std::int64_t row = 0; row < rows; row += 2 * tile_rows_) {
    const std::int64_t tile_rows = tiles_of(std::min(2 * tile_rows_, rows - row));
    const std::int64_t tiles = tile_rows * in_row;
    const std::int64_t stride_before = position_stride(tiles, in);
    const std::int64_t stride_after = position_stride(tiles, out);
    float* const after = before + kPositions * stride_before;
    for (std::int64_t i = 0; i < tile_rows; ++i) {
      fetch_rows(image, x_, window_, (first + row) / 2 + i + 1);
      const PixelRows pixels(image, x_, window_, (first + row) / 2 + i,
                             zeros_.values<float>().data());
      transform_pixels(pixels.rows, x_[2], window_.before[1],
                       {before + i * in_row * in, stride_before, in_row, in});
    }
    for (std::int64_t p = 0; p < kPositions; ++p) {
      multiply_windows({.a = before + p * stride_before,
                        .panels = panels + p * panel_stride,
                        .c = after + p * stride_after,
                        .lda = in,
                        .a_row = 0,
                        .a_segment = 0,
                        .ldc = out,
                        .rows = 1,
                        .pixels = tiles,
                        .columns = out,
                        .k = in,
                        .segments = 1});
    }
    for (std::int64_t i = 0; i < tile_rows; ++i) {
      float* const upper = c + (row + 2 * i) * width * ldc;
      float* const results[2] = {upper, row + 2 * i + 1 < rows ? upper + width * ldc : nullptr};
      transform_results({after + i * in_row * out, stride_after, in_row, out}, results, width, ldc);
    }
  }
}

// ── the gradient of the kernels ──────────────────────────────────────────────

WinogradWeightPlan::WinogradWeightPlan(const Shape& x, const Shape& dy, const Window& window)
    : x_(x),
      dy_(dy),
      window_(window),
      tile_rows_(std::max<std::int64_t>(1, kTilesOfGradient / tiles_of(dy[2]))),
      zeros_(DType::kF32, {std::max(x[2] * x[3], dy[2] * dy[3])}) {}

std::int64_t WinogradWeightPlan::partial_elements() const { return kPositions * x_[3] * dy_[3]; }

std::size_t WinogradWeightPlan::scratch_bytes() const {
  const std::int64_t tiles = tile_rows_ * tiles_of(dy_[2]);
  const std::int64_t floats = position_stride(tiles, x_[3]) + position_stride(tiles, dy_[3]);
  return static_cast<std::size_t>(kPositions * floats) * sizeof(float);
}

double WinogradWeightPlan::flop() const { return direct_flop(dy_, x_[3]); }

void WinogradWeightPlan::run(std::int64_t begin, std::int64_t end, const float* x, const float* dy,
                             float* partial, bool accumulate, std::byte* scratch) const {
  const std::int64_t in = x_[3];
  const std::int64_t out = dy_[3];
  const std::int64_t in_row = tiles_of(dy_[2]);
  const std::int64_t of_image = tiles_of(dy_[1]);  // rows of tiles
  const float* const zeros = zeros_.values<float>().data();
  for (std::int64_t first = begin * of_image; first < end * of_image; first += tile_rows_) {
    const std::int64_t tile_rows = std::min(tile_rows_, end * of_image - first);
    const std::int64_t tiles = tile_rows * in_row;
    const std::int64_t stride_x = position_stride(tiles, in);
    const std::int64_t stride_dy = position_stride(tiles, out);
    auto* const tiles_x = reinterpret_cast<float*>(scratch);
    float* const tiles_dy = tiles_x + kPositions * stride_x;
    for (std::int64_t i = 0; i < tile_rows; ++i) {
      const std::int64_t image = (first + i) / of_image;
      const std::int64_t row = (first + i) % of_image;
      const PixelRows pixels(x + image * x_[1] * x_[2] * in, x_, window_, row, zeros);
      transform_pixels(pixels.rows, x_[2], window_.before[1],
                       {tiles_x + i * in_row * in, stride_x, in_row, in});
      const float* const upper = dy + (image * dy_[1] + 2 * row) * dy_[2] * out;
      const float* const cotangents[2] = {upper,
                                          2 * row + 1 < dy_[1] ? upper + dy_[2] * out : zeros};
      transform_cotangents(cotangents, dy_[2],
                           {tiles_dy + i * in_row * out, stride_dy, in_row, out});
    }
    for (std::int64_t p = 0; p < kPositions; ++p) {
      multiply_transposed_windows({.a = tiles_x + p * stride_x,
                                   .b = tiles_dy + p * stride_dy,
                                   .c = partial + p * in * out,
                                   .lda = in,
                                   .a_row = 0,
                                   .a_segment = 0,
                                   .rows = 1,
                                   .pixels = tiles,
                                   .columns = out,
                                   .k = in,
                                   .segments = 1,
                                   .accumulate = accumulate || first > begin * of_image},
                                  nullptr);
    }
  }
}

void WinogradWeightPlan::finish(const float* partials, std::int64_t parts, std::int64_t chunk,
                                float* dw) const {
  gradient_of_kernels(partials, parts, partial_elements(), chunk, x_[3], dy_[3], dw);
}

std::unique_ptr<WeightGradientPlan> make_weight_plan(const Shape& x, const Shape& dy,
                                                     const Window& window) {
  if (suits_winograd(window, x[3], dy)) return std::make_unique<WinogradWeightPlan>(x, dy, window);
  return std::make_unique<ConvolutionWeightPlan>(x, dy, window);
}

}  // namespace chainrule::cpu
