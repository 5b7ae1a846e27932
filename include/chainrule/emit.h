// A graph written out as a program in another language, to be read, kept and run without chainrule.
#pragma once

#include <string>

#include "chainrule/graph.h"
#include "chainrule/reference.h"

namespace chainrule {

struct COptions {
  std::string origin = {};    // what the header comment says it was made from; "" takes the graph's
                              // name
  std::string loss = "loss";  // the output that main() prints before and after an update
};

/// One C99 file that computes what `graph` computes, for a microcontroller or to be read.
///
/// It needs <math.h>, <stdint.h> and <string.h> only and allocates nothing: inputs, parameters,
/// named values and outputs are arrays under their own names, filled with `numbers`. What the
/// forward pass, the gradients and the updates need stands in `forward`, `backward` and `update`.
/// `real` is float, or double under -DCHAINRULE_DOUBLE; -DCHAINRULE_MAIN adds a main() that prints
/// the loss before and after one update. It compiles under -std=c99 -Wall -Wextra -pedantic without
/// a warning.
///
/// numbers: a tensor for each input and parameter of the graph.
/// throws  Error naming an op that cannot be written in C, or an empty array; UsageError for a
///         missing tensor; ShapeError for one of another shape.
///
/// Example:  write(emit_c(*simplify(graph), feed, {.origin = "notebook.py"}));
std::string emit_c(const Graph& graph, const TensorMap& numbers, const COptions& options = {});

}  // namespace chainrule
