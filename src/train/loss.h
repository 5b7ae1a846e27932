// The loss that fits a network's outputs to the targets of a data set.
#pragma once

#include <cstdint>

#include "chainrule/nn.h"

namespace chainrule {

/// What mixup needs in a graph: each row becomes a mean of itself and its partner.
struct Mix {
  Value share = {};    // []
  Value partner = {};  // i32[B]

  explicit operator bool() const { return static_cast<bool>(share); }
  Value operator()(Value x) const;
};

struct LossOptions {
  double label_smoothing = 0;  // of classes
  Mix mix = {};                // of the targets
  Value counted = {};          // f32[B, T]: which steps have a target that counts; empty: all
};

/// Appends the loss of outputs `y`, with the target as a new input of the graph called "target".
///
///     classes > 0   target: i32[B]     cross-entropy of softmax(y), or of y itself when the last
///                                      layer is a softmax
///     classes = 0   target: f32[B, 1]  mean squared error
///
/// y: [B, classes], or [B, 1]    → []
/// throws  ShapeError when y has another shape.
Value append_loss(const Sequential& model, Value y, std::int64_t classes,
                  const LossOptions& options = {});

/// True when the last layer gives probabilities.
bool ends_in_softmax(const Sequential& model);

}  // namespace chainrule
