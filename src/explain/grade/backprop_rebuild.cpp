// Computing a value in another way: its nodes once more, with some inputs replaced and one node
// edited. Other operands may have other shapes, so elementwise nodes broadcast anew.
#include <algorithm>
#include <limits>
#include <set>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "explain/grade/backprop_bench.h"
#include "graph/op.h"

namespace chainrule::backprop {
namespace {

Shape joined(const Shape& a, const Shape& b) {
  Shape shape(std::max(a.size(), b.size()), 1);
  for (const Shape& s : {a, b}) {
    const std::size_t offset = shape.size() - s.size();
    for (std::size_t i = 0; i < s.size(); ++i) {
      std::int64_t& extent = shape[offset + i];
      if (extent != s[i] && extent != 1 && s[i] != 1) {
        throw ShapeError("shapes " + to_string(a) + " and " + to_string(b) + " cannot be joined");
      }
      extent = std::max(extent, s[i]);
    }
  }
  return shape;
}

// A value before it was stretched; a constant is as good as a scalar.
Value before_stretching(Value v) {
  while (is(v, "broadcast_to")) v = v.node().inputs[0];
  return is(v, "constant") ? constant(v.graph(), v.node().real("value")) : v;
}

Value stretched(Value v, const Shape& shape) {
  return v.shape() == shape ? v : broadcast_to(v, shape);
}

// Graphs of long programs are deep, so what has to be rebuilt is listed first and then gone through
// in the order of the graph, in which inputs come before what reads them.
class Rebuilding {
 public:
  Rebuilding(const Substitution& substitution, const Edit* edit)
      : substitution_(substitution), edit_(edit) {
    if (edit != nullptr) first_ = edit->node->id;
    for (const auto& [of, other] : substitution) {
      if (other != of) first_ = std::min(first_, of.node().id);
    }
  }

  Value run(Value root) {
    for (const Value& v : needed(root)) rebuild_node(v);
    return done_.at(root);
  }

 private:
  // The root and what it is computed from, as far as nothing stands in its place and it can change.
  std::vector<Value> needed(Value root) const {
    ValueSet seen{root};
    std::vector<Value> open{root};
    std::vector<Value> result;
    while (!open.empty()) {
      const Value v = open.back();
      open.pop_back();
      result.push_back(v);
      for (const Value& input : v.node().inputs) {
        if (input.node().id < first_ || substitution_.contains(input)) continue;
        if (seen.insert(input).second) {
          open.push_back(input);
        }
      }
    }
    std::sort(result.begin(), result.end(),
              [](const Value& a, const Value& b) { return ValueOrder()(a, b); });
    return result;
  }

  Value of(const Value& v) const {
    const auto found = substitution_.find(v);
    if (found != substitution_.end()) return found->second;
    const auto done = done_.find(v);
    return done != done_.end() ? done->second : v;
  }

  void rebuild_node(const Value& v) {
    const Node& node = v.node();
    std::vector<Value> inputs;
    bool changed = false;
    for (const Value& input : node.inputs) {
      inputs.push_back(of(input));
      changed = changed || inputs.back() != input;
    }
    Value result = v;
    if (edit_ != nullptr && edit_->node == &node) {
      result = edit_->build(inputs);
    } else if (changed) {
      result = again(node, std::move(inputs), v.index());
    }
    done_[v] = result;
  }

  static Value again(const Node& node, std::vector<Value> inputs, std::size_t index) {
    Graph& graph = inputs[0].graph();
    const auto same_shape = [](const Value& a, const Value& b) { return a.shape() == b.shape(); };
    if (!std::equal(inputs.begin(), inputs.end(), node.inputs.begin(), same_shape)) {
      if (is(node, "broadcast_to")) return inputs[0];  // its reader stretches it as needed
      if (node.op->elementwise && inputs.size() > 1) {
        Shape shape;
        for (Value& input : inputs) {
          input = before_stretching(input);
          shape = joined(shape, input.shape());
        }
        for (Value& input : inputs) input = stretched(input, shape);
      } else if (!is(node, "matmul") && !is(node, "reshape")) {
        // Axes and permutations mean what they say only for as many axes as there were.
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          if (inputs[i].shape().size() != node.inputs[i].shape().size()) {
            throw ShapeError("another number of axes");
          }
        }
      }
    }
    return graph.append(*node.op, std::move(inputs), node.attributes).output(index);
  }

  const Substitution& substitution_;
  Substitution done_;
  const Edit* edit_;
  std::int64_t first_ = std::numeric_limits<std::int64_t>::max();  // node that changes
};

}  // namespace

Value rebuild(Value root, const Substitution& substitution, const Edit* edit) {
  return Rebuilding(substitution, edit).run(root);
}

Value seen_through(const Relation& relation, Value truth, const Shape& shape) {
  Value seen = relation.transposed ? transpose(truth) : truth;
  if (seen.shape() != shape) seen = reshape(seen, shape);
  return relation.factor == 1 ? seen : seen * relation.factor;
}

}  // namespace chainrule::backprop
