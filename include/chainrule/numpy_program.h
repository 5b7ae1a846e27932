// A program written in NumPy, read into a graph: a forward pass, and perhaps a backward pass and an
// update by hand. It is read, never run as Python.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/graph.h"
#include "chainrule/reference.h"

namespace chainrule {

/// One statement that gives a value to a name: `dZ1 = dA1 * (Z1 > 0)`, `W1 -= 0.01 * dW1`,
/// `dZ[Z <= 0] = 0`.
struct NumpyAssignment {
  std::string target;      // "dZ1"
  std::string expression;  // the right-hand side as it stands in the file
  std::string function;    // the def in which it stands; "" at top level
  bool in_place = false;   // `-=` and the like, or an assignment to elements of the target
  int line = 0;            // of the statement's first character, from 1
  int column = 0;          // from 1
  int last_line = 0;       // a statement may span several lines
  Value value;             // what `target` is from here on; empty when that is no number or array
};

/// A NumPy program as a graph.
///
/// Each assigned name is the name of its value in the graph. Where a name is assigned again, the
/// later values are called name_2, name_3 …. Arrays that come from outside the arithmetic
/// (literals, random numbers, np.zeros, --shape) are the graph's sources: parameters where a
/// training would change them (weights and biases), inputs elsewhere (data and labels).
struct NumpyProgram {
  std::string file;                // as given, for messages
  std::vector<std::string> lines;  // the source
  std::unique_ptr<Graph> graph;
  TensorMap feed;                            // the numbers of every source, in float64
  std::vector<NumpyAssignment> assignments;  // in the order of the file
  std::size_t forward = 0;  // assignments[0 … forward) are the forward pass, up to the loss
  Value loss;               // the scalar to differentiate
};

struct NumpyOptions {
  std::string loss = {};  // its name; "" takes loss, cost, L, J …, or else the last scalar
  std::map<std::string, Shape> shapes = {};  // of names that the program uses but does not define
};

/// Reads the subset of NumPy that forward and backward passes are written in.
///
/// Functions are inlined, loops over known ranges unrolled (1000 statements at most), conditions
/// decided by the numbers. Items of containers go by their key, params["W1"] is W1, or by number,
/// hs[0] is hs_0. The result of preparing data (`X = (X - X.mean(0)) / X.std(0)`) is itself a
/// source.
///
/// Random numbers are NumPy's own, bit for bit, in the order of the file. `relu`, `sigmoid`,
/// `softmax`, `cross_entropy` and the like have their usual meaning where the program does not
/// define them.
/// throws  DataError with file, line and column, naming what cannot be read and what can be written
///         instead; UsageError when there is no such loss.
///
/// Example:  const NumpyProgram program = read_numpy(text, "forward.py");
///           const double loss = Evaluation(*program.graph, program.feed).scalar(program.loss);
NumpyProgram read_numpy(std::string_view source, const std::string& file,
                        const NumpyOptions& options = {});

}  // namespace chainrule
