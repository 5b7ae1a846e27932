// Rows of different lengths in one batch: what a graph needs so that the padding behind a row's end
// changes nothing, and the checks that lengths are what they should be.
#pragma once

#include <cstdint>
#include <span>

#include "chainrule/data.h"
#include "chainrule/graph.h"
#include "chainrule/nn.h"

namespace chainrule {

/// The lengths of a batch in a graph.
struct Lengths {
  Value steps = {};    // i32[B]
  Value counted = {};  // f32[B, T]: 1 at the steps of a row, 0 behind its end

  explicit operator bool() const { return static_cast<bool>(steps); }
  /// `counted`, once for each place: [B, T] → [B, T, …].
  Value counted_at(const Shape& places) const;
};

/// Declares the input "lengths" and the output "steps", the sum of all lengths. A run on a length
/// above T or below 0 ends with a DataError, as with any index out of range.
///
/// input  the shape of the batch, [B, T, …]
/// throws ShapeError when there is no T.
Lengths declare_lengths(Graph& graph, const Shape& input);

/// throws  ShapeError when there is not one i32 length for each of `rows` of steps; DataError
///         naming the first that is not in 1 … steps.
void check_lengths(const Tensor& lengths, const Tensor& x);

/// How many targets of a row count: as many as it has, or, where the network gives an output for
/// each step of rows with lengths, those of the steps before the row's end.
class CountedTargets {
 public:
  CountedTargets(const Sequential& model, const Dataset& data);
  std::int64_t operator()(std::int64_t row) const;
  std::int64_t operator()(std::span<const std::int64_t> rows) const;

 private:
  std::span<const std::int32_t> lengths_;  // empty: each row counts as one step
  std::int64_t in_each_ = 1;               // targets of a step
};

}  // namespace chainrule
