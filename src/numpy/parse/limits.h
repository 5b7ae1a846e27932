// What reading a program may cost. Loops are unrolled and functions inlined, so a few lines can ask
// for any amount of time and memory; a limit is then named at the line that reaches it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "chainrule/error.h"
#include "numpy/parse/token.h"

namespace chainrule::numpy {

/// A program that would take too much. There is nothing to mend in its line, and reading it once
/// more in another way would take as much again.
class LimitError : public DataError {
 public:
  using DataError::DataError;
};

/// Stops the reading with a LimitError that begins FILE:LINE:COLUMN.
[[noreturn]] void refuse_at(const std::string& file, Position at, const std::string& message);

/// Counts how deep a recursion has gone, as long as it lives.
class Depth {
 public:
  explicit Depth(std::size_t& depth) : depth_(depth) { ++depth_; }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  std::size_t& depth_;
};

constexpr std::size_t kMostTokens = 2'000'000;   // of a file
constexpr std::size_t kLongestName = 1000;       // in characters
constexpr std::size_t kDeepestTree = 1000;       // of one expression
constexpr std::size_t kMostSteps = 2'000'000;    // expressions evaluated, items copied
constexpr std::size_t kLongestText = 1'000'000;  // of a string, in characters
constexpr std::size_t kDeepestNesting = 100;     // of lists in lists
constexpr std::size_t kMostAxes = 32;            // of an array, as in NumPy
constexpr double kMostElements = 2e7;            // of an array
constexpr double kMostElementsTogether = 4e7;    // of all arrays that are made
constexpr double kMostMultiplications = 2e9;     // of all matrix products together

}  // namespace chainrule::numpy
