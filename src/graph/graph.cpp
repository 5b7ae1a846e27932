// The graph's storage: nodes in a deque, handles to them, and the lists of what goes in and out.
#include "chainrule/graph.h"

#include <algorithm>

#include "chainrule/error.h"
#include "graph/op.h"

namespace chainrule {
namespace {

template <typename T>
const T& attribute(const Node& node, std::string_view name) {
  for (const Attribute& a : node.attributes) {
    if (a.name == name) return std::get<T>(a.value);
  }
  throw Error(std::string(node.op->name) + ": no attribute " + std::string(name));
}

// A source's value comes from outside the graph: its type and name are given, not inferred.
Types type_as_stored(const Node& node) { return node.types; }

const Op kInput{checked({
    .name = "input",
    .formula = "{name}",
    .inputs = 0,
    .source = true,
    .infer = type_as_stored,
    .grad = not_differentiable,
})};

const Op kParameter{checked({
    .name = "parameter",
    .formula = "{name}",
    .inputs = 0,
    .source = true,
    .infer = type_as_stored,
    .grad = not_differentiable,
})};

// Whatever a shape rule makes of its inputs and attributes: no node is larger than memory, so that
// extents may be multiplied wherever nodes are read.
void require_sizes(const Node& node) {
  try {
    for (const Type& type : node.types) element_count(type.shape);
  } catch (const ShapeError& error) {
    bad_shape(node, error.what());
  }
}

}  // namespace

Graph::Graph(std::string name) : name_(std::move(name)) {}
Graph::~Graph() = default;

Graph& Value::graph() const { return *node_->graph; }
const Type& Value::type() const { return node_->types[index_]; }
const std::string& Value::name() const { return node_->names[index_]; }

std::int64_t Value::extent(std::int64_t axis) const {
  return shape()[static_cast<std::size_t>(normal_axis(axis, shape()))];
}

Value Value::named(std::string name) const {
  graph().set_name(*this, std::move(name));
  return *this;
}

std::int64_t Node::integer(std::string_view name) const {
  return attribute<std::int64_t>(*this, name);
}
bool Node::flag(std::string_view name) const {
  return std::any_of(attributes.begin(), attributes.end(), [&](const Attribute& a) {
    return a.name == name && std::get<std::int64_t>(a.value) != 0;
  });
}
double Node::real(std::string_view name) const { return attribute<double>(*this, name); }
const std::vector<std::int64_t>& Node::integers(std::string_view name) const {
  return attribute<std::vector<std::int64_t>>(*this, name);
}
const std::string& Node::text(std::string_view name) const {
  return attribute<std::string>(*this, name);
}

std::optional<double> constant_value(const Value& value) {
  if (!is(value, "constant")) return std::nullopt;
  return value.node().real("value");
}

bool is(const Node& node, std::string_view op) { return node.op->name == op; }
bool is(const Value& value, std::string_view op) { return is(value.node(), op); }

Value Graph::source(const Op& op, std::string name, Type type) {
  const auto taken = [&](const Value& v) { return v.name() == name; };
  if (std::any_of(inputs_.begin(), inputs_.end(), taken) ||
      std::any_of(parameters_.begin(), parameters_.end(), taken)) {
    throw UsageError("graph " + name_ + ": there is already an input called " + name);
  }
  Node node;
  node.op = &op;
  node.types = {std::move(type)};
  node.names = {std::move(name)};
  node.id = static_cast<std::int64_t>(nodes_.size());
  node.graph = this;
  require_sizes(node);
  return nodes_.emplace_back(std::move(node)).output();
}

Value Graph::input(std::string name, Type type) {
  return inputs_.emplace_back(source(kInput, std::move(name), std::move(type)));
}

Value Graph::parameter(std::string name, Type type) {
  return parameters_.emplace_back(source(kParameter, std::move(name), std::move(type)));
}

void Graph::output(std::string name, Value value) { outputs_.emplace_back(std::move(name), value); }

void Graph::update(Value parameter, Value next) {
  if (parameter.type() != next.type()) {
    throw ShapeError("update of " + parameter.name() + ": expected " + to_string(parameter.type()) +
                     ", got " + to_string(next.type()));
  }
  updates_.emplace_back(parameter, next);
}

const Node& Graph::append(const Op& op, std::vector<Value> inputs, Attributes attributes,
                          std::shared_ptr<const Graph> body) {
  if (op.inputs != kAnyInputs && inputs.size() != static_cast<std::size_t>(op.inputs)) {
    throw UsageError(std::string(op.name) + ": expected " + std::to_string(op.inputs) +
                     " inputs, got " + std::to_string(inputs.size()));
  }
  for (const Value& input : inputs) {
    if (!input || &input.graph() != this) {
      throw UsageError(std::string(op.name) + ": an input belongs to another graph");
    }
  }
  Node node;
  node.op = &op;
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  node.body = std::move(body);
  node.id = static_cast<std::int64_t>(nodes_.size());
  node.graph = this;
  node.types = op.infer(node);
  require_sizes(node);
  node.names.resize(node.types.size());
  return nodes_.emplace_back(std::move(node));
}

Value Graph::find(std::string_view name) const {
  for (const std::vector<Value>* list : {&inputs_, &parameters_}) {
    for (const Value& value : *list) {
      if (value.name() == name) return value;
    }
  }
  std::string known;
  for (const std::vector<Value>* list : {&inputs_, &parameters_}) {
    for (const Value& value : *list) known += (known.empty() ? "" : ", ") + value.name();
  }
  throw UsageError("graph " + name_ + ": no input or parameter \"" + std::string(name) +
                   "\"; there are " + known);
}

void Graph::set_name(Value value, std::string name) {
  nodes_[static_cast<std::size_t>(value.node().id)].names[value.index()] = std::move(name);
}

void Graph::set_note(const Node& node, std::string note) {
  nodes_[static_cast<std::size_t>(node.id)].note = std::move(note);
}

}  // namespace chainrule
