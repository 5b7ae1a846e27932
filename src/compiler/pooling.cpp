// Pooling before relu: the largest of max(z, 0) is max(the largest z, 0), so relu, and in the
// backward pass its mask, run on the pooled image, which is a fraction of the size.
#include "chainrule/convolution.h"
#include "chainrule/ops.h"
#include "compiler/passes.h"
#include "graph/op.h"
#include "ops/window.h"

namespace chainrule {
namespace {

// z of dy ⊙ [z > 0] when the other factor is the derivative of pooling relu(z).
Value masked_by(const Value& derivative, const Value& mask) {
  if (!is(derivative, "max_pool2d_backward") || !is(mask, "greater")) return {};
  const Value pooled = derivative.node().inputs[0];
  const Node& comparison = mask.node();
  if (!is(pooled, "relu") || constant_value(comparison.inputs[1]) != 0) {
    return {};
  }
  const Value z = pooled.node().inputs[0];
  return comparison.inputs[0] == z ? z : Value();
}

}  // namespace

GraphPtr pool_before_relu(const Graph& graph) {
  const GraphPtr moved = rewrite(graph, [](Graph&) -> Rule {
    return [](const Node& node, const std::vector<Value>& in) -> std::optional<std::vector<Value>> {
      if (is(node, "max_pool2d") && is(in[0], "relu")) {
        return {{relu(max_pool2d(in[0].node().inputs[0], window_of(node)))}};
      }
      if (is(node, "mul")) {
        // Where the largest is positive it is attained by the same pixels, which the mask lets
        // pass; elsewhere the mask is 0 for all of them.
        if (const Value z = masked_by(in[0], in[1])) {
          const Node& derivative = in[0].node();
          const Value largest = max_pool2d(z, window_of(derivative));
          const Value dy = derivative.inputs[2] * greater(largest, 0.0);
          return {{max_pool2d_backward(z, largest, dy, window_of(derivative))}};
        }
      }
      return {};
    };
  });
  return join_equal_nodes(*drop_unused(*moved));
}

}  // namespace chainrule
