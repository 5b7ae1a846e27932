// The part of a row-major matrix that one chunk of a matrix product owns, so that what follows the
// product (a chain, an update) can run on the chunk while it is still in cache.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// Rows [row, row + rows) and columns [column, column + columns) of a matrix.
struct Rectangle {
  std::int64_t row = 0;
  std::int64_t rows = 0;
  std::int64_t column = 0;
  std::int64_t columns = 0;
};

}  // namespace chainrule::cpu
