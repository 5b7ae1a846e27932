// Backpropagation as a transformation of graphs.
#pragma once

#include <vector>

#include "chainrule/graph.h"

namespace chainrule {

/// The gradient of `y` with respect to each of `wrt`, as new nodes of the same graph.
///
///     result[i] = ∂y/∂wrt[i],   or Σ dy ⊙ ∂y/∂wrt[i] when the cotangent `dy` is given
///
/// y: [] unless dy is given    dy: shape of y    result[i]: shape of wrt[i]
/// Where y does not depend on wrt[i], or only by way of integers (argmax, labels), the result is a
/// constant 0. The new nodes are ordinary: they
/// can be printed, run, and differentiated again. A value that the user named Z1 gets a gradient
/// named dZ1.
/// throws  ShapeError when y is no scalar and dy is missing or of another shape; Error naming the
///         op when a path from wrt to y leads through one without a derivative.
///
/// Example:  const std::vector<Value> d = gradient(loss, {w, b});   // d[0] = dw, d[1] = db
std::vector<Value> gradient(Value y, const std::vector<Value>& wrt, Value dy = {});

}  // namespace chainrule
