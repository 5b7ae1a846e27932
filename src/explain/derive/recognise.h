// What people write out by hand, seen as what it is.
#pragma once

#include <memory>

#include "chainrule/graph.h"

namespace chainrule {

/// The graph with relu, sigmoid, softmax, log_softmax and the cross-entropy of a softmax in the
/// place of the arithmetic that spells them, however the largest score was taken off first.
///
/// ensures  the same outputs and names; every value equal up to rounding. Gradients agree wherever
///          they exist; at exactly 0 the gradient of max(x, 0) becomes relu's, 0.
std::unique_ptr<Graph> recognise(const Graph& graph);

/// [z > 0] read off relu(z), where z has no name of its own.
std::unique_ptr<Graph> name_masks(const Graph& graph);

}  // namespace chainrule
