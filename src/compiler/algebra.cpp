// Algebra on graphs: small local rules. A rule looks at one node, with its inputs already
// rewritten, and answers with something plainer or not at all.
#include <algorithm>

#include "chainrule/ops.h"
#include "chainrule/simplify.h"
#include "compiler/passes.h"
#include "graph/op.h"

namespace chainrule {
namespace {

using Inputs = std::vector<Value>;
using Shorter = std::optional<std::vector<Value>>;

Value constant_like(const Value& v, double value, const Shape& shape) {
  return constant(v.graph(), value, shape);
}

// f(c, c, …) is a constant.
Shorter fold_constants(const Node& node, const Inputs& in) {
  if (!node.op->elementwise || in.empty()) return {};
  if (!std::all_of(in.begin(), in.end(), [](const Value& v) { return is(v, "constant"); })) {
    return {};
  }
  std::vector<Array> arrays;
  for (const Value& v : in) arrays.push_back({{}, {v.node().real("value")}});
  std::vector<const Array*> pointers;
  for (const Array& array : arrays) pointers.push_back(&array);
  std::vector<Array> out{{{}, {0.0}}};
  node.op->eval({node, pointers, out});
  return {{constant_like(in[0], out[0].data[0], node.types[0].shape)}};
}

// A constant looks the same however it is laid out.
Shorter move_constants(const Node& node, const Inputs& in) {
  if (in.size() != 1 || !is(in[0], "constant")) return {};
  const Shape& shape = node.types[0].shape;
  const double value = in[0].node().real("value");
  if (is(node, "broadcast_to") || is(node, "reshape") || is(node, "transpose")) {
    return {{constant_like(in[0], value, shape)}};
  }
  if (is(node, "sum")) {
    const auto count = static_cast<double>(element_count(in[0].shape())) /
                       static_cast<double>(element_count(shape));
    return {{constant_like(in[0], value * count, shape)}};
  }
  return {};
}

Shorter simplify_arithmetic(const Node& node, const Inputs& in) {
  if (is(node, "add")) {
    if (constant_value(in[0]) == 0) return {{in[1]}};
    if (constant_value(in[1]) == 0) return {{in[0]}};
    if (is(in[1], "neg")) return {{in[0] - in[1].node().inputs[0]}};
    if (in[0] == in[1]) return {{in[0] * 2.0}};
  }
  if (is(node, "sub")) {
    if (constant_value(in[1]) == 0) return {{in[0]}};
    if (constant_value(in[0]) == 0) return {{-in[1]}};
    if (is(in[1], "neg")) return {{in[0] + in[1].node().inputs[0]}};
  }
  if (is(node, "mul")) {
    if (constant_value(in[0]) == 1) return {{in[1]}};
    if (constant_value(in[1]) == 1) return {{in[0]}};
    if (constant_value(in[0]) == -1) return {{-in[1]}};
    if (constant_value(in[1]) == -1) return {{-in[0]}};
    // Constants to the right, so that (x·c)·d is found as x·(c·d).
    if (is(in[0], "constant")) return {{in[1] * in[0]}};
    if (is(in[1], "constant") && is(in[0], "mul") && is(in[0].node().inputs[1], "constant")) {
      const Node& inner = in[0].node();
      return {{inner.inputs[0] * (inner.inputs[1] * in[1])}};
    }
  }
  if (is(node, "div") && constant_value(in[1]) == 1) return {{in[0]}};
  if (is(node, "pow") && constant_value(in[1]) == 1) return {{in[0]}};
  // The sign goes outwards, where it may meet another or turn a sum into a difference.
  if (is(node, "mul") || is(node, "div")) {
    const auto negated = [&](std::size_t i) { return is(in[i], "neg") && in[i].name().empty(); };
    const auto bare = [&](std::size_t i) { return negated(i) ? in[i].node().inputs[0] : in[i]; };
    if (negated(0) || negated(1)) {
      const Value y = is(node, "mul") ? bare(0) * bare(1) : bare(0) / bare(1);
      return {{negated(0) == negated(1) ? y : -y}};
    }
  }
  if (is(node, "sum") && is(in[0], "neg") && in[0].name().empty()) {
    return {{-sum(in[0].node().inputs[0], node.integers("axes"), node.flag("keep_axes"))}};
  }
  if (is(node, "neg") && is(in[0], "neg")) return {{in[0].node().inputs[0]}};
  return {};
}

Shorter simplify_shapes(const Node& node, const Inputs& in) {
  if (is(node, "broadcast_to")) {
    if (in[0].shape() == node.types[0].shape) return {{in[0]}};
    if (is(in[0], "broadcast_to")) {
      return {{broadcast_to(in[0].node().inputs[0], node.types[0].shape)}};
    }
    // Leading axes of extent 1 are what broadcasting adds by itself.
    if (is(in[0], "reshape")) {
      const Value x = in[0].node().inputs[0];
      Shape padded(in[0].shape().size() - std::min(in[0].shape().size(), x.shape().size()), 1);
      padded.insert(padded.end(), x.shape().begin(), x.shape().end());
      if (padded == in[0].shape()) return {{broadcast_to(x, node.types[0].shape)}};
    }
  }
  if (is(node, "reshape")) {
    if (in[0].shape() == node.types[0].shape) return {{in[0]}};
    if (is(in[0], "reshape")) return {{reshape(in[0].node().inputs[0], node.types[0].shape)}};
  }
  if (is(node, "transpose")) {
    const std::vector<std::int64_t>& p = node.integers("permutation");
    if (std::is_sorted(p.begin(), p.end())) return {{in[0]}};
    if (is(in[0], "transpose")) {
      const std::vector<std::int64_t>& q = in[0].node().integers("permutation");
      std::vector<std::int64_t> joined;
      for (const std::int64_t axis : p) joined.push_back(q[static_cast<std::size_t>(axis)]);
      return {{transpose(in[0].node().inputs[0], joined)}};
    }
  }
  if (is(node, "sum") && node.integers("axes").empty()) return {{in[0]}};
  return {};
}

// The best-known cancellation of the field. With p = softmax(z) and dp = −t/(p + ε) ⊙ dl,
//     dz = p ⊙ (dp − Σ dp ⊙ p) = (p·Σt − t) ⊙ dl   as ε → 0,
// and Σt = 1 for one-hot rows: dz = (p − t) ⊙ dl.
Shorter cancel_softmax_cross_entropy(const Node& node, const Inputs& in) {
  if (!is(node, "softmax_backward") || !is(in[1], "cross_entropy_backward")) return {};
  const Node& loss = in[1].node();
  if (loss.inputs[0] != in[0] || !is(in[0], "softmax")) return {};
  const Value p = in[0];
  const Value t = loss.inputs[1];
  const Value dl = loss.inputs[2];
  Shape column = dl.shape();
  column.push_back(1);
  const Value scaled = is(t, "one_hot") ? p : p * sum(t, {-1}, true);
  return {{(scaled - t) * reshape(dl, column)}};
}

}  // namespace

GraphPtr apply_algebra(const Graph& graph) {
  return rewrite(graph, [](Graph&) -> Rule {
    return [](const Node& node, const Inputs& in) -> Shorter {
      for (const auto rule : {fold_constants, move_constants, simplify_arithmetic, simplify_shapes,
                              cancel_softmax_cross_entropy}) {
        if (Shorter shorter = rule(node, in)) return shorter;
      }
      return {};
    };
  });
}

std::unique_ptr<Graph> simplify(const Graph& graph) {
  GraphPtr simple = drop_unused(graph);
  for (std::size_t size = 0; size != simple->nodes().size();) {
    size = simple->nodes().size();
    for (int round = 0; round < 2; ++round) {
      simple = drop_unused(*join_equal_nodes(*apply_algebra(*simple)));
    }
  }
  return simple;
}

}  // namespace chainrule
