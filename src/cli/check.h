// chainrule check on somebody's own backpropagation.
#pragma once

#include <string>

namespace chainrule::cli {

/// Prints what is right and wrong with the backward pass of a NumPy file.
///
/// throws  FileError when it cannot be read; Error when a gradient in it is wrong.
void check_backprop_file(const std::string& path);

}  // namespace chainrule::cli
