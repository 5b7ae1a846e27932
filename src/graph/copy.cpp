// Values that are needed are found first, backwards, and copied in the order of the graph.
#include "graph/copy.h"

#include <cstdint>
#include <set>

#include "graph/op.h"

namespace chainrule {

Value copy_source(const Node& source, Graph& target) {
  return is(source, "parameter") ? target.parameter(source.names[0], source.types[0])
                                 : target.input(source.names[0], source.types[0]);
}

std::vector<Value> copy_node(const Node& node, Graph& target, std::vector<Value> inputs) {
  const Node& copy = target.append(*node.op, std::move(inputs), node.attributes, node.body);
  std::vector<Value> outputs;
  for (std::size_t i = 0; i < node.types.size(); ++i) outputs.push_back(copy.output(i));
  return outputs;
}

void GraphCopy::add(const std::vector<Value>& values) {
  std::set<std::int64_t> needed;
  std::vector<Value> open = values;
  while (!open.empty()) {
    const Value next = open.back();
    open.pop_back();
    if (copied_.contains(next) || !needed.insert(next.node().id).second) continue;
    open.insert(open.end(), next.node().inputs.begin(), next.node().inputs.end());
  }
  for (const std::int64_t id : needed) {
    add(values.front().graph().nodes()[static_cast<std::size_t>(id)]);
  }
}

Value GraphCopy::operator()(const Value& v) {
  add(std::vector{v});
  return copied_.at(v);
}

void GraphCopy::add(const Node& node) {
  if (node.op->source) return put(node.output(), copy_source(node, target_));
  if (constants_are_inputs_ && is(node, "constant") && !node.names[0].empty()) {
    return put(node.output(), target_.input(node.names[0], node.types[0]));
  }
  std::vector<Value> inputs;
  for (const Value& input : node.inputs) inputs.push_back(copied_.at(input));
  const std::vector<Value> outputs = copy_node(node, target_, std::move(inputs));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    put(node.output(i), outputs[i]);
    if (!node.names[i].empty()) outputs[i].named(node.names[i]);
  }
  target_.set_note(outputs[0].node(), node.note);
}

}  // namespace chainrule
