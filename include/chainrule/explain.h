// Readings of a graph for people.
#pragma once

#include <string>

#include "chainrule/graph.h"

namespace chainrule {

/// The graph as mathematics: one line for each value that has a name, an output or several readers,
/// with its shape; first the forward pass, then the backward pass, then the update.
///
///     Z1   = X·W1 + b1            [3, 3]
///     …
///     dZ1  = dA1 ⊙ [Z1 > 0]       [3, 3]
///
/// Example:  std::cout << formulas(*simplify(graph));
std::string formulas(const Graph& graph);

}  // namespace chainrule
