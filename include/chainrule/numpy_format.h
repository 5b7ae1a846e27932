// Numbers and arrays as Python and NumPy print them, character for character.
#pragma once

#include <string>

#include "chainrule/tensor.h"

namespace chainrule {

/// Python's repr(float): the shortest digits that read back as `value`.
///
/// Example:  python_repr(0.1)    // "0.1"
///           python_repr(1e-9)   // "1e-09"
///           python_repr(3)      // "3.0"
std::string python_repr(double value);

/// What NumPy's print(array) shows, without the final newline, under the default print options:
/// precision 8, line width 75, summary with "..." above 1000 elements.
///
/// array    f32, f64 or i32, any number of axes; a scalar prints as the NumPy scalar does.
/// ensures  the characters of NumPy 1.24.
///
/// Example:  numpy_format(Tensor::of<double>({1, 2}, {0.5, -1}))   // "[[ 0.5 -1. ]]"
std::string numpy_format(const Tensor& array);

}  // namespace chainrule
