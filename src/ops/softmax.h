// The derivatives of softmax and of the cross-entropies as ops. Gradient rules emit them; users do
// not.
#pragma once

#include "chainrule/graph.h"

namespace chainrule {

/// dx = y ⊙ (dy − Σ dy ⊙ y) over the last axis, where y = softmax(x).
Value softmax_backward(Value y, Value dy);

/// dx = dy − eʸ ⊙ Σ dy over the last axis, where y = log_softmax(x).
Value log_softmax_backward(Value y, Value dy);

/// dp = −target / (p + epsilon) ⊙ dy, with one dy for each row.  p, target: [..., N]  dy: [...]
Value cross_entropy_backward(Value p, Value target, Value dy, double epsilon);

/// dlogits = (softmax(logits) − t) ⊙ dy, with one dy for each row, t the smoothed target.
Value softmax_cross_entropy_backward(Value logits, Value target, Value dy, double smoothing);

}  // namespace chainrule
