// read_numpy() for those who read many variants of one program and have to stop some time.
#pragma once

#include <string>
#include <string_view>

#include "chainrule/numpy_program.h"

namespace chainrule::numpy {

/// As read_numpy(); `spent` grows by what the reading took, also when it fails: about a step for
/// each expression that was evaluated.
NumpyProgram read_measured(std::string_view source, const std::string& file,
                           const NumpyOptions& options, double& spent);

}  // namespace chainrule::numpy
