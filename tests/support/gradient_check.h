// Backpropagation against central differences in float64, for any value of any graph.
#pragma once

#include <string>
#include <vector>

#include "support/samples.h"

namespace chainrule {

/// What a comparison of two derivatives found.
struct GradientReport {
  double worst_error = 0;  // |analytic − numeric| / (1 + |numeric|), the largest
  double norm = 0;         // of the analytic derivative
  std::string where;       // the entry with the worst error
};

/// Every entry of ∂y/∂x, backpropagated one output at a time, against central differences.
GradientReport check_jacobian(Samples& samples, Value y, Value x);

/// ⟨dy, J·v⟩ by a central difference against ⟨Jᵀ·dy, v⟩, dy and v random, x all f32 inputs at once.
GradientReport check_direction(Samples& samples, Value y, const std::vector<Value>& x);

/// The f32 inputs on which y depends through real numbers.
std::vector<Value> real_inputs(Value y);

}  // namespace chainrule
