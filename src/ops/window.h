// What the ops on images share: windows as attributes of nodes, sizes, and the derivative of
// pooling, which gradient rules emit and users do not.
#pragma once

#include "chainrule/convolution.h"

namespace chainrule {

/// requires  a node whose attributes are those of a window.
Window window_of(const Node& node);

Attributes window_attributes(const Window& window);
/// With the size of the image that a transposed op gives.
Attributes with_size(const Window& window, std::int64_t height, std::int64_t width);

/// throws  ShapeError unless x is [B, H, W, C].
void need_image(const Node& node, const Value& x);

/// [OH, OW] of a window over an image of that size.
///
/// throws  ShapeError when the window does not fit.
Window::Pair counted(const Node& node, const Window& window, std::int64_t height,
                     std::int64_t width);

/// dx = dy at the pixels of x that attain the maximum y, shared evenly.
Value max_pool2d_backward(Value x, Value y, Value dy, const Window& window);

}  // namespace chainrule
