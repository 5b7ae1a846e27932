// Graph to graph: the same values by fewer and plainer nodes.
#pragma once

#include <memory>

#include "chainrule/graph.h"

namespace chainrule {

/// An equal graph after algebra (x·1, x + 0, a transpose undone, folded constants, the Jacobians of
/// softmax and cross-entropy that cancel to p − t), with equal nodes joined and unused ones
/// dropped.
///
/// ensures  the same inputs, parameters, output names and updates; user names stay with their
///          values; every value equal up to rounding (and, for cross_entropy of a softmax, up to
///          its epsilon).
///
/// Example:  std::cout << to_text(*simplify(graph));
std::unique_ptr<Graph> simplify(const Graph& graph);

}  // namespace chainrule
