// Depthwise convolution: every channel by a kernel of its own. Its definition is the unfolded image
// times the weights, summed over the pixels of each window; the kernels never store that image.
#include <algorithm>

#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/window.h"

namespace chainrule {
namespace {

Value input_backward(Value dy, Value w, const Window& window, std::int64_t height,
                     std::int64_t width);
Value weight_backward(Value x, Value dy, const Window& window);

// Pixels and channels of [KH, KW, C].
Shape pixels_of(const Value& w) { return {w.extent(0) * w.extent(1), w.extent(2)}; }

// [B, OH, OW, C] or the same for each pixel of the windows, as [B·OH·OW, KH·KW, C].
Value for_each_window(Value x, std::int64_t pixels, std::int64_t channels) {
  return reshape(x, {-1, pixels, channels});
}
Value for_each_pixel(Value y, std::int64_t pixels) {
  const std::int64_t channels = y.extent(3);
  const std::int64_t windows = element_count(y.shape()) / std::max<std::int64_t>(1, channels);
  return broadcast_to(reshape(y, {windows, 1, channels}), {windows, pixels, channels});
}

void need_weights(const Node& n, const Value& w, std::int64_t channels) {
  if (w.shape().size() == 3 && w.extent(2) == channels) return;
  bad_shape(n, "expected weights [KH, KW, " + std::to_string(channels) +
                   "], one kernel a channel, got " + to_string(w.shape()));
}

// ── depthwise_conv2d ─────────────────────────────────────────────────────────
const Op kDepthwise{checked({
    .name = "depthwise_conv2d",
    .formula = "depthwise({0}, {1})",
    .inputs = 2,
    .infer = [](const Node& n) -> Types {
      const Value x = n.inputs[0];
      need_image(n, x);
      need_weights(n, n.inputs[1], x.extent(3));
      const Window::Pair out = counted(n, window_of(n), x.extent(1), x.extent(2));
      return {{DType::kF32, {x.extent(0), out[0], out[1], x.extent(3)}}};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Shape w = pixels_of(n.inputs[1]);
      const Value windows = for_each_window(unfold(n.inputs[0], window_of(n)), w[0], w[1]);
      const Value weights = broadcast_to(reshape(n.inputs[1], w), windows.shape());
      return {reshape(sum(windows * weights, {1}), n.types[0].shape)};
    },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value x = n.inputs[0];
      return {input_backward(dy, n.inputs[1], window_of(n), x.extent(1), x.extent(2)),
              weight_backward(x, dy, window_of(n))};
    },
    .local = {{
        {"∂{y}[i,j,c]/∂{0}[i+u,j+v,c] = {1}[u,v,c]",
         "a pixel of `{0}` lies under every window that covers it, each time under another weight"},
        {"∂{y}[i,j,c]/∂{1}[u,v,c] = {0}[i+u,j+v,c]",
         "a weight meets one pixel in every window: its gradient sums over all windows and "
         "examples"},
    }},
    .samples =
        [](Sampler& s) {
          s.check(depthwise_conv2d(s.uniform({2, 4, 5, 3}, -1, 1), s.uniform({3, 2, 3}, -1, 1),
                                   {.before = {1, 0}, .after = {1, 1}}));
          s.check(depthwise_conv2d(s.uniform({17, 5, 4, 2}, -1, 1), s.uniform({2, 2, 2}, -1, 1),
                                   {.stride = {2, 1}, .dilation = {1, 2}}));
        },
})};

// ── depthwise_conv2d_input_backward ──────────────────────────────────────────
const Op kInputBackward{checked({
    .name = "depthwise_conv2d_input_backward",
    .formula = "depthwiseᵀ({0}, {1})",
    .inputs = 2,
    .infer = [](const Node& n) -> Types {
      const Value dy = n.inputs[0];
      need_image(n, dy);
      need_weights(n, n.inputs[1], dy.extent(3));
      return {{DType::kF32, {dy.extent(0), n.integer("height"), n.integer("width"), dy.extent(3)}}};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value dy = n.inputs[0];
      const Shape w = pixels_of(n.inputs[1]);
      const Value copies = for_each_pixel(dy, w[0]);
      const Value shares = copies * broadcast_to(reshape(n.inputs[1], w), copies.shape());
      return {fold(reshape(shares, {dy.extent(0), dy.extent(1), dy.extent(2), w[0] * w[1]}),
                   window_of(n), n.integer("height"), n.integer("width"))};
    },
    .grad = [](const Node& n, Value dx) -> Grads {
      return {depthwise_conv2d(dx, n.inputs[1], window_of(n)),
              weight_backward(dx, n.inputs[0], window_of(n))};
    },
    .samples =
        [](Sampler& s) {
          s.check(input_backward(s.uniform({2, 2, 3, 2}, -1, 1), s.uniform({2, 3, 2}, -1, 1),
                                 {.kernel = {2, 3}, .stride = {2, 1}, .before = {0, 1}}, 5, 4));
        },
})};

// ── depthwise_conv2d_weight_backward ─────────────────────────────────────────
const Op kWeightBackward{checked({
    .name = "depthwise_conv2d_weight_backward",
    .formula = "Σ unfold({0}) ⊙ {1}",
    .binding = Binding::kUnary,
    .inputs = 2,
    .infer = [](const Node& n) -> Types {
      need_image(n, n.inputs[0]);
      need_image(n, n.inputs[1]);
      const Window w = window_of(n);
      return {{DType::kF32, {w.kernel[0], w.kernel[1], n.inputs[0].extent(3)}}};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Shape& w = n.types[0].shape;
      const Value windows = for_each_window(unfold(n.inputs[0], window_of(n)), w[0] * w[1], w[2]);
      return {reshape(sum(windows * for_each_pixel(n.inputs[1], w[0] * w[1]), {0}), w)};
    },
    .grad = [](const Node& n, Value dw) -> Grads {
      const Value x = n.inputs[0];
      return {input_backward(n.inputs[1], dw, window_of(n), x.extent(1), x.extent(2)),
              depthwise_conv2d(x, dw, window_of(n))};
    },
    .samples =
        [](Sampler& s) {
          s.check(weight_backward(s.uniform({2, 4, 3, 2}, -1, 1), s.uniform({2, 2, 3, 2}, -1, 1),
                                  {{2, 1}, {2, 1}, {1, 1}, {0, 0}, {0, 0}}));
        },
})};

Value input_backward(Value dy, Value w, const Window& window, std::int64_t height,
                     std::int64_t width) {
  return emit(kInputBackward, {dy, w}, with_size(window, height, width));
}

Value weight_backward(Value x, Value dy, const Window& window) {
  return emit(kWeightBackward, {x, dy}, window_attributes(window));
}

}  // namespace

Value depthwise_conv2d(Value x, Value w, Window window) {
  if (w.shape().size() == 3) window.kernel = {w.extent(0), w.extent(1)};
  return emit(kDepthwise, {x, w}, window_attributes(window));
}

}  // namespace chainrule
