// Recurrent layers written out step by step, so that their backpropagation through time can be
// read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "chainrule/reference.h"
#include "chainrule/trace.h"

namespace chainrule {

/// The forward graph with each recurrent op replaced by its unrolled cell. The hidden state after
/// step t is called H1_t where the op's first weight is W1, its input at that step X_t where the
/// whole input is X, and what goes into the cell's activation Z1_t. Cells C1_t and
/// gates such as I1_t have the letters that the op states.
///
/// `sequences` receives an entry for each op, without Jacobians and layer.
std::unique_ptr<Graph> unroll_sequences(const Graph& graph, std::vector<TraceSequence>& sequences);

/// Computes the Jacobians of a sequence by backpropagation in `graph`, which unroll_sequences()
/// made.
void add_jacobians(const Graph& graph, const TensorMap& feed, TraceSequence& sequence);

}  // namespace chainrule
