// The reference interpreter: runs a graph node by node in float64, by the meaning that each op
// states. Slow, simple, and the judge of everything faster.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "chainrule/graph.h"

namespace chainrule {

enum class Precision {
  kFloat64,  // as computed
  kFloat32,  // every node's result rounded to float32, to find where float32 overflows
};

/// Named arrays: a graph's inputs and parameters going in, its outputs coming out.
using TensorMap = std::map<std::string, Tensor, std::less<>>;

/// Everything that one run of a graph computed.
class Evaluation {
 public:
  /// Runs every node.
  ///
  /// `feed` holds a tensor for each input and parameter, of any dtype, in the graph's shapes.
  /// throws  UsageError for a missing name; ShapeError for a wrong shape, naming both; DataError
  ///         for an index or label out of range.
  ///
  /// Example:  double l = Evaluation(graph, {{"x", x}, {"w", w}}).scalar(loss);
  Evaluation(const Graph& graph, const TensorMap& feed, Precision precision = Precision::kFloat64);

  Evaluation(Evaluation&&) noexcept;
  ~Evaluation();

  /// Runs the nodes that the graph has gained since.
  ///
  /// throws  as the constructor; then the nodes after the failing one have no value.
  void extend(const TensorMap& feed);

  /// A value as f64 (i32 for integers).
  Tensor value(Value v) const;
  double scalar(Value v) const;
  /// The graph's outputs by name.
  TensorMap outputs() const;
  /// The parameters after the graph's updates, by name; those without update as they were.
  TensorMap updated() const;

 private:
  struct Values;
  const Graph& graph_;
  Precision precision_;
  std::unique_ptr<Values> values_;
};

}  // namespace chainrule
