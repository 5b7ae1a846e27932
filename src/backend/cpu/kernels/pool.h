// Pooling, unfolding and depthwise convolution on the CPU: one image at a time, channels by
// vectors.
#pragma once

#include <cstdint>

#include "chainrule/convolution.h"
#include "chainrule/tensor.h"

namespace chainrule::cpu {

/// The sizes of one image x [H, W, C] and its windows y [OH, OW, …].
struct PoolShape {
  Window window;
  std::int64_t height, width, channels;
  std::int64_t out_height, out_width;
};

/// y[i, j, c] = the largest x under the window; y: [OH, OW, C].
void max_pool(const PoolShape& shape, const float* x, float* y);

/// dx = dy at the pixels that attain the maximum y, shared evenly; elsewhere 0.
void max_pool_gradient(const PoolShape& shape, const float* x, const float* y, const float* dy,
                       float* dx);

/// y[i, j, c] = Σ x under the window ⊙ w; w: [KH, KW, C].
void depthwise(const PoolShape& shape, const float* x, const float* w, float* y);

/// dx = each dy ⊙ w, added up where windows overlap.
void depthwise_input_gradient(const PoolShape& shape, const float* dy, const float* w, float* dx);

/// dw += Σ over windows of x under the window ⊙ dy.
void depthwise_weight_gradient(const PoolShape& shape, const float* x, const float* dy, float* dw);

/// y[i, j, (u, v, c)] = x under the window, `outside` where there is no pixel.
void unfold(const PoolShape& shape, float outside, const float* x, float* y);

/// x = the sum of the copies of each pixel.
void fold(const PoolShape& shape, const float* y, float* x);

}  // namespace chainrule::cpu
