// The graph: a list of nodes, each an op applied to earlier values. A forward pass, its gradient
// and the parameter update are all such nodes; nothing runs here.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "chainrule/tensor.h"

namespace chainrule {

class Graph;
struct Node;
class Op;

/// What is known of a value before anything runs.
struct Type {
  DType dtype = DType::kF32;
  Shape shape;
  bool operator==(const Type&) const = default;
};

/// "f32[32,784]"; "f32[]" for a scalar.
std::string to_string(const Type& type);

/// One output of one node: a light handle, valid as long as its graph.
class Value {
 public:
  Value() = default;
  Value(const Node* node, std::size_t index) : node_(node), index_(index) {}

  /// False for the default-made handle, which stands for "no value".
  explicit operator bool() const { return node_ != nullptr; }
  bool operator==(const Value&) const = default;

  const Node& node() const { return *node_; }
  std::size_t index() const { return index_; }
  Graph& graph() const;
  const Type& type() const;
  const Shape& shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }
  /// The extent of an axis; negative axes count from the end.
  std::int64_t extent(std::int64_t axis) const;
  /// The name the user gave, or "".
  const std::string& name() const;
  /// Gives this value a name, which prints and errors then use, and returns it.
  Value named(std::string name) const;

 private:
  const Node* node_ = nullptr;
  std::size_t index_ = 0;
};

/// A constant of a node that is no value: an axis, a shape, a rate.
struct Attribute {
  std::string_view name;  // a literal
  std::variant<std::int64_t, double, std::vector<std::int64_t>, std::string> value;
  bool operator==(const Attribute&) const = default;
};
using Attributes = std::vector<Attribute>;

/// One op applied to values.
struct Node {
  const Op* op = nullptr;
  std::vector<Value> inputs;
  Attributes attributes;
  std::vector<Type> types;            // one an output
  std::vector<std::string> names;     // one an output; "" when the user gave none
  std::string note;                   // where the node came from, as "grad of Z1"
  std::shared_ptr<const Graph> body;  // what a fused node computes
  std::int64_t id = 0;                // position in the graph
  Graph* graph = nullptr;

  Value output(std::size_t index = 0) const { return {this, index}; }
  /// The attribute of that name; the first form throws Error when there is none.
  std::int64_t integer(std::string_view name) const;
  bool flag(std::string_view name) const;  // an integer that is not 0; false when there is none
  double real(std::string_view name) const;
  const std::vector<std::int64_t>& integers(std::string_view name) const;
  const std::string& text(std::string_view name) const;
};

/// True when `value` is computed by the op of that name.
bool is(const Value& value, std::string_view op);
bool is(const Node& node, std::string_view op);

/// The number that a constant is; nothing for any other value.
///
/// Example:  if (constant_value(x) == 0) …
std::optional<double> constant_value(const Value& value);

/// A list of nodes in the order in which they can be computed, with named inputs, parameters
/// (values that outlive a step: weights, moments, running statistics), outputs and updates.
class Graph {
 public:
  explicit Graph(std::string name = "graph");
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// A value that the caller supplies before each run.
  ///
  /// throws  UsageError when the name is taken.
  ///
  /// Example:  Value x = graph.input("x", {DType::kF32, {32, 784}});
  Value input(std::string name, Type type);

  /// A value that is kept from run to run and that updates may replace.
  Value parameter(std::string name, Type type);

  /// Makes `value` readable under `name` after a run.
  void output(std::string name, Value value);

  /// At the end of a run `parameter` takes the value `next`. All updates happen at once: every node
  /// reads the old values.
  ///
  /// requires  `parameter` was made by parameter(); equal types.
  /// throws    ShapeError naming both types.
  void update(Value parameter, Value next);

  /// Appends a node. Ops call it through emit(); it infers the output types.
  const Node& append(const Op& op, std::vector<Value> inputs, Attributes attributes = {},
                     std::shared_ptr<const Graph> body = nullptr);

  const std::string& name() const { return name_; }
  const std::deque<Node>& nodes() const { return nodes_; }
  const std::vector<Value>& inputs() const { return inputs_; }
  const std::vector<Value>& parameters() const { return parameters_; }
  const std::vector<std::pair<std::string, Value>>& outputs() const { return outputs_; }
  const std::vector<std::pair<Value, Value>>& updates() const { return updates_; }

  /// The input or parameter of that name.
  ///
  /// throws  UsageError listing the names there are.
  Value find(std::string_view name) const;

  void set_name(Value value, std::string name);
  void set_note(const Node& node, std::string note);

 private:
  Value source(const Op& op, std::string name, Type type);

  std::string name_;
  std::deque<Node> nodes_;  // a deque, so that handles to nodes stay valid
  std::vector<Value> inputs_;
  std::vector<Value> parameters_;
  std::vector<std::pair<std::string, Value>> outputs_;
  std::vector<std::pair<Value, Value>> updates_;
};

/// The text form: one line a node, with types, which golden tests hold still.
///
///     graph step(x: f32[32,784], t: i32[32]; w: f32[784,10]) {
///       a = matmul(x, w) : f32[32,10]
///       …
///       return loss = v9
///       update w = v12
///     }
std::string to_text(const Graph& graph);

/// The name by which the text form calls a value: the user's, or "v" and the node's number.
std::string text_name(const Value& value);

/// Checks that a graph is well formed: inputs come earlier and from the same graph, the stored
/// types are those that the ops infer, names are unique, updates fit their parameters.
///
/// throws  Error naming the first offending node.
void verify(const Graph& graph);

}  // namespace chainrule
