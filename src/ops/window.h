// The window of a convolution or a pooling, read back from its node.
#pragma once

#include "chainrule/convolution.h"

namespace chainrule {

/// requires  a node of src/ops/convolution.cpp.
Window window_of(const Node& node);

}  // namespace chainrule
