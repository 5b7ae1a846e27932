// Passes that suit the CPU: a transpose that only feeds a matrix product becomes a way of reading,
// and the mask of a relu is read off its result.
#include <map>

#include "chainrule/ops.h"
#include "compiler/passes.h"
#include "graph/op.h"
#include "ops/products.h"

namespace chainrule {
namespace {

using Inputs = std::vector<Value>;
using Shorter = std::optional<std::vector<Value>>;

// x when v = xᵀ over the last two axes.
Value untransposed(const Value& v) {
  if (!is(v, "transpose")) return {};
  const std::vector<std::int64_t>& p = v.node().integers("permutation");
  const auto rank = static_cast<std::int64_t>(p.size());
  for (std::int64_t i = 0; i < rank; ++i) {
    const std::int64_t expected = i < rank - 2 ? i : i == rank - 2 ? rank - 1 : rank - 2;
    if (p[static_cast<std::size_t>(i)] != expected) return {};
  }
  return v.node().inputs[0];
}

}  // namespace

GraphPtr fold_transposes(const Graph& graph) {
  const GraphPtr folded = rewrite(graph, [](Graph&) -> Rule {
    return [](const Node& node, const Inputs& in) -> Shorter {
      if (!is(node, "matmul")) return {};
      const Value a = untransposed(in[0]);
      const Value b = untransposed(in[1]);
      if (!a && !b) return {};
      const bool ta = node.flag("transpose_a") != static_cast<bool>(a);
      const bool tb = node.flag("transpose_b") != static_cast<bool>(b);
      return {{matmul_transposed(a ? a : in[0], ta, b ? b : in[1], tb)}};
    };
  });
  return drop_unused(*folded);
}

GraphPtr reuse_relu(const Graph& graph) {
  const GraphPtr reused = rewrite(graph, [](Graph&) -> Rule {
    auto relu_of = std::make_shared<std::map<std::int64_t, Value>>();  // z's node → relu(z)
    return [relu_of](const Node& node, const Inputs& in) -> Shorter {
      if (is(node, "relu")) {
        const Value y = relu(in[0]);
        relu_of->emplace(in[0].node().id, y);
        return {{y}};
      }
      if (is(node, "greater") && constant_value(in[1]) == 0) {
        const auto found = relu_of->find(in[0].node().id);
        if (found != relu_of->end()) return {{greater(found->second, in[1])}};
      }
      return {};
    };
  });
  return drop_unused(*reused);
}

}  // namespace chainrule
