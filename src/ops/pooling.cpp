// Pooling: the largest or the mean of the pixels under each window.
#include <limits>

#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/window.h"

namespace chainrule {
namespace {

// ── max_pool2d ───────────────────────────────────────────────────────────────
constexpr double kNeverWins = -std::numeric_limits<double>::infinity();

// [B, OH, OW, KH·KW·C] → [B, OH, OW, KH·KW, C]
Value by_pixel(Value windows, std::int64_t channels) {
  return reshape(windows, {windows.extent(0), windows.extent(1), windows.extent(2), -1, channels});
}

Value one_pixel_more(Value y) {
  return reshape(y, {y.extent(0), y.extent(1), y.extent(2), 1, y.extent(3)});
}

// Whether window `place` along an axis of `size` pixels has none of them.
bool is_padding_alone(const Window& w, std::size_t axis, std::int64_t place, std::int64_t size) {
  for (std::int64_t k = 0; k < w.kernel[axis]; ++k) {
    const std::int64_t pixel = place * w.stride[axis] + k * w.dilation[axis] - w.before[axis];
    if (pixel >= 0 && pixel < size) return false;
  }
  return true;
}

void need_pixels(const Node& n, const Window& w, const Window::Pair& out) {
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t size = n.inputs[0].shape()[axis + 1];
    for (std::int64_t place = 0; place < out[axis]; ++place) {
      if (!is_padding_alone(w, axis, place, size)) continue;
      bad_shape(n, "a window of " + std::to_string(w.kernel[axis]) +
                       " pixels lies in the padding alone, where there is no largest pixel; use a "
                       "padding smaller than the window");
    }
  }
}

Types pooled(const Node& n) {
  const Value x = n.inputs[0];
  need_image(n, x);
  const Window window = window_of(n);
  const Window::Pair out = counted(n, window, x.extent(1), x.extent(2));
  need_pixels(n, window, out);
  return {{DType::kF32, {x.extent(0), out[0], out[1], x.extent(3)}}};
}

const Op kMaxPool2d{checked({
    .name = "max_pool2d",
    .formula = "max_pool2d({0})",
    .infer = pooled,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value x = n.inputs[0];
      return {max(by_pixel(unfold(x, window_of(n), kNeverWins), x.extent(3)), {3})};
    },
    .grad = [](const Node& n, Value dy) -> Grads {
      return {max_pool2d_backward(n.inputs[0], n.output(), dy, window_of(n))};
    },
    .local = {{{"∂{y}/∂{0} = [{0} = {y}]",
                "only the largest pixel under a window moves the result, so it alone gets the "
                "gradient; equals share it"}}},
    .samples =
        [](Sampler& s) {
          s.check(max_pool2d(s.uniform({2, 4, 4, 3}, -1, 1), {.kernel = {2, 2}, .stride = {2, 2}}));
          s.check(
              max_pool2d(s.uniform({1, 3, 4, 2}, -1, 1), {{3, 2}, {1, 2}, {1, 1}, {1, 0}, {1, 0}}));
        },
})};

// ── max_pool2d_backward ──────────────────────────────────────────────────────
const Op kMaxPool2dBackward{checked({
    .name = "max_pool2d_backward",
    .formula = "max_pool2dᵀ({2})",
    .inputs = 3,  // x, y, dy
    .infer = same_as_input,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value x = n.inputs[0];
      const Window window = window_of(n);
      const Value pixels = by_pixel(unfold(x, window, kNeverWins), x.extent(3));
      const Value attains =
          equal(pixels, broadcast_to(one_pixel_more(n.inputs[1]), pixels.shape()));
      const Value share = n.inputs[2] / sum(attains, {3});
      const Value dx = attains * broadcast_to(one_pixel_more(share), pixels.shape());
      const Shape& y = n.inputs[1].shape();
      return {fold(reshape(dx, {y[0], y[1], y[2], -1}), window, x.extent(1), x.extent(2))};
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          const Window window{.kernel = {2, 2}, .stride = {2, 2}};
          const Value x = s.uniform({2, 4, 4, 3}, -1, 1);
          s.check(max_pool2d_backward(x, max_pool2d(x, window), s.uniform({2, 2, 2, 3}, -1, 1),
                                      window));
        },
})};

}  // namespace

Value max_pool2d_backward(Value x, Value y, Value dy, const Window& window) {
  return emit(kMaxPool2dBackward, {x, y, dy}, window_attributes(window));
}

Value max_pool2d(Value x, const Window& window) {
  return emit(kMaxPool2d, {x}, window_attributes(window));
}

Value average_pool2d(Value x, const Window& window) {
  return mean(by_pixel(unfold(x, window), x.extent(-1)), {3});
}

}  // namespace chainrule
