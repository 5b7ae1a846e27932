// How an entry of a tensor is written, and read: "W1[0,2]".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "chainrule/tensor.h"

namespace chainrule {

/// "[0,2]" for element 2 of [3, 4]; "" for a scalar.
std::string subscript(const Shape& shape, std::size_t element);

/// The element that "[0,2]" means; "" of a scalar, or of anything with one element.
///
/// throws  UsageError naming `name` and the shape when there is no such entry.
std::size_t element_of(std::string_view subscript, const Shape& shape, const std::string& name);

}  // namespace chainrule
