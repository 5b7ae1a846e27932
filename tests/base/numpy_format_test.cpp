// Arrays and numbers as NumPy and Python print them (tests/base/make_numpy_golden.py).
#include "chainrule/numpy_format.h"
#include "support/places.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

using namespace chainrule;

namespace {

struct Record {
  std::string head;    // "=== f64 2,3"
  std::string values;  // in hexadecimal, or "over d" for 0/d, 1/d, 2/d, …
  std::string text;    // what NumPy prints
};

std::vector<Record> read_records() {
  std::ifstream golden(source_path("tests/golden/numpy_format.txt"));
  REQUIRE(golden);
  std::vector<Record> records;
  for (std::string line; std::getline(golden, line);) {
    if (line.starts_with("===")) {
      records.push_back({line, {}, {}});
      std::getline(golden, records.back().values);
    } else {
      std::string& text = records.back().text;
      // A line of its own may be empty (between the blocks of a 3-d array), but never the first.
      text += text.empty() ? line : '\n' + line;
    }
  }
  return records;
}

template <typename T>
Tensor tensor_of(const Shape& shape, const std::string& line) {
  std::vector<T> values;
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    if (word != "over") {
      values.push_back(static_cast<T>(std::strtod(word.c_str(), nullptr)));
      continue;
    }
    double divisor = 0;
    words >> divisor;
    for (std::int64_t i = 0; i < element_count(shape); ++i) {
      values.push_back(static_cast<T>(static_cast<double>(i) / divisor));
    }
  }
  return Tensor::of<T>(shape, values);
}

Tensor array_of(const Record& record) {
  std::istringstream fields(record.head);
  std::string mark;
  std::string dtype;
  std::string extents;
  fields >> mark >> dtype >> extents;
  Shape shape;
  std::istringstream list(extents);
  for (std::string extent; std::getline(list, extent, ',');) shape.push_back(std::stoll(extent));
  if (dtype == "f64") return tensor_of<double>(shape, record.values);
  if (dtype == "f32") return tensor_of<float>(shape, record.values);
  return tensor_of<std::int32_t>(shape, record.values);
}

}  // namespace

TEST_CASE("arrays print as NumPy prints them") {
  const std::vector<Record> records = read_records();
  CHECK(records.size() >= 100);
  for (const Record& record : records) {
    CAPTURE(record.head);
    CAPTURE(record.values);
    CHECK(numpy_format(array_of(record)) == record.text);
  }
}

TEST_CASE("the notebook's arrays print as the notebook shows them") {
  const Tensor b1 =
      Tensor::of<double>({1, 3}, {2.705754221e-05, 1.686722019e-05, -3.200796604e-12});
  CHECK(numpy_format(b1) == "[[ 2.70575422e-05  1.68672202e-05 -3.20079660e-12]]");
  const Tensor w1 = Tensor::of<double>(
      {2, 3}, {0.00496985, -0.00136578, 0.00647687, 0.01525736, -0.00235334, -0.0023413});
  CHECK(numpy_format(w1) ==
        "[[ 0.00496985 -0.00136578  0.00647687]\n [ 0.01525736 -0.00235334 -0.0023413 ]]");
}

TEST_CASE("python_repr is Python's repr(float)") {
  CHECK(python_repr(0.6931042210040035) == "0.6931042210040035");
  CHECK(python_repr(1e-9) == "1e-09");
  CHECK(python_repr(1e16) == "1e+16");
  CHECK(python_repr(9999999999999998.0) == "9999999999999998.0");
  CHECK(python_repr(1e15) == "1000000000000000.0");
  CHECK(python_repr(0.0001) == "0.0001");
  CHECK(python_repr(0.00001) == "1e-05");
  CHECK(python_repr(1.5e300) == "1.5e+300");
  CHECK(python_repr(5e-324) == "5e-324");
  CHECK(python_repr(-123456.75) == "-123456.75");
  CHECK(python_repr(3) == "3.0");
  CHECK(python_repr(-0.0) == "-0.0");
  CHECK(python_repr(std::numeric_limits<double>::infinity()) == "inf");
  CHECK(python_repr(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(python_repr(std::numeric_limits<double>::quiet_NaN()) == "nan");
}
