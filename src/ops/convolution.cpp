// Convolution as a product: of an unfolded image and the weights as a matrix. That is the
// definition and the test oracle of these macro ops; their kernels never store the unfolded image.
#include "chainrule/convolution.h"

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/window.h"

namespace chainrule {
namespace {

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
    .local = {{
        {"∂{y}[i,j,o]/∂{0}[i+u,j+v,c] = {1}[u,v,c,o]",
         "a pixel of `{0}` lies under every window that covers it, each time under another weight: "
         "the sum over them is the convolution turned around"},
        {"∂{y}[i,j,o]/∂{1}[u,v,c,o] = {0}[i+u,j+v,c]",
         "a weight meets one pixel in every window: its gradient sums over all windows and "
         "examples"},
    }},
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
    .local = {{
        {"∂{y}[i+u,j+v,o]/∂{0}[i,j,c] = {1}[u,v,o,c]",
         "a pixel of `{0}` is spread over a window of `{y}`: its gradient is a convolution"},
        {"∂{y}[i+u,j+v,o]/∂{1}[u,v,o,c] = {0}[i,j,c]",
         "a weight carries every pixel to one place of its window: its gradient sums over all"},
    }},
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
  if (w.extent(2) == 1 && w.extent(3) == groups) {
    return depthwise_conv2d(x, reshape(w, {w.extent(0), w.extent(1), groups}), window);
  }
  return grouped_conv2d(x, w, window, groups);
}

Value conv2d_transpose(Value x, Value w, Window window, std::int64_t height, std::int64_t width) {
  if (w.shape().size() == 4) window.kernel = {w.extent(0), w.extent(1)};
  return emit(kConv2dTranspose, {x, w}, with_size(window, height, width));
}

}  // namespace chainrule
