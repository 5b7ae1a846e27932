// The reference interpreter, run only as far as somebody asks.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "chainrule/reference.h"
#include "graph/op.h"

namespace chainrule {

/// What one node computes, in float64.
///
/// requires  `in` holds an array for each input of the node; the node is no source.
std::vector<Array> computed_by(const Node& node, std::span<const Array* const> in);

/// The array of an input or parameter.
///
/// throws  UsageError for a missing name; ShapeError for a wrong shape.
Array fed(const Node& source, const TensorMap& feed);

/// Values of a graph that may still grow. Each is computed when it is first asked for, with what it
/// is computed from, and kept until it is forgotten.
class LazyEvaluation {
 public:
  explicit LazyEvaluation(const Graph& graph) : graph_(graph) {}

  /// A value as the graph computes it from `feed`, which must be the same each time.
  ///
  /// throws  as Evaluation; nothing is kept of the node that failed.
  const Array& value(Value v, const TensorMap& feed);

  /// Lets go of the values of all nodes from `first` on.
  void forget(std::int64_t first);

 private:
  bool is_known(std::int64_t id) const {
    return static_cast<std::size_t>(id) < known_.size() &&
           !known_[static_cast<std::size_t>(id)].empty();
  }
  const Graph& graph_;
  std::vector<std::vector<Array>> known_;  // by node; empty for one that is not known
};

}  // namespace chainrule
