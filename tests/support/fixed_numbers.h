// Numbers for a graph that are fixed, unequal and of both signs.
#pragma once

#include <cmath>
#include <vector>

#include "chainrule/graph.h"
#include "chainrule/reference.h"

namespace chainrule {

/// One for every element of each parameter and f32 input.
inline TensorMap numbers_for(const Graph& graph) {
  TensorMap feed;
  double at = 0;
  const auto fill = [&](const Value& v) {
    std::vector<double> numbers;
    for (std::int64_t i = 0; i < element_count(v.shape()); ++i) {
      numbers.push_back(std::sin(0.7 * ++at));
    }
    feed[v.name()] = Tensor::of<double>(v.shape(), numbers);
  };
  for (const Value& v : graph.parameters()) fill(v);
  for (const Value& v : graph.inputs()) {
    if (v.dtype() == DType::kF32) fill(v);
  }
  return feed;
}

}  // namespace chainrule
