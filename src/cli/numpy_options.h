// How a NumPy file is read, as the subcommands that read one say it.
#pragma once

#include <string>
#include <vector>

#include "chainrule/numpy_program.h"
#include "cli/command.h"

namespace chainrule::cli {

/// What --loss and --shape said.
struct NumpySource {
  std::string loss;
  std::vector<std::string> shapes;  // "X=3,2"
};

Option loss_option(NumpySource& source);
Option shape_option(NumpySource& source);

/// throws  UsageError for a shape that cannot be read.
NumpyOptions numpy_options_of(const NumpySource& source);

}  // namespace chainrule::cli
