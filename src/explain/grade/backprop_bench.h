// Where a hand-written backward pass is tried out: a copy of its graph, random numbers for its
// sources, and the means to compute a value in another way and to compare it with the truth.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/reference/lazy.h"
#include "graph/value_map.h"

namespace chainrule::backprop {

/// What stands in the place of some values.
using Substitution = ValueMap<Value>;

/// Another way to compute one node.
struct Edit {
  const Node* node = nullptr;
  std::function<Value(const std::vector<Value>& inputs)> build;  // inputs as they were rebuilt
};

/// `root`, computed anew with other values in the place of some and one node edited. Elementwise
/// nodes adapt to operands whose shape has changed, by NumPy's rule. A value that stands for itself
/// in the substitution is left as it is, with all before it; the root itself is never substituted.
///
/// throws  ShapeError when the shapes no longer fit.
Value rebuild(Value root, const Substitution& substitution, const Edit* edit = nullptr);

/// value = factor · (truth, perhaps transposed or laid out in another shape).
struct Relation {
  double factor = 1;
  bool transposed = false;
  bool reshaped = false;
  bool vanishing = false;  // both are 0 but for rounding, and the factor says nothing
};

/// `truth` seen through a relation, in the shape `shape`.
Value seen_through(const Relation& relation, Value truth, const Shape& shape);

class Bench {
 public:
  /// A copy of the graph in which the tiny constants that guard logarithms and divisions are 0, so
  /// that right formulas which ignore them are equal and not only close.
  Bench(const Graph& graph, TensorMap feed);

  Graph& graph() { return graph_; }
  /// A value of the original graph, here.
  Value here(Value original) const {
    return here_[static_cast<std::size_t>(original.node().id)][original.index()];
  }

  /// Draws random numbers for the sources that `loss` depends on, so that all of `finite` is finite
  /// and as free of coincidence as random numbers are. Labels and one-hot rows stay as they are.
  void draw(Value loss, const std::vector<Value>& finite);

  /// The elements of a value for all draws, one draw after another.
  std::vector<double> numbers(Value v);

  /// Lets go of the numbers of nodes that were tried out: those from `first` on.
  void forget(std::int64_t first);

  /// How `value` follows from `truth` for all draws; nothing when it does not.
  std::optional<Relation> relate(Value value, Value truth);

  /// The coefficients c with value = Σ cᵢ·termsᵢ for all draws, if there are any and they are
  /// unique.
  std::optional<std::vector<double>> combine(Value value, const std::vector<Value>& terms);

 private:
  // The sources' numbers, and what was computed from them so far.
  struct Draw {
    Draw(const Graph& graph, TensorMap drawn) : feed(std::move(drawn)), values(graph) {}
    const std::vector<double>& numbers(Value v) { return values.value(v, feed).data; }
    TensorMap feed;
    LazyEvaluation values;
  };

  Graph graph_{"program"};
  TensorMap feed_;
  std::vector<std::vector<Value>> here_;
  std::vector<Draw> draws_;
};

}  // namespace chainrule::backprop
