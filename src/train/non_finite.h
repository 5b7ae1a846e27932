// Finding where NaN or infinity first appeared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "chainrule/graph.h"
#include "chainrule/reference.h"

namespace chainrule {

/// The first node, in the order of computation, whose value is not finite.
struct NonFiniteNode {
  std::string name;   // as the graph's text form calls it
  std::string place;  // "exp v12 of layer 2 (softmax)"
  std::int64_t nans = 0;
  std::int64_t infs = 0;
};

/// Runs `graph` on `feed` in the reference interpreter, every value rounded to float32 as in
/// training, and again in float64 when that shows nothing.
std::optional<NonFiniteNode> first_non_finite(const Graph& graph, const TensorMap& feed);

/// True when no number in `tensors` is NaN or infinite.
bool all_finite(const TensorMap& tensors);

}  // namespace chainrule
