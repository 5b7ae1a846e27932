// The transforms of Winograd's convolution, compiled once for every instruction set. A vector holds
// neighbouring channels, so a transform is additions of whole vectors and shuffles nothing.
#include "backend/cpu/kernels/winograd_kernels.h"

#include "backend/cpu/kernels/matmul_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/winograd_kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, as Highway asks.
#include <hwy/highway.h>
#include "backend/cpu/simd/dispatch.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr std::int64_t kLanes = hn::MaxLanes(D());

struct Four {
  V v[4];
};

// Bᵀ·d
HWY_INLINE Four of_pixels(V d0, V d1, V d2, V d3) {
  return {{hn::Sub(d0, d2), hn::Add(d1, d2), hn::Sub(d2, d1), hn::Sub(d1, d3)}};
}

// G·dy
HWY_INLINE Four of_cotangents(V a, V b) {
  const V half = hn::Set(D(), 0.5F);
  return {{a, hn::Mul(half, hn::Add(a, b)), hn::Mul(half, hn::Sub(a, b)), b}};
}

// G·g
HWY_INLINE Four of_kernel(V a, V b, V c) {
  const V half = hn::Set(D(), 0.5F);
  const V outer = hn::Add(a, c);
  return {{a, hn::Mul(half, hn::Add(outer, b)), hn::Mul(half, hn::Sub(outer, b)), c}};
}

}  // namespace

void transform_pixels(const float* const rows[4], std::int64_t width, std::int64_t left,
                      const TileRow& tile_row) {
  const D d;
  // Copies, since a store could otherwise change what the references see.
  const TileRow to = tile_row;
  const float* const row0 = rows[0];
  const float* const row1 = rows[1];
  const float* const row2 = rows[2];
  const float* const row3 = rows[3];
  for (std::int64_t c = 0; c < to.channels; c += kLanes) {
    const auto column = [=](std::int64_t j) HWY_ATTR {
      if (j < 0 || j >= width) return Four{{hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)}};
      const std::int64_t at = j * to.channels + c;
      return of_pixels(hn::LoadU(d, row0 + at), hn::LoadU(d, row1 + at), hn::LoadU(d, row2 + at),
                       hn::LoadU(d, row3 + at));
    };
    Four first = column(-left);
    Four second = column(1 - left);
    float* out = to.tiles + c;
    for (std::int64_t t = 0; t < to.count; ++t, out += to.channels) {
      const Four third = column(2 * t + 2 - left);
      const Four fourth = column(2 * t + 3 - left);
      HWY_UNROLL(4)
      for (int i = 0; i < 4; ++i) {
        const Four tile = of_pixels(first.v[i], second.v[i], third.v[i], fourth.v[i]);
        HWY_UNROLL(4)
        for (int j = 0; j < 4; ++j) {
          hn::StoreU(tile.v[j], d, out + (4 * i + j) * to.position_stride);
        }
      }
      first = third;
      second = fourth;
    }
  }
}

void transform_cotangents(const float* const rows[2], std::int64_t width, const TileRow& tile_row) {
  const D d;
  const TileRow to = tile_row;
  const float* const upper = rows[0];
  const float* const lower = rows[1];
  for (std::int64_t c = 0; c < to.channels; c += kLanes) {
    float* out = to.tiles + c;
    for (std::int64_t t = 0; t < to.count; ++t, out += to.channels) {
      const auto column = [=](std::int64_t j) HWY_ATTR {
        const std::int64_t at = j * to.channels + c;
        return of_cotangents(hn::LoadU(d, upper + at), hn::LoadU(d, lower + at));
      };
      const V zero = hn::Zero(d);
      const Four left = column(2 * t);
      const Four right = 2 * t + 1 < width ? column(2 * t + 1) : Four{{zero, zero, zero, zero}};
      HWY_UNROLL(4)
      for (int i = 0; i < 4; ++i) {
        const Four tile = of_cotangents(left.v[i], right.v[i]);
        HWY_UNROLL(4)
        for (int j = 0; j < 4; ++j) {
          hn::StoreU(tile.v[j], d, out + (4 * i + j) * to.position_stride);
        }
      }
    }
  }
}

void transform_results(const TileRow& tile_row, float* const rows[2], std::int64_t width,
                       std::int64_t pixel_stride) {
  const D d;
  const TileRow from = tile_row;
  float* const first = rows[0];
  float* const second = rows[1];
  const auto sum = [](V a, V b, V c) HWY_ATTR { return hn::Add(hn::Add(a, b), c); };
  const auto difference = [](V a, V b, V c) HWY_ATTR { return hn::Sub(hn::Sub(a, b), c); };
  for (std::int64_t c = 0; c < from.channels; c += kLanes) {
    const float* tile = from.tiles + c;
    for (std::int64_t t = 0; t < from.count; ++t, tile += from.channels) {
      V upper[4];
      V lower[4];
      HWY_UNROLL(4)
      for (int j = 0; j < 4; ++j) {
        const auto m = [&](int i) HWY_ATTR {
          return hn::LoadU(d, tile + (4 * i + j) * from.position_stride);
        };
        const V m1 = m(1);
        const V m2 = m(2);
        upper[j] = sum(m(0), m1, m2);
        lower[j] = difference(m1, m2, m(3));
      }
      const std::int64_t at = 2 * t * pixel_stride + c;
      const bool pair = 2 * t + 1 < width;
      hn::StoreU(sum(upper[0], upper[1], upper[2]), d, first + at);
      if (pair) {
        hn::StoreU(difference(upper[1], upper[2], upper[3]), d, first + at + pixel_stride);
      }
      if (second == nullptr) continue;
      hn::StoreU(sum(lower[0], lower[1], lower[2]), d, second + at);
      if (pair) {
        hn::StoreU(difference(lower[1], lower[2], lower[3]), d, second + at + pixel_stride);
      }
    }
  }
}

void transform_weights(const float* weights, std::int64_t in, std::int64_t out, bool turned,
                       std::int64_t begin, std::int64_t end, float* panels) {
  const D d;
  const std::int64_t position_stride =
      (out + kPanelColumns - 1) / kPanelColumns * in * kPanelColumns;
  const std::int64_t outer = turned ? out : in;  // of a pixel's weights as they are stored
  const std::int64_t inner = turned ? in : out;
  for (std::int64_t a = begin; a < end; ++a) {
    for (std::int64_t b = 0; b < inner; b += kLanes) {
      const auto g = [&](int u, int v) HWY_ATTR {
        const int pixel = turned ? 8 - (3 * u + v) : 3 * u + v;
        return hn::LoadU(d, weights + (pixel * outer + a) * inner + b);
      };
      const Four columns[3] = {of_kernel(g(0, 0), g(1, 0), g(2, 0)),
                               of_kernel(g(0, 1), g(1, 1), g(2, 1)),
                               of_kernel(g(0, 2), g(1, 2), g(2, 2))};
      for (int i = 0; i < 4; ++i) {
        const Four row = of_kernel(columns[0].v[i], columns[1].v[i], columns[2].v[i]);
        for (int j = 0; j < 4; ++j) {
          float* const panel = panels + (4 * i + j) * position_stride;
          if (!turned) {
            hn::StoreU(row.v[j], d,
                       panel + (b / kPanelColumns * in + a) * kPanelColumns + b % kPanelColumns);
            continue;
          }
          alignas(64) float lanes[kLanes];
          hn::Store(row.v[j], d, lanes);
          float* const to =
              panel + (a / kPanelColumns * in + b) * kPanelColumns + a % kPanelColumns;
          for (std::int64_t lane = 0; lane < kLanes; ++lane) to[lane * kPanelColumns] = lanes[lane];
        }
      }
    }
  }
}

void gradient_of_kernels(const float* products, std::int64_t parts, std::int64_t part_stride,
                         std::int64_t c, std::int64_t in, std::int64_t out, float* dw) {
  const D d;
  for (std::int64_t n = 0; n < out; n += kLanes) {
    V m[kPositions];
    for (std::int64_t p = 0; p < kPositions; ++p) {
      const float* const from = products + (p * in + c) * out + n;
      m[p] = hn::LoadU(d, from);
      for (std::int64_t part = 1; part < parts; ++part) {
        m[p] = hn::Add(m[p], hn::LoadU(d, from + part * part_stride));
      }
    }
    V rows[3][4];
    for (int j = 0; j < 4; ++j) {
      const V both = hn::Add(m[4 + j], m[8 + j]);
      rows[0][j] = hn::Add(m[j], both);
      rows[1][j] = hn::Sub(m[4 + j], m[8 + j]);
      rows[2][j] = hn::Sub(both, m[12 + j]);
    }
    for (int u = 0; u < 3; ++u) {
      const V both = hn::Add(rows[u][1], rows[u][2]);
      float* const to = dw + (3 * u * in + c) * out + n;
      hn::StoreU(hn::Add(rows[u][0], both), d, to);
      hn::StoreU(hn::Sub(rows[u][1], rows[u][2]), d, to + in * out);
      hn::StoreU(hn::Sub(both, rows[u][3]), d, to + 2 * in * out);
    }
  }
}

}  // namespace chainrule::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(transform_pixels);
HWY_EXPORT(transform_cotangents);
HWY_EXPORT(transform_results);
HWY_EXPORT(transform_weights);
HWY_EXPORT(gradient_of_kernels);

void transform_pixels(const float* const rows[4], std::int64_t width, std::int64_t left,
                      const TileRow& to) {
  chosen(HWY_DISPATCH_TABLE(transform_pixels))(rows, width, left, to);
}

void transform_cotangents(const float* const rows[2], std::int64_t width, const TileRow& to) {
  chosen(HWY_DISPATCH_TABLE(transform_cotangents))(rows, width, to);
}

void transform_results(const TileRow& from, float* const rows[2], std::int64_t width,
                       std::int64_t pixel_stride) {
  chosen(HWY_DISPATCH_TABLE(transform_results))(from, rows, width, pixel_stride);
}

void transform_weights(const float* weights, std::int64_t in, std::int64_t out, bool turned,
                       std::int64_t begin, std::int64_t end, float* panels) {
  chosen(HWY_DISPATCH_TABLE(transform_weights))(weights, in, out, turned, begin, end, panels);
}

void gradient_of_kernels(const float* products, std::int64_t parts, std::int64_t part_stride,
                         std::int64_t c, std::int64_t in, std::int64_t out, float* dw) {
  chosen(HWY_DISPATCH_TABLE(gradient_of_kernels))(products, parts, part_stride, c, in, out, dw);
}

}  // namespace chainrule::cpu
#endif
