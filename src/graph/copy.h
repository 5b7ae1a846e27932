// From one graph to another.
#pragma once

#include <vector>

#include "graph/value_map.h"

namespace chainrule {

/// An input or a parameter of `target` with the name and type of this one.
Value copy_source(const Node& source, Graph& target);

/// The outputs of the same op on other inputs, with its attributes and its body; they have no names.
std::vector<Value> copy_node(const Node& node, Graph& target, std::vector<Value> inputs);

/// Copies values of one graph into another, each once, with their names and notes.
///
/// Example:  GraphCopy copy(part);
///           part.output("loss", copy(loss));
class GraphCopy {
 public:
  explicit GraphCopy(Graph& target) : target_(target) {}

  /// Lets constants with a name be inputs: the m of 1/m.
  void name_constants() { constants_are_inputs_ = true; }
  /// What stands for `from` in the copy.
  void put(const Value& from, const Value& to) { copied_[from] = to; }
  /// The copies of `values` and of all that they are computed from, as far as nothing stands for
  /// it, in the order of the original, so that sums keep theirs.
  void add(const std::vector<Value>& values);
  Value operator()(const Value& v);

 private:
  void add(const Node& node);

  Graph& target_;
  ValueMap<Value> copied_;
  bool constants_are_inputs_ = false;
};

}  // namespace chainrule
