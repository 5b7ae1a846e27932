// Ops on images: convolution, its transpose, and pooling. Images are [B, H, W, C]; a sequence
// [B, T, C] is an image of height 1.
#pragma once

#include <array>
#include <cstdint>

#include "chainrule/graph.h"

namespace chainrule {

/// How a window of kernel[0] × kernel[1] pixels moves over an image.
///
///     OH = (H + before[0] + after[0] − dilation[0]·(kernel[0] − 1) − 1) / stride[0] + 1
struct Window {
  using Pair = std::array<std::int64_t, 2>;  // along H, along W
  Pair kernel{1, 1};
  Pair stride{1, 1};
  Pair dilation{1, 1};
  Pair before{0, 0};  // pixels of padding above and on the left
  Pair after{0, 0};   // below and on the right
};

/// The window with the padding that gives OH = ⌈H / stride⌉, the odd pixel after.
///
/// height, width: of the image.
Window padded_to_same(Window window, std::int64_t height, std::int64_t width);

/// The pixels under each window, one window after the other.
///
///     y[b, i, j, (u, v, c)] = x[b, i·stride + u·dilation − before, j·stride + v·dilation − before,
///     c]
///
/// x: [B, H, W, C]    y: [B, OH, OW, KH·KW·C]; what lies outside the image is `outside`.
/// gradient  dx = fold(dy).
/// throws    ShapeError when a window is larger than the padded image.
Value unfold(Value x, const Window& window, double outside = 0);

/// The transpose of unfold: each pixel is the sum of its copies.
///
/// y: [B, OH, OW, KH·KW·C]    x: [B, H, W, C]
/// gradient  dy = unfold(dx).
Value fold(Value y, const Window& window, std::int64_t height, std::int64_t width);

/// Convolution (cross-correlation, as in every library of the field).
///
///     y[b, i, j, o] = Σ_u Σ_v Σ_c x[b, i·stride + u·dilation − before, …, c] · w[u, v, c, o]
///
/// x: [B, H, W, C]    w: [KH, KW, C/groups, O]    y: [B, OH, OW, O]
/// With groups, outputs o of group g see channels c of group g only; groups = C is depthwise.
/// window.kernel is taken from w.
/// gradient  dw = unfold(x)ᵀ·dy,  dx = fold(dy·wᵀ).
/// throws    ShapeError naming both shapes.
/// Source: LeCun et al., 1989; Dumoulin & Visin, 2016, for the arithmetic of sizes.
///
/// Example:  Value y = conv2d(x, w, padded_to_same({.kernel = {3, 3}}, 28, 28));
Value conv2d(Value x, Value w, Window window = {}, std::int64_t groups = 1);

/// Each channel by a kernel of its own: conv2d with as many groups as channels.
///
///     y[b, i, j, c] = Σ_u Σ_v x[b, i·stride + u·dilation − before, …, c] · w[u, v, c]
///
/// x: [B, H, W, C]    w: [KH, KW, C]    y: [B, OH, OW, C]
/// window.kernel is taken from w.
/// throws    ShapeError naming both shapes.
/// Source: Howard et al., 2017.
Value depthwise_conv2d(Value x, Value w, Window window = {});

/// The transpose of conv2d as a layer: conv2d's gradient with respect to its input.
///
/// x: [B, H, W, C]    w: [KH, KW, O, C]    y: [B, height, width, O]
/// requires  conv2d of an image of height × width by this window gives H × W.
/// throws    ShapeError naming the sizes that would fit.
Value conv2d_transpose(Value x, Value w, Window window, std::int64_t height, std::int64_t width);

/// The largest pixel under each window, channel by channel; padding never wins.
///
/// x: [B, H, W, C]    y: [B, OH, OW, C]
/// gradient  dy, shared evenly by the pixels that attain the maximum.
Value max_pool2d(Value x, const Window& window);

/// The mean over each window; padding counts as zeros.
///
/// x: [B, H, W, C]    y: [B, OH, OW, C]
Value average_pool2d(Value x, const Window& window);

}  // namespace chainrule
