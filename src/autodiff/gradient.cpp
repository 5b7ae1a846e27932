// Reverse-mode differentiation, graph to graph. The walk goes backwards over the nodes that lie on
// a path from `wrt` to `y`, asks each for its gradient rule, and adds up what arrives at each
// value. The rules live with the ops; no op is known here by name.
#include "chainrule/gradient.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "graph/value_map.h"

namespace chainrule {
namespace {

// A value and its cotangent, from which a walk begins.
struct Seed {
  Value y;
  Value dy;
};

// The first node that any of them comes from: nothing before it depends on them.
std::int64_t earliest(const std::vector<Value>& values) {
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  for (const Value& value : values) first = std::min(first, value.node().id);
  return first;
}

// For each node up to the last of y: does it depend, through real numbers, on any of wrt?
std::vector<bool> dependent_nodes(const std::vector<Seed>& seeds, const std::vector<Value>& wrt) {
  const std::deque<Node>& nodes = seeds.front().y.graph().nodes();
  std::vector<bool> depends(nodes.size(), false);
  for (const Value& value : wrt) depends[static_cast<std::size_t>(value.node().id)] = true;
  std::int64_t last = 0;
  for (const Seed& seed : seeds) last = std::max(last, seed.y.node().id);
  for (std::int64_t id = earliest(wrt); id <= last; ++id) {
    const auto i = static_cast<std::size_t>(id);
    for (const Value& input : nodes[i].inputs) {
      if (input.dtype() == DType::kF32 && depends[static_cast<std::size_t>(input.node().id)]) {
        depends[i] = true;
      }
    }
  }
  return depends;
}

std::set<std::string> names_of(const Graph& graph) {
  std::set<std::string> names;
  for (const Node& node : graph.nodes()) names.insert(node.names.begin(), node.names.end());
  return names;
}

// The cotangents of all values between `wrt` and the seeds, and the naming of them.
class Backpropagation {
 public:
  // Nodes before `first` are left alone: there the walk ends.
  Backpropagation(const std::vector<Seed>& seeds, const std::vector<Value>& wrt, bool gives_names,
                  std::int64_t first = 0)
      : graph_(seeds.front().y.graph()),
        depends_(dependent_nodes(seeds, wrt)),
        gives_names_(gives_names) {
    first = std::max(first, earliest(wrt));
    std::int64_t last = 0;
    for (const Seed& seed : seeds) {
      add(seed.y, seed.dy);
      last = std::max(last, seed.y.node().id);
    }
    for (std::int64_t id = last; id >= first; --id) {
      if (depends(id)) visit(graph_.nodes()[static_cast<std::size_t>(id)]);
    }
  }

  std::vector<Value> cotangents_of(const std::vector<Value>& values) const {
    std::vector<Value> result;
    for (const Value& value : values) {
      const auto found = cotangents_.find(value);
      result.push_back(found != cotangents_.end() ? found->second
                                                  : constant(graph_, 0.0, value.shape()));
    }
    return result;
  }

 private:
  bool depends(std::int64_t id) const { return depends_[static_cast<std::size_t>(id)]; }

  void add(Value value, Value d) {
    Value& total = cotangents_[value];
    total = total ? total + d : d;
  }

  // All that reads this node has been visited, so its cotangents are complete.
  void visit(const Node& node) {
    std::vector<Value> dy(node.types.size());
    for (std::size_t index = 0; index < dy.size(); ++index) {
      const auto found = cotangents_.find(node.output(index));
      if (found == cotangents_.end()) continue;
      dy[index] = found->second;
      give_name(node.output(index), dy[index]);
    }
    const auto arrived = std::find_if(dy.begin(), dy.end(), [](const Value& d) { return bool{d}; });
    const bool leads_on = std::any_of(node.inputs.begin(), node.inputs.end(),
                                      [&](const Value& input) { return depends(input.node().id); });
    if (arrived == dy.end() || !leads_on) return;
    pass_back(node, dy, static_cast<std::size_t>(arrived - dy.begin()));
  }

  void pass_back(const Node& node, const std::vector<Value>& dy, std::size_t first) {
    const auto first_new = static_cast<std::int64_t>(graph_.nodes().size());
    const Grads grads = apply_rule(node, dy, first);
    for (std::size_t i = 0; i < grads.size(); ++i) {
      if (grads[i] && depends(node.inputs[i].node().id)) add(node.inputs[i], grads[i]);
    }
    const auto end = static_cast<std::int64_t>(graph_.nodes().size());
    for (std::int64_t id = first_new; id < end; ++id) {
      graph_.set_note(graph_.nodes()[static_cast<std::size_t>(id)],
                      "grad of " + text_name(node.output(first)));
    }
  }

  static Grads apply_rule(const Node& node, const std::vector<Value>& dy, std::size_t first) {
    if (node.op->joint_grad != nullptr) {
      Grads grads = node.op->joint_grad(node, dy);
      if (!grads.empty()) return grads;
    } else if (node.op->grad != gradient_of_expansion) {
      return node.op->grad(node, dy[first]);  // an op with such a rule has one output
    }
    // The walk ends at the node's inputs, which to its gradient are independent of each other even
    // where one is computed from another.
    const auto first_new = static_cast<std::int64_t>(node.graph->nodes().size());
    const std::vector<Value> expanded = node.op->expand(node);
    std::vector<Seed> seeds;
    for (std::size_t i = 0; i < dy.size(); ++i) {
      if (dy[i]) seeds.push_back({expanded[i], dy[i]});
    }
    Grads grads = Backpropagation(seeds, node.inputs, false, first_new).cotangents_of(node.inputs);
    for (auto input = node.inputs.begin(); input != node.inputs.end(); ++input) {
      // A value that is given twice gets its cotangent, which is of both together, once.
      if (std::find(node.inputs.begin(), input, *input) != input) {
        grads[static_cast<std::size_t>(input - node.inputs.begin())] = Value();
      }
    }
    return grads;
  }

  // A second gradient in the same graph finds the name dZ1 taken and leaves its own nodes unnamed.
  void give_name(Value value, Value d) {
    if (!gives_names_ || value.name().empty() || !d.name().empty()) return;
    if (names_.empty()) names_ = names_of(graph_);
    const std::string name = "d" + value.name();
    if (names_.insert(name).second) d.named(name);
  }

  Graph& graph_;
  std::vector<bool> depends_;
  bool gives_names_;
  std::set<std::string> names_;
  ValueMap<Value> cotangents_;
};

}  // namespace

std::vector<Value> gradient(Value y, const std::vector<Value>& wrt, Value dy) {
  if (!dy && !y.shape().empty()) {
    throw ShapeError("gradient: expected a scalar, got " + to_string(y.type()) +
                     "; reduce it with sum or mean, or give a cotangent");
  }
  if (dy && dy.type() != y.type()) {
    throw ShapeError("gradient: expected a cotangent " + to_string(y.type()) + ", got " +
                     to_string(dy.type()));
  }
  const Seed seed{y, dy ? dy : constant(y.graph(), 1.0)};
  return Backpropagation({seed}, wrt, true).cotangents_of(wrt);
}

}  // namespace chainrule
