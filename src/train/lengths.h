// Rows of different lengths in one batch: what a graph needs so that the padding behind a row's end
// changes nothing, and the checks that lengths are what they should be.
#pragma once

#include <cstdint>
#include <span>

#include "chainrule/data.h"
#include "chainrule/graph.h"

namespace chainrule {

/// The lengths of a batch in a graph.
struct Lengths {
  Value steps = {};    // i32[B]
  Value counted = {};  // f32[B, T]: 1 at the steps of a row, 0 behind its end

  explicit operator bool() const { return static_cast<bool>(steps); }
  /// True when a layer of the network has used them.
  bool read_by_layers(const Graph& graph) const;
};

/// Declares the input "lengths" and the output "steps", the sum of all lengths. A run on a length
/// above T or below 0 ends with a DataError, as with any index out of range.
///
/// input  the shape of the batch, [B, T, …]
/// throws ShapeError when there is no T.
Lengths declare_lengths(Graph& graph, const Shape& input);

/// throws  ShapeError when there is not one i32 length for each of `rows` of steps; DataError
/// naming
///         the first that is not in 1 … steps.
void check_lengths(const Tensor& lengths, const Tensor& x);

/// How many targets of a row count: one, or as many as it has steps with labels.
class CountedTargets {
 public:
  explicit CountedTargets(const Dataset& data);
  std::int64_t operator()(std::int64_t row) const;
  std::int64_t operator()(std::span<const std::int64_t> rows) const;

 private:
  std::span<const std::int32_t> lengths_;  // empty: each row has the same number
  std::int64_t in_each_ = 1;
};

}  // namespace chainrule
