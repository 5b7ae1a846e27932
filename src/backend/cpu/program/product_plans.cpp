// The choice of the plan for each product op, and the convolutions' kernels.
#include "backend/cpu/program/product_plans.h"

#include <optional>
#include <string>

#include "backend/cpu/kernels/winograd.h"
#include "chainrule/error.h"
#include "graph/op.h"
#include "ops/window.h"

namespace chainrule::cpu {
namespace {

// conv2d_transpose at stride 1 is a convolution of dy by the kernel turned around, with what
// the forward window left out of the image as padding.
std::optional<Window> turned(const Node& node) {
  const Window window = window_of(node);
  const std::int64_t size[2] = {node.integer("height"), node.integer("width")};
  Window turned{.kernel = window.kernel, .dilation = window.dilation};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t reach = window.dilation[axis] * (window.kernel[axis] - 1);
    turned.before[axis] = reach - window.before[axis];
    turned.after[axis] = size[axis] + reach - turned.before[axis] -
                         node.inputs[0].extent(static_cast<std::int64_t>(axis) + 1);
    if (window.stride[axis] != 1 || turned.before[axis] < 0 || turned.after[axis] < 0) {
      return std::nullopt;
    }
  }
  return turned.dilation[1] == 1 ? std::optional(turned) : std::nullopt;
}

std::shared_ptr<const ProductPlan> make_convolution_plan(const Shape& x, const Shape& y,
                                                         const Window& window, bool gradient) {
  if (suits_winograd(window, x[3], y)) {
    return std::make_shared<WinogradPlan>(x, y, window, gradient);
  }
  return std::make_shared<ConvolutionPlan>(x, y, window, gradient);
}

}  // namespace

MatmulShape matmul_shape(const Node& node) {
  const Value a = node.inputs[0];
  const bool ta = node.flag("transpose_a");
  return {.m = ta ? a.extent(-1) : a.extent(-2),
          .n = node.output().extent(-1),
          .k = ta ? a.extent(-2) : a.extent(-1),
          .transpose_a = ta,
          .transpose_b = node.flag("transpose_b")};
}

std::shared_ptr<const ProductPlan> make_product_plan(const Node& node) {
  const Shape& in = node.inputs[0].shape();
  const Shape& out = node.types[0].shape;
  if (is(node, "matmul")) return std::make_shared<MatmulPlan>(matmul_shape(node));
  if (is(node, "conv2d")) {
    return make_convolution_plan(in, out, window_of(node), false);
  }
  if (is(node, "conv2d_transpose")) {
    if (const std::optional<Window> window = turned(node)) {
      return make_convolution_plan(in, out, *window, true);
    }
    return std::make_shared<FoldedProductPlan>(in, out, window_of(node));
  }
  throw Error("the CPU has no plan for " + std::string(node.op->name));
}

}  // namespace chainrule::cpu
