// Convolution and pooling. Everything rests on one pair of primitives, unfold and its transpose
// fold; the macro ops are products and maxima of unfolded images, which is their definition and
// their test oracle, and have kernels that never store the unfolded image.
#include "chainrule/convolution.h"

#include <algorithm>
#include <limits>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/window.h"

namespace chainrule {
namespace {

Attribute pair_attribute(std::string_view name, const Window::Pair& pair) {
  return {name, std::vector<std::int64_t>(pair.begin(), pair.end())};
}

Attributes window_attributes(const Window& window) {
  return {pair_attribute("kernel", window.kernel), pair_attribute("stride", window.stride),
          pair_attribute("dilation", window.dilation), pair_attribute("before", window.before),
          pair_attribute("after", window.after)};
}

Attributes with_size(const Window& window, std::int64_t height, std::int64_t width) {
  return {pair_attribute("kernel", window.kernel),
          pair_attribute("stride", window.stride),
          pair_attribute("dilation", window.dilation),
          pair_attribute("before", window.before),
          pair_attribute("after", window.after),
          {"height", height},
          {"width", width}};
}

void need_image(const Node& node, const Value& x) {
  if (x.shape().size() != 4) bad_shape(node, "expected [B, H, W, C], got " + to_string(x.shape()));
}

// [OH, OW] of a window over an image of that size.
Window::Pair counted(const Node& node, const Window& window, std::int64_t height,
                     std::int64_t width) {
  const std::int64_t size[2] = {height, width};
  Window::Pair out{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t covers = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
    const std::int64_t padded = size[axis] + window.before[axis] + window.after[axis];
    if (window.kernel[axis] < 1 || window.stride[axis] < 1 || window.dilation[axis] < 1 ||
        window.before[axis] < 0 || window.after[axis] < 0) {
      bad_shape(node, "kernel, stride and dilation must be at least 1 and padding at least 0");
    }
    if (covers > padded) {
      bad_shape(node, "a window of " + std::to_string(covers) + " pixels does not fit into " +
                          std::to_string(padded) + " (padding included)");
    }
    out[axis] = (padded - covers) / window.stride[axis] + 1;
  }
  return out;
}

// Calls f(place in y, place in x) for every copy of a pixel that unfold makes, and f(place in y,
// −1) for what lies outside.
template <typename F>
void for_each_copy(const Window& w, const Shape& x, const Shape& y, F f) {
  const std::int64_t channels = x[3];
  std::size_t at = 0;
  for (std::int64_t b = 0; b < y[0]; ++b)
    for (std::int64_t i = 0; i < y[1]; ++i)
      for (std::int64_t j = 0; j < y[2]; ++j)
        for (std::int64_t u = 0; u < w.kernel[0]; ++u)
          for (std::int64_t v = 0; v < w.kernel[1]; ++v) {
            const std::int64_t row = i * w.stride[0] + u * w.dilation[0] - w.before[0];
            const std::int64_t column = j * w.stride[1] + v * w.dilation[1] - w.before[1];
            const bool inside = row >= 0 && row < x[1] && column >= 0 && column < x[2];
            for (std::int64_t c = 0; c < channels; ++c, ++at) {
              f(at, inside ? ((b * x[1] + row) * x[2] + column) * channels + c : -1);
            }
          }
}

// ── unfold ───────────────────────────────────────────────────────────────────
const Op kUnfold{checked({
    .name = "unfold",
    .formula = "unfold({0})",
    .infer = [](const Node& n) -> Types {
      const Value x = n.inputs[0];
      need_image(n, x);
      const Window w = window_of(n);
      const Window::Pair out = counted(n, w, x.extent(1), x.extent(2));
      return {
          {DType::kF32, {x.extent(0), out[0], out[1], w.kernel[0] * w.kernel[1] * x.extent(3)}}};
    },
    .eval =
        [](const Eval& e) {
          for_each_copy(window_of(e.node), e.in[0]->shape, e.out[0].shape,
                        [&](std::size_t to, std::int64_t from) {
                          e.out[0].data[to] = from < 0
                                                  ? e.node.real("outside")
                                                  : e.in[0]->data[static_cast<std::size_t>(from)];
                        });
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value x = n.inputs[0];
      return {fold(dy, window_of(n), x.extent(1), x.extent(2))};
    },
    .samples =
        [](Sampler& s) {
          s.check(unfold(s.uniform({2, 4, 3, 2}, -1, 1), {{2, 2}, {2, 1}, {1, 2}, {1, 0}, {0, 1}}));
          s.check(unfold(s.uniform({1, 3, 3, 1}, -1, 1), {.kernel = {3, 2}}));
        },
})};

// ── fold ─────────────────────────────────────────────────────────────────────
const Op kFold{checked({
    .name = "fold",
    .formula = "fold({0})",
    .infer = [](const Node& n) -> Types {
      const Value y = n.inputs[0];
      const Window w = window_of(n);
      const std::int64_t pixels = w.kernel[0] * w.kernel[1];
      const Window::Pair out = counted(n, w, n.integer("height"), n.integer("width"));
      if (y.shape().size() != 4 || y.extent(1) != out[0] || y.extent(2) != out[1] ||
          y.extent(3) % pixels != 0) {
        bad_shape(n, "expected windows [B, " + std::to_string(out[0]) + ", " +
                         std::to_string(out[1]) + ", " + std::to_string(pixels) + "·C], got " +
                         to_string(y.shape()));
      }
      return {{DType::kF32,
               {y.extent(0), n.integer("height"), n.integer("width"), y.extent(3) / pixels}}};
    },
    .eval =
        [](const Eval& e) {
          std::fill(e.out[0].data.begin(), e.out[0].data.end(), 0.0);
          for_each_copy(window_of(e.node), e.out[0].shape, e.in[0]->shape,
                        [&](std::size_t from, std::int64_t to) {
                          if (to >= 0)
                            e.out[0].data[static_cast<std::size_t>(to)] += e.in[0]->data[from];
                        });
        },
    .grad = [](const Node& n, Value dx) -> Grads { return {unfold(dx, window_of(n))}; },
    .samples =
        [](Sampler& s) {
          s.check(
              fold(s.uniform({2, 2, 4, 8}, -1, 1), {{2, 2}, {2, 1}, {1, 2}, {1, 1}, {0, 2}}, 3, 3));
        },
})};

// ── conv2d ───────────────────────────────────────────────────────────────────
// x: [B, H, W, C]  as rows of windows: [B·OH·OW, KH·KW·C]
Value window_rows(Value x, const Window& window) {
  const Value y = unfold(x, window);
  return reshape(y, {-1, y.extent(3)});
}

// [KH, KW, C, O] → [KH·KW·C, O], also with O and C exchanged.
Value as_matrix(Value w) { return reshape(w, {-1, w.extent(3)}); }

Value conv2d_weight_backward(Value x, Value dy, const Window& window);

const Op kConv2d{checked({
    .name = "conv2d",
    .formula = "conv2d({0}, {1})",
    .inputs = 2,
    .product = true,
    .infer = [](const Node& n) -> Types {
      const Value x = n.inputs[0];
      const Value w = n.inputs[1];
      need_image(n, x);
      if (w.shape().size() != 4 || w.extent(2) != x.extent(3)) {
        bad_shape(n, "an image " + to_string(x.shape()) + " needs weights [KH, KW, " +
                         std::to_string(x.extent(3)) + ", O], got " + to_string(w.shape()));
      }
      const Window::Pair out = counted(n, window_of(n), x.extent(1), x.extent(2));
      return {{DType::kF32, {x.extent(0), out[0], out[1], w.extent(3)}}};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value y = matmul(window_rows(n.inputs[0], window_of(n)), as_matrix(n.inputs[1]));
      return {reshape(y, n.types[0].shape)};
    },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value x = n.inputs[0];
      return {conv2d_transpose(dy, n.inputs[1], window_of(n), x.extent(1), x.extent(2)),
              conv2d_weight_backward(x, dy, window_of(n))};
    },
    .samples =
        [](Sampler& s) {
          s.check(conv2d(s.uniform({2, 4, 5, 2}, -1, 1), s.uniform({3, 2, 2, 3}, -1, 1),
                         {.before = {1, 0}, .after = {1, 1}}));
          s.check(conv2d(s.uniform({1, 5, 4, 3}, -1, 1), s.uniform({2, 2, 3, 2}, -1, 1),
                         {.stride = {2, 1}, .dilation = {1, 2}}));
          s.check(conv2d(s.uniform({2, 3, 3, 1}, -1, 1), s.uniform({1, 1, 1, 2}, -1, 1),
                         {.stride = {2, 2}}));
        },
})};

// ── conv2d_transpose ────────────────────────────────────────────────────
const Op kConv2dTranspose{checked({
    .name = "conv2d_transpose",
    .formula = "conv2dᵀ({0}, {1})",
    .inputs = 2,
    .product = true,
    .infer = [](const Node& n) -> Types {
      const Value dy = n.inputs[0];
      const Value w = n.inputs[1];
      need_image(n, dy);
      const std::int64_t height = n.integer("height");
      const std::int64_t width = n.integer("width");
      const Window::Pair out = counted(n, window_of(n), height, width);
      if (w.shape().size() != 4 || w.extent(3) != dy.extent(3)) {
        bad_shape(n, "an image " + to_string(dy.shape()) + " needs weights [KH, KW, O, " +
                         std::to_string(dy.extent(3)) + "], got " + to_string(w.shape()));
      }
      if (dy.extent(1) != out[0] || dy.extent(2) != out[1]) {
        bad_shape(n, "a result of " + std::to_string(height) + " × " + std::to_string(width) +
                         " needs an input of " + std::to_string(out[0]) + " × " +
                         std::to_string(out[1]) + ", got " + to_string(dy.shape()));
      }
      return {{DType::kF32, {dy.extent(0), height, width, w.extent(2)}}};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value dy = n.inputs[0];
      const Value copies =
          matmul(reshape(dy, {-1, dy.extent(3)}), transpose(as_matrix(n.inputs[1])));
      return {fold(reshape(copies, {dy.extent(0), dy.extent(1), dy.extent(2), -1}), window_of(n),
                   n.integer("height"), n.integer("width"))};
    },
    .grad = [](const Node& n, Value dx) -> Grads {
      return {conv2d(dx, n.inputs[1], window_of(n)),
              conv2d_weight_backward(dx, n.inputs[0], window_of(n))};
    },
    .samples =
        [](Sampler& s) {
          s.check(conv2d_transpose(s.uniform({2, 2, 3, 2}, -1, 1), s.uniform({2, 3, 3, 2}, -1, 1),
                                   {.kernel = {2, 3}, .stride = {2, 1}, .before = {0, 1}}, 5, 4));
          s.check(conv2d_transpose(s.uniform({1, 3, 3, 2}, -1, 1), s.uniform({3, 3, 1, 2}, -1, 1),
                                   {.kernel = {3, 3}, .before = {1, 1}, .after = {1, 1}}, 3, 3));
        },
})};

// ── conv2d_weight_backward ───────────────────────────────────────────────────
const Op kConv2dWeightBackward{checked({
    .name = "conv2d_weight_backward",
    .formula = "unfold({0})ᵀ·{1}",
    .binding = Binding::kProduct,
    .inputs = 2,
    .infer = [](const Node& n) -> Types {
      const Value x = n.inputs[0];
      const Value dy = n.inputs[1];
      need_image(n, x);
      need_image(n, dy);
      const Window w = window_of(n);
      return {{DType::kF32, {w.kernel[0], w.kernel[1], x.extent(3), dy.extent(3)}}};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value dy = reshape(n.inputs[1], {-1, n.inputs[1].extent(3)});
      const Value dw = matmul(transpose(window_rows(n.inputs[0], window_of(n))), dy);
      return {reshape(dw, n.types[0].shape)};
    },
    .grad = [](const Node& n, Value dw) -> Grads {
      const Value x = n.inputs[0];
      return {conv2d_transpose(n.inputs[1], dw, window_of(n), x.extent(1), x.extent(2)),
              conv2d(x, dw, window_of(n))};
    },
    .samples =
        [](Sampler& s) {
          s.check(conv2d_weight_backward(s.uniform({2, 4, 3, 2}, -1, 1),
                                         s.uniform({2, 2, 3, 3}, -1, 1),
                                         {{2, 1}, {2, 1}, {1, 1}, {0, 0}, {0, 0}}));
        },
})};

Value conv2d_weight_backward(Value x, Value dy, const Window& window) {
  return emit(kConv2dWeightBackward, {x, dy}, window_attributes(window));
}

// ── max_pool2d ───────────────────────────────────────────────────────────────
constexpr double kNeverWins = -std::numeric_limits<double>::infinity();

// [B, OH, OW, KH·KW·C] → [B, OH, OW, KH·KW, C]
Value by_pixel(Value windows, std::int64_t channels) {
  return reshape(windows, {windows.extent(0), windows.extent(1), windows.extent(2), -1, channels});
}

Value one_pixel_more(Value y) {
  return reshape(y, {y.extent(0), y.extent(1), y.extent(2), 1, y.extent(3)});
}

Types pooled(const Node& n) {
  const Value x = n.inputs[0];
  need_image(n, x);
  const Window::Pair out = counted(n, window_of(n), x.extent(1), x.extent(2));
  return {{DType::kF32, {x.extent(0), out[0], out[1], x.extent(3)}}};
}

Value max_pool2d_backward(Value x, Value y, Value dy, const Window& window);

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

Value max_pool2d_backward(Value x, Value y, Value dy, const Window& window) {
  return emit(kMaxPool2dBackward, {x, y, dy}, window_attributes(window));
}

// Each group on its own: [P, K·G·C'] as [G, P, K·C'] by [G, K·C', O'].
Value grouped_conv2d(Value x, Value w, const Window& window, std::int64_t groups) {
  const std::int64_t pixels = w.extent(0) * w.extent(1);
  const std::int64_t in = w.extent(2);
  const std::int64_t out = w.extent(3) / groups;
  const Value windows = unfold(x, window);
  const Value rows = reshape(transpose(reshape(windows, {-1, pixels, groups, in}), {2, 0, 1, 3}),
                             {groups, -1, pixels * in});
  const Value weights =
      reshape(transpose(reshape(w, {pixels * in, groups, out}), {1, 0, 2}), {groups, -1, out});
  const Value y = transpose(matmul(rows, weights), {1, 0, 2});
  return reshape(y, {x.extent(0), windows.extent(1), windows.extent(2), w.extent(3)});
}

}  // namespace

Window window_of(const Node& node) {
  const auto pair = [&](std::string_view name) {
    const std::vector<std::int64_t>& list = node.integers(name);
    return Window::Pair{list[0], list[1]};
  };
  return {pair("kernel"), pair("stride"), pair("dilation"), pair("before"), pair("after")};
}

Window padded_to_same(Window window, std::int64_t height, std::int64_t width) {
  const std::int64_t size[2] = {height, width};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t covers = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
    const std::int64_t count = (size[axis] + window.stride[axis] - 1) / window.stride[axis];
    const std::int64_t padding =
        std::max<std::int64_t>((count - 1) * window.stride[axis] + covers - size[axis], 0);
    window.before[axis] = padding / 2;
    window.after[axis] = padding - padding / 2;
  }
  return window;
}

Value unfold(Value x, const Window& window, double outside) {
  return emit(kUnfold, {x},
              {pair_attribute("kernel", window.kernel),
               pair_attribute("stride", window.stride),
               pair_attribute("dilation", window.dilation),
               pair_attribute("before", window.before),
               pair_attribute("after", window.after),
               {"outside", outside}});
}

Value fold(Value y, const Window& window, std::int64_t height, std::int64_t width) {
  return emit(kFold, {y}, with_size(window, height, width));
}

Value conv2d(Value x, Value w, Window window, std::int64_t groups) {
  if (w.shape().size() == 4) window.kernel = {w.extent(0), w.extent(1)};
  if (groups == 1) return emit(kConv2d, {x, w}, window_attributes(window));
  if (x.shape().size() != 4 || w.shape().size() != 4 || groups < 1 ||
      w.extent(2) * groups != x.extent(3) || w.extent(3) % groups != 0) {
    throw ShapeError(
        "conv2d: an image " + to_string(x.shape()) + " in " + std::to_string(groups) +
        " groups needs weights [KH, KW, C/groups, O] with O a multiple of the groups, got " +
        to_string(w.shape()));
  }
  return grouped_conv2d(x, w, window, groups);
}

Value conv2d_transpose(Value x, Value w, Window window, std::int64_t height, std::int64_t width) {
  if (w.shape().size() == 4) window.kernel = {w.extent(0), w.extent(1)};
  return emit(kConv2dTranspose, {x, w}, with_size(window, height, width));
}

Value max_pool2d(Value x, const Window& window) {
  return emit(kMaxPool2d, {x}, window_attributes(window));
}

Value average_pool2d(Value x, const Window& window) {
  return mean(by_pixel(unfold(x, window), x.extent(-1)), {3});
}

}  // namespace chainrule
