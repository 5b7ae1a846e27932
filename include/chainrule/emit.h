// A graph written out as a program in another language, to be read, kept and run without chainrule.
#pragma once

#include <string>

#include "chainrule/graph.h"
#include "chainrule/numpy_program.h"
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

/// The same of a NumPy program: its forward pass, the gradient of the loss for every parameter, and
/// a step of gradient descent, whose rate is a variable of its own. In this and the next two the
/// parameters are those of derivation_targets().
///
/// throws  also UsageError when there is nothing to differentiate the loss for.
///
/// Example:  write(emit_c(read_numpy(text, "forward.py")));
std::string emit_c(const NumpyProgram& program);

/// The file itself with the backward pass and a step of gradient descent added after the loss, in
/// the style of the file: its name for numpy, its way to multiply matrices, its names for gradients
/// (dW1, grad_W1, W1_grad), its learning rate, or 0.01.
///
/// Everything else stays as it is. Where the file has a backward pass or an update already, the new
/// lines stand in their place and the old ones follow as comments.
/// throws  UsageError when there is nothing to differentiate the loss for, or when a parameter has
///         no name at top level.
///
/// Example:  write(emit_numpy(read_numpy(text, "forward.py")));
std::string emit_numpy(const NumpyProgram& program);

/// A script that computes the same loss in PyTorch, in float64 and from the same numbers, and
/// compares what autograd gives with the derived formulas: a table, then PASS or FAIL, and the exit
/// status to match.
///
/// throws  UsageError when there is nothing to differentiate the loss for.
///
/// Example:  write(emit_pytorch(read_numpy(text, "forward.py")));
std::string emit_pytorch(const NumpyProgram& program);

}  // namespace chainrule
