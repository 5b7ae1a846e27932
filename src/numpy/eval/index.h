// What stands between [ and ], fitted to the axes of an array.
#pragma once

#include <vector>

#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {

/// The index of one axis: a part of it, of which one element may lose the axis, or an array.
struct AxisIndex {
  std::int64_t start = 0;
  std::int64_t stop = 0;
  bool drop = false;
  ArrayPtr array;
};

struct Index {
  std::vector<AxisIndex> axes;  // one an axis of the array
  std::vector<bool> added;      // in the order written: true for None, false for an axis
  ArrayPtr mask;                // a[mask], the only index

  bool basic() const;
};

/// What a basic index cuts out.
struct Part {
  std::vector<std::int64_t> starts;
  std::vector<std::int64_t> stops;
  Shape kept;    // with every axis
  Shape result;  // without the dropped ones, with the added ones
};

Part part_of(const Index& index);
Value cut(Value x, const Part& part);

/// True for a[i, j] with two index arrays and a matrix a.
bool is_pairs(const Index& index, const Shape& shape);

/// 0, 1, …, n - 1.
bool counts_up(const Array& array);

/// The index that an expression, or a value, stands for.
///
/// throws  DataError at `at` when it does not fit the shape.
Index read_index(Interpreter& in, const Expression& at, const Shape& shape, const Expression& e);
Index read_index(Interpreter& in, const Expression& at, const Shape& shape, const Object& index);

}  // namespace chainrule::numpy
