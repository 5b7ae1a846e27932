// Softmax and its kin are often written out, and the best-known cancellation of the field is only
// found where they are seen. Each rule looks at one node and the nodes that it is made of.
#include "explain/derive/recognise.h"

#include <map>
#include <optional>

#include "chainrule/ops.h"
#include "compiler/passes.h"
#include "graph/op.h"

namespace chainrule {
namespace {

using Inputs = std::vector<Value>;
using Replaced = std::optional<std::vector<Value>>;

const Value& input(const Value& v, std::size_t i) { return v.node().inputs[i]; }

// What stands behind broadcasts, and behind reshapes that only add or drop axes of extent 1.
Value bare(Value v) {
  while (is(v, "broadcast_to") || is(v, "reshape")) v = input(v, 0);
  return v;
}

// One number for each row: constant along the last axis of `like`.
bool is_constant_in_rows(const Value& v, const Value& like) {
  return is(v, "constant") || (is(v, "broadcast_to") && v.shape() == like.shape() &&
                               (input(v, 0).shape().empty() || input(v, 0).extent(-1) == 1));
}

bool sums_last_axis_only(const Value& v) {
  const auto last = static_cast<std::int64_t>(input(v, 0).shape().size()) - 1;
  return v.node().integers("axes") == std::vector<std::int64_t>{last};
}

// Σ over each row of `summed`, spread over the row again.
bool is_row_sum(const Value& v, const Value& summed) {
  if (!is_constant_in_rows(v, summed)) return false;
  const Value s = bare(v);
  return is(s, "sum") && input(s, 0) == summed && sums_last_axis_only(s);
}

// x of x - (one number for each row), which softmax does not see.
Value unshifted(const Value& z) {
  return is(z, "sub") && is_constant_in_rows(input(z, 1), z) ? input(z, 0) : z;
}

Replaced activation(const Node& node, const Inputs& in) {
  if (is(node, "neg") && is(in[0], "neg") && in[0].name().empty()) return {{input(in[0], 0)}};
  if (is(node, "maximum")) {
    if (constant_value(in[1]) == 0) return {{relu(in[0])}};
    if (constant_value(in[0]) == 0) return {{relu(in[1])}};
  }
  if (is(node, "div") && constant_value(in[0]) == 1 && is(in[1], "add")) {
    for (const std::size_t i : {0U, 1U}) {
      const Value& e = input(in[1], i);
      if (constant_value(input(in[1], 1 - i)) != 1 || !is(e, "exp")) continue;
      const Value& x = input(e, 0);
      return {{sigmoid(is(x, "neg") ? input(x, 0) : -x)}};
    }
  }
  return {};
}

Replaced softmaxes(const Node& node, const Inputs& in) {
  if (is(node, "div") && is(in[0], "exp") && is_row_sum(in[1], in[0])) {
    return {{softmax(unshifted(input(in[0], 0)))}};
  }
  if (is(node, "sub") && is_constant_in_rows(in[1], in[0])) {
    const Value l = bare(in[1]);
    if (is(l, "log") && is(bare(input(l, 0)), "sum")) {
      const Value s = bare(input(l, 0));
      if (is(input(s, 0), "exp") && input(input(s, 0), 0) == in[0] && sums_last_axis_only(s)) {
        return {{log_softmax(unshifted(in[0]))}};
      }
    }
  }
  return {};
}

// One loss a row, as a node of the op that losses.cpp keeps to itself.
Value cross_entropy_rows(const Value& p, const Value& t, double epsilon) {
  for (const Op* op : all_ops()) {
    if (op->name == "cross_entropy") return emit(*op, {p, t}, {{"epsilon", epsilon}});
  }
  return {};
}

// Σ t ⊙ log(p + ε) over the last axis and perhaps others, where p is a softmax.
Replaced cross_entropies(const Node& node, const Inputs& in) {
  if (is(node, "log") && is(bare(in[0]), "sum") && in[0].shape() == bare(in[0]).shape()) {
    // log of the true class's probability, picked by a one-hot row.
    const Value s = bare(in[0]);
    if (!is(input(s, 0), "mul") || !sums_last_axis_only(s) || s.node().flag("keep_axes")) return {};
    for (const std::size_t i : {0U, 1U}) {
      const Value& p = input(input(s, 0), i);
      const Value& t = input(input(s, 0), 1 - i);
      if (is(p, "softmax") && is(t, "one_hot")) return {{-cross_entropy_rows(p, t, 0)}};
    }
  }
  if (!is(node, "sum") || !is(in[0], "mul") || node.flag("keep_axes")) return {};
  const auto last = static_cast<std::int64_t>(in[0].shape().size()) - 1;
  std::vector<std::int64_t> axes = node.integers("axes");
  if (axes.empty() || axes.back() != last) return {};
  axes.pop_back();
  for (const std::size_t i : {0U, 1U}) {
    const Value& t = input(in[0], i);
    const Value& l = input(in[0], 1 - i);
    if (!is(l, "log")) continue;
    Value p = input(l, 0);
    double epsilon = 0;
    if (is(p, "add") && is(input(p, 1), "constant")) {
      epsilon = input(p, 1).node().real("value");
      p = input(p, 0);
    }
    if (!is(p, "softmax")) continue;
    const Value rows = cross_entropy_rows(p, t, epsilon);
    return {{-(axes.empty() ? rows : sum(rows, axes))}};
  }
  return {};
}

}  // namespace

GraphPtr recognise(const Graph& graph) {
  const GraphPtr seen = rewrite(*join_equal_nodes(graph), [](Graph&) -> Rule {
    return [](const Node& node, const Inputs& in) -> Replaced {
      for (const auto rule : {activation, softmaxes, cross_entropies}) {
        if (Replaced replaced = rule(node, in)) return replaced;
      }
      return {};
    };
  });
  return drop_unused(*seen);
}

GraphPtr name_masks(const Graph& graph) {
  const GraphPtr named = rewrite(graph, [](Graph&) -> Rule {
    auto relu_of = std::make_shared<std::map<std::int64_t, Value>>();  // z's node → relu(z)
    return [relu_of](const Node& node, const Inputs& in) -> Replaced {
      if (is(node, "greater") && constant_value(in[1]) == 0 && in[0].name().empty() &&
          !in[0].node().op->source) {
        const auto found = relu_of->find(in[0].node().id);
        if (found != relu_of->end()) return {{greater(found->second, in[1])}};
      }
      if (is(node, "relu") && !node.names[0].empty()) {
        const Value y = relu(in[0]);
        relu_of->emplace(in[0].node().id, y);
        return {{y}};
      }
      return {};
    };
  });
  return drop_unused(*named);
}

}  // namespace chainrule
