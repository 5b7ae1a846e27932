// The registry of ops, emission of nodes, and the shape rules that many ops share.
#include "graph/op.h"

#include <algorithm>

#include "chainrule/error.h"

namespace chainrule {
namespace {

// Filled by the ops' own constructors before main() starts, and only read after that.
std::vector<const Op*>& registry() {
  static std::vector<const Op*> ops;
  return ops;
}

}  // namespace

Op::Op(OpRules rules) : OpRules(rules) { registry().push_back(this); }
Op::~Op() { std::erase(registry(), this); }

std::vector<const Op*> all_ops() {
  std::vector<const Op*> ops = registry();
  std::sort(ops.begin(), ops.end(), [](const Op* a, const Op* b) { return a->name < b->name; });
  return ops;
}

Grads not_differentiable(const Node& node, Value) {
  throw Error(std::string(node.op->name) + " has no derivative");
}

Grads gradient_of_expansion(const Node& node, Value) {
  throw Error(std::string(node.op->name) + ": only gradient() expands a node");
}

const Node& emit_node(const Op& op, std::vector<Value> inputs, Attributes attributes) {
  if (inputs.empty() || !inputs.front()) throw Error(std::string(op.name) + ": no input given");
  Graph& graph = inputs.front().graph();
  return graph.append(op, std::move(inputs), std::move(attributes));
}

Value emit(const Op& op, std::vector<Value> inputs, Attributes attributes) {
  return emit_node(op, std::move(inputs), std::move(attributes)).output();
}

std::vector<Value> expand_onto(const Node& node, const std::vector<Value>& inputs) {
  // A node outside any list: rules read their inputs and attributes from it, and nothing else.
  Node copy = node;
  copy.inputs = inputs;
  copy.graph = &inputs.front().graph();
  return node.op->expand(copy);
}

void bad_shape(const Node& node, const std::string& message) {
  throw ShapeError(std::string(node.op->name) + ": " + message);
}

Types same_as_input(const Node& node) { return {node.inputs[0].type()}; }

Types same_as_all_inputs(const Node& node) {
  for (const Value& input : node.inputs) {
    if (input.dtype() != DType::kF32)
      bad_shape(node, "expected f32, got " + to_string(input.type()));
    if (input.type() != node.inputs[0].type()) {
      bad_shape(node, "shapes differ: " + to_string(node.inputs[0].shape()) + " and " +
                          to_string(input.shape()));
    }
  }
  return {node.inputs[0].type()};
}

std::int64_t normal_axis(std::int64_t axis, const Shape& shape) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  const std::int64_t normal = axis < 0 ? axis + rank : axis;
  if (normal < 0 || normal >= rank) {
    throw ShapeError("axis " + std::to_string(axis) + " does not exist in shape " +
                     to_string(shape));
  }
  return normal;
}

}  // namespace chainrule
