// Which weights of a network are matrices between two others, as Muon wants them.
#pragma once

#include <vector>

#include "chainrule/graph.h"

namespace chainrule {

/// For each parameter: is it a matrix that multiplies, and does another of the matrices multiply
/// what comes of it, wherever it is used? False for biases and the scales of norms, which are
/// vectors, for tables of embeddings and positions, which are looked up or added, and for the
/// weights of the output layer, behind which only the loss stands.
///
/// requires  the nodes up to `loss` are the forward pass.
std::vector<bool> hidden_matrices(Value loss, const std::vector<Value>& parameters);

}  // namespace chainrule
