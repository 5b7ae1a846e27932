// The one loop that all passes share: copy a graph node by node, replacing as a rule says.
#include <algorithm>
#include <string>
#include <unordered_map>

#include "compiler/passes.h"
#include "graph/copy.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// A replacement takes the user's name along, unless it has one of its own or comes from outside.
void move_names(const Node& from, const std::vector<Value>& to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const Value value = to[i];
    if (!value || from.names[i].empty() || !value.name().empty()) continue;
    if (value.node().op->source || is(value, "constant")) continue;
    value.named(from.names[i]);
  }
}

void move_note(const Node& from, Graph& target, std::size_t first_new) {
  if (from.note.empty()) return;
  for (std::size_t i = first_new; i < target.nodes().size(); ++i) {
    target.set_note(target.nodes()[i], from.note);
  }
}

}  // namespace

GraphPtr rewrite(const Graph& graph, const std::function<Rule(Graph& target)>& make_rule) {
  auto target = std::make_unique<Graph>(graph.name());
  const Rule rule = make_rule(*target);
  std::vector<std::vector<Value>> moved(graph.nodes().size());
  const auto new_value = [&](const Value& v) {
    return moved[static_cast<std::size_t>(v.node().id)][v.index()];
  };
  for (const Node& node : graph.nodes()) {
    std::vector<Value>& outputs = moved[static_cast<std::size_t>(node.id)];
    if (node.op->source) {
      outputs = {copy_source(node, *target)};
      continue;
    }
    std::vector<Value> inputs;
    for (const Value& input : node.inputs) inputs.push_back(new_value(input));
    const std::size_t first_new = target->nodes().size();
    if (std::optional<std::vector<Value>> replaced = rule(node, inputs)) {
      outputs = std::move(*replaced);
    } else {
      outputs = copy_node(node, *target, inputs);
    }
    move_names(node, outputs);
    move_note(node, *target, first_new);
  }
  for (const auto& [name, value] : graph.outputs()) target->output(name, new_value(value));
  for (const auto& [parameter, next] : graph.updates()) {
    target->update(new_value(parameter), new_value(next));
  }
  return target;
}

GraphPtr join_equal_nodes(const Graph& graph) {
  return rewrite(graph, [](Graph& target) -> Rule {
    // The text of a node says all that its value depends on.
    auto seen = std::make_shared<std::unordered_map<std::string, std::vector<Value>>>();
    return [seen, &target](const Node& node,
                           const std::vector<Value>& inputs) -> std::optional<std::vector<Value>> {
      if (node.body) return std::nullopt;
      std::string key(node.op->name);
      for (const Value& input : inputs) {
        key += ' ' + std::to_string(input.node().id) + '.' + std::to_string(input.index());
      }
      key += attributes_text(node.attributes);
      std::vector<Value>& outputs = (*seen)[key];
      if (outputs.empty()) outputs = copy_node(node, target, inputs);
      return outputs;
    };
  });
}

GraphPtr drop_unused(const Graph& graph) {
  std::vector<bool> needed(graph.nodes().size(), false);
  const auto need = [&](const Value& v) { needed[static_cast<std::size_t>(v.node().id)] = true; };
  for (const auto& [name, value] : graph.outputs()) need(value);
  for (const auto& [parameter, next] : graph.updates()) need(next);
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const Value& input : graph.nodes()[i].inputs) need(input);
  }
  return rewrite(graph, [&](Graph&) -> Rule {
    return [&](const Node& node, const std::vector<Value>&) -> std::optional<std::vector<Value>> {
      if (needed[static_cast<std::size_t>(node.id)]) return std::nullopt;
      return std::vector<Value>(node.types.size());  // nobody asks for these
    };
  });
}

GraphPtr expand_macros(const Graph& graph, const std::function<bool(const Node&)>& keep) {
  const auto is_expanded = [&](const Node& node) {
    return node.op->expand != nullptr && !keep(node);
  };
  GraphPtr expanded = rewrite(graph, [&](Graph&) -> Rule {
    return [&](const Node& node,
               const std::vector<Value>& inputs) -> std::optional<std::vector<Value>> {
      if (!is_expanded(node)) return std::nullopt;
      return expand_onto(node, inputs);
    };
  });
  // An expansion may hold macro ops itself.
  const bool done = std::none_of(expanded->nodes().begin(), expanded->nodes().end(), is_expanded);
  return done ? std::move(expanded) : expand_macros(*expanded, keep);
}

}  // namespace chainrule
