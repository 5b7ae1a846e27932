// Finding where NaN or infinity first appeared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "chainrule/graph.h"
#include "chainrule/reference.h"
#include "chainrule/train.h"

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

/// What is too large where not even the first weights give finite numbers, and what to do: "the
/// inputs reach 1e+30 in these rows: scale the data, or leave such rows or columns out".
///
/// Example:  cause_before_training(batch.x, batch.y, initialize(model, input, seed))
std::string cause_before_training(const Tensor& x, const Tensor& target, const TensorMap& weights);

/// measure() of `outputs`, for rows called `which` ("validation") after a step.
///
/// throws  NonFiniteError naming the row whose output is not finite, and what may help.
Metrics measured(const Sequential& model, const Tensor& outputs, const Dataset& data,
                 const std::string& which, std::int64_t step);

/// True when no number in `tensors` is NaN or infinite.
bool all_finite(const TensorMap& tensors);

}  // namespace chainrule
