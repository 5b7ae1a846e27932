// Loops over windows and their pixels; the innermost runs over channels.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/pool.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "backend/cpu/kernels/pool.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// Calls f(offset of the pixel's first channel, its place in the window) for the pixels of window
/// (i, j) that lie in the image, and f(−1, place) for the others.
template <class F>
HWY_INLINE void for_each_pixel(const PoolShape& s, std::int64_t i, std::int64_t j, const F& f) {
  const Window& w = s.window;
  std::int64_t place = 0;
  for (std::int64_t u = 0; u < w.kernel[0]; ++u) {
    const std::int64_t row = i * w.stride[0] + u * w.dilation[0] - w.before[0];
    for (std::int64_t v = 0; v < w.kernel[1]; ++v, ++place) {
      const std::int64_t column = j * w.stride[1] + v * w.dilation[1] - w.before[1];
      const bool inside = row >= 0 && row < s.height && column >= 0 && column < s.width;
      f(inside ? (row * s.width + column) * s.channels : -1, place);
    }
  }
}

template <class F>
HWY_INLINE void for_each_window(const PoolShape& s, const F& f) {
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < s.out_height; ++i) {
    for (std::int64_t j = 0; j < s.out_width; ++j, ++at) f(i, j, at);
  }
}

void max_pool_image(const PoolShape& s, const float* x, float* y) {
  const auto channels = static_cast<std::size_t>(s.channels);
  for_each_window(s, [&](std::int64_t i, std::int64_t j, std::int64_t at) {
    float* const to = y + at * s.channels;
    sweep(channels, [&](std::size_t c, auto part) {
      V most = set(-std::numeric_limits<float>::infinity());
      for_each_pixel(s, i, j, [&](std::int64_t from, std::int64_t) {
        if (from >= 0) most = maximum(most, part.load(x + from + c));
      });
      part.store(most, to + c);
    });
  });
}

// Windows that neither overlap nor reach over the edge.
HWY_INLINE bool are_apart(const PoolShape& s) {
  const Window& w = s.window;
  return w.stride[0] >= w.kernel[0] && w.stride[1] >= w.kernel[1] && w.dilation[0] == 1 &&
         w.dilation[1] == 1 && w.before[0] == 0 && w.before[1] == 0 && w.after[0] == 0 &&
         w.after[1] == 0;
}

void max_pool_gradient_image(const PoolShape& s, const float* x, const float* y, const float* dy,
                             float* dx) {
  const bool apart = are_apart(s);  // then every pixel is written once and nothing is added up
  const bool covers = apart && s.out_height * s.window.kernel[0] == s.height &&
                      s.out_width * s.window.kernel[1] == s.width;
  if (!covers) std::fill_n(dx, s.height * s.width * s.channels, 0.0F);
  const auto channels = static_cast<std::size_t>(s.channels);
  for_each_window(s, [&](std::int64_t i, std::int64_t j, std::int64_t at) {
    const float* const most_at = y + at * s.channels;
    const float* const dy_at = dy + at * s.channels;
    sweep(channels, [&](std::size_t c, auto part) {
      const V most = part.load(most_at + c);
      V ties = zero();
      for_each_pixel(s, i, j, [&](std::int64_t from, std::int64_t) {
        if (from < 0) return;
        const M attains = hn::Eq(part.load(x + from + c), most);
        ties = hn::Add(ties, hn::IfThenElseZero(attains, set(1.0F)));
      });
      const V share = hn::Div(part.load(dy_at + c), ties);
      for_each_pixel(s, i, j, [&](std::int64_t from, std::int64_t) {
        if (from < 0) return;
        const M attains = hn::Eq(part.load(x + from + c), most);
        const V taken = hn::IfThenElseZero(attains, share);
        part.store(apart ? taken : hn::Add(part.load(dx + from + c), taken), dx + from + c);
      });
    });
  });
}

void fold_image(const PoolShape& s, const float* y, float* x) {
  std::fill_n(x, s.height * s.width * s.channels, 0.0F);
  const auto channels = static_cast<std::size_t>(s.channels);
  const std::int64_t pixels = s.window.kernel[0] * s.window.kernel[1];
  for_each_window(s, [&](std::int64_t i, std::int64_t j, std::int64_t at) {
    for_each_pixel(s, i, j, [&](std::int64_t to, std::int64_t place) {
      if (to < 0) return;
      const float* const from = y + (at * pixels + place) * s.channels;
      sweep(channels, [&](std::size_t c, auto part) {
        part.store(hn::Add(part.load(x + to + c), part.load(from + c)), x + to + c);
      });
    });
  });
}

void unfold_image(const PoolShape& s, float outside, const float* x, float* y) {
  const std::int64_t pixels = s.window.kernel[0] * s.window.kernel[1];
  const auto channels = static_cast<std::size_t>(s.channels);
  for_each_window(s, [&](std::int64_t i, std::int64_t j, std::int64_t at) {
    for_each_pixel(s, i, j, [&](std::int64_t from, std::int64_t place) {
      float* const to = y + (at * pixels + place) * s.channels;
      sweep(channels, [&](std::size_t c, auto part) {
        part.store(from < 0 ? set(outside) : part.load(x + from + c), to + c);
      });
    });
  });
}

void depthwise_image(const PoolShape& s, const float* x, const float* w, float* y) {
  const auto channels = static_cast<std::size_t>(s.channels);
  for_each_window(s, [&](std::int64_t i, std::int64_t j, std::int64_t at) {
    float* const to = y + at * s.channels;
    sweep(channels, [&](std::size_t c, auto part) {
      V total = zero();
      for_each_pixel(s, i, j, [&](std::int64_t from, std::int64_t place) {
        if (from < 0) return;
        total = hn::MulAdd(part.load(x + from + c), part.load(w + place * s.channels + c), total);
      });
      part.store(total, to + c);
    });
  });
}

void depthwise_input_gradient_image(const PoolShape& s, const float* dy, const float* w,
                                    float* dx) {
  std::fill_n(dx, s.height * s.width * s.channels, 0.0F);
  const auto channels = static_cast<std::size_t>(s.channels);
  for_each_window(s, [&](std::int64_t i, std::int64_t j, std::int64_t at) {
    const float* const from = dy + at * s.channels;
    sweep(channels, [&](std::size_t c, auto part) {
      const V upstream = part.load(from + c);
      for_each_pixel(s, i, j, [&](std::int64_t to, std::int64_t place) {
        if (to < 0) return;
        const V share =
            hn::MulAdd(upstream, part.load(w + place * s.channels + c), part.load(dx + to + c));
        part.store(share, dx + to + c);
      });
    });
  });
}

void depthwise_weight_gradient_image(const PoolShape& s, const float* x, const float* dy,
                                     float* dw) {
  const auto channels = static_cast<std::size_t>(s.channels);
  for_each_window(s, [&](std::int64_t i, std::int64_t j, std::int64_t at) {
    const float* const upstream = dy + at * s.channels;
    sweep(channels, [&](std::size_t c, auto part) {
      const V y = part.load(upstream + c);
      for_each_pixel(s, i, j, [&](std::int64_t from, std::int64_t place) {
        if (from < 0) return;
        float* const to = dw + place * s.channels + c;
        part.store(hn::MulAdd(part.load(x + from + c), y, part.load(to)), to);
      });
    });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(max_pool_image);
HWY_EXPORT(max_pool_gradient_image);
HWY_EXPORT(fold_image);
HWY_EXPORT(unfold_image);
HWY_EXPORT(depthwise_image);
HWY_EXPORT(depthwise_input_gradient_image);
HWY_EXPORT(depthwise_weight_gradient_image);

void max_pool(const PoolShape& shape, const float* x, float* y) {
  chosen(HWY_DISPATCH_TABLE(max_pool_image))(shape, x, y);
}

void max_pool_gradient(const PoolShape& shape, const float* x, const float* y, const float* dy,
                       float* dx) {
  chosen(HWY_DISPATCH_TABLE(max_pool_gradient_image))(shape, x, y, dy, dx);
}

void unfold(const PoolShape& shape, float outside, const float* x, float* y) {
  chosen(HWY_DISPATCH_TABLE(unfold_image))(shape, outside, x, y);
}

void fold(const PoolShape& shape, const float* y, float* x) {
  chosen(HWY_DISPATCH_TABLE(fold_image))(shape, y, x);
}

void depthwise(const PoolShape& shape, const float* x, const float* w, float* y) {
  chosen(HWY_DISPATCH_TABLE(depthwise_image))(shape, x, w, y);
}

void depthwise_input_gradient(const PoolShape& shape, const float* dy, const float* w, float* dx) {
  chosen(HWY_DISPATCH_TABLE(depthwise_input_gradient_image))(shape, dy, w, dx);
}

void depthwise_weight_gradient(const PoolShape& shape, const float* x, const float* dy, float* dw) {
  chosen(HWY_DISPATCH_TABLE(depthwise_weight_gradient_image))(shape, x, dy, dw);
}

}  // namespace chainrule::cpu
#endif
