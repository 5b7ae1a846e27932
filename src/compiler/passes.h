// The compiler's passes: functions from graph to graph, each with a name and one job, each keeping
// what the reference interpreter computes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "chainrule/graph.h"

namespace chainrule {

using GraphPtr = std::unique_ptr<Graph>;

/// What to put in the place of a node: its outputs, built in the target graph; nullopt copies it.
/// `inputs` are the node's inputs as they are in the target graph.
using Rule = std::function<std::optional<std::vector<Value>>(const Node& node,
                                                             const std::vector<Value>& inputs)>;

/// Copies the graph node by node, with `rule` applied to each. Names and notes move along. A rule
/// that builds nodes without inputs finds the target graph through `target`.
GraphPtr rewrite(const Graph& graph, const std::function<Rule(Graph& target)>& make_rule);

/// One round of algebra: local rules, each stated beside its reason.
GraphPtr apply_algebra(const Graph& graph);
/// Joins nodes of equal op, inputs and attributes.
GraphPtr join_equal_nodes(const Graph& graph);
/// Drops what no output and no update needs.
GraphPtr drop_unused(const Graph& graph);
/// Replaces macro ops by their expansion, unless `keep` says that a kernel exists.
GraphPtr expand_macros(const Graph& graph, const std::function<bool(const Node&)>& keep);
/// Lets a matmul read its operand transposed instead of after a transpose.
GraphPtr fold_transposes(const Graph& graph);
/// Lets [z > 0] read relu(z), so that z need not outlive the forward pass.
GraphPtr reuse_relu(const Graph& graph);
/// Lets max pooling read z instead of relu(z).
GraphPtr pool_before_relu(const Graph& graph);
/// Groups elementwise chains, and a matrix product or update with its chain, into `fused` nodes.
GraphPtr fuse(const Graph& graph);

/// Whether a sum, mean or variance goes over all axes but the last of at least three.
bool reduces_to_channels(const Node& reduction);

/// How a broadcast operand is read while its result is walked in order: element i of the result is
/// element (i / inner) % period of the operand.
struct Walk {
  std::int64_t inner = 1;
  std::int64_t period = 1;
};

/// The walk of an operand of shape `from` stretched to `to`; nullopt when it is no simple one.
std::optional<Walk> broadcast_walk(const Shape& from, const Shape& to);

}  // namespace chainrule
