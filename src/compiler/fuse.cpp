// Fusion. An elementwise node whose every reader lies in one group joins that group, so a group is
// a tree of work with one result: no cycle can arise and nothing inside needs memory. A sum for
// each channel takes the elementwise nodes that it alone reads. A matrix product joins the group,
// or the update, that alone reads it: the backend then finishes each block of the product while it
// is in cache.
#include <algorithm>
#include <map>
#include <set>

#include "chainrule/ops.h"
#include "compiler/passes.h"
#include "graph/copy.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// ── fused ────────────────────────────────────────────────────────────────────
// A node with a body: the body's inputs stand for the node's inputs, its outputs for the node's.
const Op kFused{checked({
    .name = "fused",
    .formula = "fused({*})",
    .latex = R"(\operatorname{fused}\left({*}\right))",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) -> Types {
      Types types;
      for (const auto& [name, value] : n.body->outputs()) types.push_back(value.type());
      return types;
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      Graph& target = n.inputs.front().graph();
      ValueMap<Value> moved;
      std::size_t next_input = 0;
      for (const Node& node : n.body->nodes()) {
        if (node.op->source) {
          moved[node.output()] = n.inputs[next_input++];
          continue;
        }
        std::vector<Value> inputs;
        for (const Value& input : node.inputs) inputs.push_back(moved.at(input));
        const std::vector<Value> copies = copy_node(node, target, std::move(inputs));
        for (std::size_t i = 0; i < copies.size(); ++i) moved[node.output(i)] = copies[i];
      }
      std::vector<Value> outputs;
      for (const auto& [name, value] : n.body->outputs()) outputs.push_back(moved.at(value));
      return outputs;
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          const auto body = std::make_shared<Graph>("body");
          const Value x = body->input("x", {DType::kF32, {2, 3}});
          const Value b = body->input("b", {DType::kF32, {3}});
          body->output("y", tanh(x + b));
          s.check(s.graph()
                      .append(kFused, {s.uniform({2, 3}, -1, 1), s.uniform({3}, -1, 1)}, {}, body)
                      .output());
        },
})};

using Group = std::int64_t;  // the id of the node whose outputs the group gives
constexpr Group kNoGroup = -1;

class Grouping {
 public:
  explicit Grouping(const Graph& graph) : graph_(graph), group_(graph.nodes().size(), kNoGroup) {
    readers_.resize(graph.nodes().size());
    for (const Node& node : graph.nodes()) {
      for (const Value& input : node.inputs) readers_[index(input.node())].push_back(&node);
    }
    for (const auto& [name, value] : graph.outputs()) kept_.insert(value.node().id);
    for (const auto& [parameter, next] : graph.updates()) kept_.insert(next.node().id);
    for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node) assign(*node);
  }

  Group of(const Node& node) const { return group_[index(node)]; }

  // Broadcasts and constants are ways of reading, not work: every group holds its own copy.
  static bool is_way_of_reading(const Node& node) {
    if (is(node, "constant")) return true;
    return is(node, "broadcast_to") && node.types[0].dtype == DType::kF32 &&
           broadcast_walk(node.inputs[0].shape(), node.types[0].shape).has_value();
  }

 private:
  static std::size_t index(const Node& node) { return static_cast<std::size_t>(node.id); }

  // The group of all that read this node, if there is only one.
  Group common_reader(const Node& node) const {
    if (kept_.contains(node.id) || readers_[index(node)].empty()) return kNoGroup;
    const Group first = of(*readers_[index(node)].front());
    for (const Node* reader : readers_[index(node)]) {
      if (of(*reader) != first) return kNoGroup;
    }
    return first;
  }

  bool has_product(Group group) const { return products_.contains(group); }

  // May this product be finished by the group's elementwise chain or update?
  bool accepts_product(Group group, const Node& product) const {
    if (group == kNoGroup || has_product(group)) return false;
    // A product with leading batch axes is many products.
    if (is(product, "matmul") && product.types[0].shape.size() != 2) return false;
    const Node& root = graph_.nodes()[static_cast<std::size_t>(group)];
    const std::vector<const Node*>& readers = readers_[index(product)];
    if (root.op->update) {
      // Only as the gradient, the input that follows the states.
      return readers.size() == 1 && readers[0] == &root &&
             root.inputs[root.types.size()] == product.output() &&
             std::count(root.inputs.begin(), root.inputs.end(), product.output()) == 1;
    }
    return root.op->elementwise && root.types[0].shape == product.types[0].shape &&
           std::none_of(readers.begin(), readers.end(),
                        [](const Node* r) { return is(*r, "broadcast_to"); });
  }

  void assign(const Node& node) {
    const Group group = common_reader(node);
    if (is_way_of_reading(node)) return;
    if (node.op->update || sums_channels_of_chain(node)) {
      group_[index(node)] = node.id;
    } else if (node.op->product) {
      if (accepts_product(group, node)) {
        group_[index(node)] = group;
        products_.insert(group);
      }
    } else if (node.op->elementwise) {
      group_[index(node)] = joins(node, group) ? group : node.id;
    }
  }

  // A sum over all axes but the last of an elementwise node that nothing else reads.
  bool sums_channels_of_chain(const Node& node) const {
    if (!is(node, "sum") && !is(node, "mean")) return false;
    const Node& x = node.inputs[0].node();
    return reduces_to_channels(node) && x.op->elementwise && !kept_.contains(x.id) &&
           readers_[index(x)].size() == 1 && element_count(x.types[0].shape) > 0;
  }

  // The shape over which a group's nodes are computed.
  const Shape& shape_of(const Node& root) const {
    return root.op->elementwise || root.op->update ? root.types[0].shape : root.inputs[0].shape();
  }

  bool joins(const Node& node, Group group) const {
    if (group == kNoGroup) return false;
    const Node& root = graph_.nodes()[static_cast<std::size_t>(group)];
    // What a product reads must lie in memory, also when the product belongs to the group.
    const std::vector<const Node*>& readers = readers_[index(node)];
    return !root.op->update && shape_of(root) == node.types[0].shape &&
           std::none_of(readers.begin(), readers.end(),
                        [](const Node* r) { return r->op->product; });
  }

  const Graph& graph_;
  std::vector<Group> group_;
  std::vector<std::vector<const Node*>> readers_;
  std::set<std::int64_t> kept_;
  std::set<Group> products_;
};

// The body of one group: its nodes in order, with an input for every value from outside.
class Body {
 public:
  void add(const Node& node) {
    std::vector<Value> inputs;
    for (const Value& input : node.inputs) {
      // The arrays of an update (parameter, states, gradient) and of a product must lie in memory.
      const bool array =
          node.op->product || (node.op->update && inputs.size() <= node.types.size());
      inputs.push_back(inner_or_input(input, !array));
    }
    const std::vector<Value> copies = copy_node(node, *graph, std::move(inputs));
    for (std::size_t i = 0; i < copies.size(); ++i) inner_[node.output(i)] = copies[i];
  }

  Value inner(const Value& v) const { return inner_.at(v); }

  std::shared_ptr<Graph> graph = std::make_shared<Graph>("body");
  std::vector<Value> outside;  // what the body's inputs stand for, in the old graph

 private:
  Value inner_or_input(const Value& v, bool may_absorb) {
    const auto found = inner_.find(v);
    if (found != inner_.end()) return found->second;
    if (may_absorb && Grouping::is_way_of_reading(v.node())) {
      add(v.node());
      return inner(v);
    }
    const std::string name = "x" + std::to_string(outside.size());
    outside.push_back(v);
    return inner_[v] = graph->input(name, v.type());
  }

  ValueMap<Value> inner_;
};

}  // namespace

std::optional<Walk> broadcast_walk(const Shape& from, const Shape& to) {
  // Written over `to`'s axes, a simple walk is: repeated axes, then real ones, then repeated ones.
  const std::size_t leading = to.size() - from.size();
  Walk walk;
  std::size_t axis = to.size();
  const auto extent = [&](std::size_t i) { return i < leading ? 1 : from[i - leading]; };
  while (axis > 0 && (extent(axis - 1) == 1)) walk.inner *= to[--axis];
  while (axis > 0 && (extent(axis - 1) == to[axis - 1])) walk.period *= to[--axis];
  while (axis > 0 && extent(axis - 1) == 1) --axis;
  if (axis > 0) return std::nullopt;
  return walk;
}

bool reduces_to_channels(const Node& reduction) {
  const auto last = static_cast<std::int64_t>(reduction.inputs[0].shape().size()) - 1;
  const std::vector<std::int64_t>& axes = reduction.integers("axes");
  return last >= 2 && static_cast<std::int64_t>(axes.size()) == last && axes.front() == 0 &&
         axes.back() == last - 1;
}

GraphPtr fuse(const Graph& graph) {
  const Grouping groups(graph);
  std::map<Group, Body> bodies;
  for (const Node& node : graph.nodes()) {
    const Group group = groups.of(node);
    if (group != kNoGroup) bodies[group].add(node);
  }
  for (auto& [group, body] : bodies) {
    const Node& root = graph.nodes()[static_cast<std::size_t>(group)];
    for (std::size_t i = 0; i < root.types.size(); ++i) {
      const std::string name = "y" + std::to_string(i);
      body.graph->output(name, body.inner(root.output(i)));
    }
  }

  std::vector<std::vector<Value>> moved(graph.nodes().size());
  const GraphPtr fused = rewrite(graph, [&](Graph& target) -> Rule {
    return [&](const Node& node,
               const std::vector<Value>& inputs) -> std::optional<std::vector<Value>> {
      std::vector<Value>& outputs = moved[static_cast<std::size_t>(node.id)];
      const Group group = groups.of(node);
      if (group != kNoGroup && group != node.id) return std::vector<Value>(node.types.size());
      if (group == kNoGroup) {
        return outputs = copy_node(node, target, inputs);
      }
      const Body& body = bodies.at(group);
      std::vector<Value> outside;
      for (const Value& v : body.outside) {
        outside.push_back(v.node().op->source
                              ? target.find(v.name())
                              : moved[static_cast<std::size_t>(v.node().id)][v.index()]);
      }
      const Node& copy = target.append(kFused, outside, {}, body.graph);
      for (std::size_t i = 0; i < node.types.size(); ++i) outputs.push_back(copy.output(i));
      return outputs;
    };
  });
  return drop_unused(*fused);
}

}  // namespace chainrule
