// The line that a gradient should have been, in the user's names.
#pragma once

#include <string>

#include "explain/grade/backprop_study.h"

namespace chainrule::backprop {

/// "dW2 = A1.T @ dZ2 / m": the derivative by way of the gradients that the program has computed
/// before this line, by the conventions that they follow, times `factor`, by its own.
std::string correct_line(Study& study, const Gradient& gradient, double factor);

}  // namespace chainrule::backprop
