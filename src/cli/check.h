// chainrule check on somebody's own backpropagation.
#pragma once

#include <string>

#include "chainrule/numpy_program.h"

namespace chainrule::cli {

/// Compares each hand-written gradient line of a NumPy file with the true derivative and prints
/// what it found. Returns the exit code: 0 when all are right, 1 otherwise.
int check_backprop(const std::string& path, const NumpyOptions& options);

}  // namespace chainrule::cli
