// The window of a convolution or a pooling, read back from its node, and the derivative of pooling,
// which gradient rules emit and users do not.
#pragma once

#include "chainrule/convolution.h"

namespace chainrule {

/// requires  a node of src/ops/convolution.cpp.
Window window_of(const Node& node);

/// dx = dy at the pixels of x that attain the maximum y, shared evenly.
Value max_pool2d_backward(Value x, Value y, Value dy, const Window& window);

}  // namespace chainrule
