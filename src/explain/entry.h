// How an entry of a tensor is written, and read: "W1[0,2]".
#pragma once

#include <cstddef>
#include <string>

#include "chainrule/tensor.h"

namespace chainrule {

/// "[0,2]" for element 2 of [3, 4]; "" for a scalar.
std::string subscript(const Shape& shape, std::size_t element);

}  // namespace chainrule
