// Walking the elements of an array by their coordinates, for the ops that move numbers about.
#pragma once

#include <cstdint>
#include <vector>

#include "chainrule/tensor.h"

namespace chainrule {

/// The distance between neighbours along each axis of a row-major array.
inline std::vector<std::int64_t> strides_of(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/// Calls f(position, coordinates) for every element of `shape`, in row-major order.
template <typename F>
void for_each_index(const Shape& shape, F f) {
  const std::int64_t count = element_count(shape);
  std::vector<std::int64_t> at(shape.size(), 0);
  for (std::int64_t position = 0; position < count; ++position) {
    f(static_cast<std::size_t>(position), at);
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (++at[axis] < shape[axis]) break;
      at[axis] = 0;
    }
  }
}

}  // namespace chainrule
