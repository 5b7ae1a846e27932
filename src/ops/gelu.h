// The derivative of gelu as an op. Gradient rules emit it; users do not.
#pragma once

#include "chainrule/graph.h"

namespace chainrule {

/// y = Φ(x) + x·φ(x), Φ the normal distribution function and φ its density.
/// gradient  dx = dy ⊙ (2 − x²)·φ(x).
Value gelu_slope(Value x);

}  // namespace chainrule
