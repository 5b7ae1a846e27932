// What the update ops share: their shape rule and the way they emit themselves.
#pragma once

#include <vector>

#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {

/// The shape rule of an update: inputs are the parameter, its states, the gradient, then `scalars`
/// scalar inputs; outputs are the next parameter and states.
Types infer_update(const Node& n, std::size_t scalars);
Types infer_with_lr(const Node& n);           // … g, lr
Types infer_with_lr_and_step(const Node& n);  // … g, lr, step

/// g + weight_decay·w, the gradient of a loss with weight_decay/2·‖w‖² added.
Value decayed(Value g, Value w, double weight_decay);

/// w shrunk by lr·weight_decay, beside the gradient.
Value shrunk(Value w, Value lr, double weight_decay);

/// old + (1 − beta)·(x − old), as beta·old + (1 − beta)·x.
Value moving_average(Value old, Value x, double beta);

/// 1 − betaᵗ: what a moving average that started at 0 must be divided by.
Value bias_correction(double beta, Value step);

/// Appends the update and returns all its outputs.
std::vector<Value> emit_update(const Op& op, std::vector<Value> inputs, Attributes attributes);

}  // namespace chainrule
