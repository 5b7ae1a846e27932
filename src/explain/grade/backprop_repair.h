// Reading a program whose hand-written backward pass does not even compute.
#pragma once

#include <string>
#include <vector>

#include "chainrule/numpy_program.h"

namespace chainrule::backprop {

/// A line of the backward pass that cannot be computed as it stands.
struct Repair {
  int line = 0;
  std::string original;  // the user's line
  std::string error;     // why it cannot be computed
  std::string fixed;     // with this in its place it can; empty when nothing was found
  std::string mistake;   // what was wrong with it
  std::string sentence;
};

struct Readable {
  NumpyProgram program;
  std::vector<Repair> repairs;  // in the order of the file
};

/// Reads the program. A line after the loss that cannot be computed is replaced by the smallest
/// change of it that can, preferably one that gives the true derivative, or else left out.
///
/// throws  DataError as read_numpy, when it is the forward pass that cannot be read.
Readable read_repaired(std::string_view source, const std::string& file,
                       const NumpyOptions& options);

}  // namespace chainrule::backprop
