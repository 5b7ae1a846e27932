// Numbers as C writes them.
#pragma once

#include <string>

#include "chainrule/graph.h"

namespace chainrule {

/// "3" or "(real)0.01": a number in an expression.
std::string c_number(double value);

bool is_zero(const Tensor& tensor);

/// "real W[2][2] = {{0.5, 1.0}, {-0.5, 2.0}};", a row a line when that is too long for one.
std::string c_filled(const std::string& declaration, const Type& type, const Tensor& tensor);

}  // namespace chainrule
