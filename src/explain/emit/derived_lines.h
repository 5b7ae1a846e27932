// The lines of NumPy that compute the gradients of a program's loss from what the program has
// computed.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "chainrule/numpy_program.h"
#include "explain/emit/python_source.h"

namespace chainrule {

struct DerivedLine {
  std::string name;   // "dZ1"
  std::string text;   // "dZ1 = dA1 * (Z1 > 0)"
  std::string shape;  // "(3, 3)"
};

struct DerivedLines {
  std::string imports;             // what the lines need and the file has not got
  std::vector<DerivedLine> lines;  // in the order in which they can be run
  /// Each parameter's expression in the program, and the name of its gradient.
  std::vector<std::pair<std::string, std::string>> steps;
};

/// source: the program's text.    wanted: further gradients, by the name that the program has for
/// them, and of which value.
///
/// The lines are written in the style of the program and use its own names. A value that the
/// program gave no name at top level gets a line of its own when it is needed.
/// throws  UsageError when there is nothing to differentiate for, or a parameter has no name there.
DerivedLines derived_lines(const NumpyProgram& program, const PythonSource& source,
                           const std::map<std::string, Value>& wanted);

}  // namespace chainrule
