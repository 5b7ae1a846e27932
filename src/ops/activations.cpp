// The table; what is computed stands in functions.cpp.
#include "ops/activations.h"

#include <numbers>

namespace chainrule {
namespace {

constexpr double kHalfIsCut = std::numbers::sqrt2;

Value relu_slope(Value x) { return greater(x, 0.0); }
Value sigmoid_slope(Value x) {
  const Value y = sigmoid(x);
  return y * (1.0 - y);
}
Value tanh_slope(Value x) { return 1.0 - square(tanh(x)); }

constexpr Activation kActivations[] = {
    {.name = "relu",
     .function = relu,
     .meaning = "y = max(x, 0)",
     .forward = "What is positive passes unchanged; what is negative becomes 0.",
     .backward =
         "Where {in} was positive the gradient passes unchanged. Elsewhere the unit was silent, "
         "and nothing passes.",
     .gain = kHalfIsCut,
     .also = "ReLU",
     .slope = relu_slope},
    {.name = "sigmoid",
     .function = sigmoid,
     .meaning = "y = 1/(1 + e⁻ˣ)",
     .forward = "Each number is pressed between 0 and 1.",
     .backward =
         "The gradient is multiplied by the slope of the curve, {out}·(1 − {out}): a quarter at "
         "the steepest point, and almost 0 where the curve is flat.",
     .also = "expit",
     .slope = sigmoid_slope},
    {.name = "tanh",
     .function = tanh,
     .meaning = "y = tanh x",
     .forward = "Each number is pressed between −1 and 1.",
     .backward =
         "The gradient is multiplied by the slope of the curve, 1 − {out}²: 1 around 0, and "
         "almost 0 where the curve is flat.",
     .slope = tanh_slope},
    {.name = "softplus",
     .function = softplus,
     .meaning = "y = ln(1 + eˣ)",
     .forward = "A smooth relu: what is negative becomes almost 0, what is large passes almost "
                "unchanged.",
     .backward =
         "The gradient is multiplied by sigmoid({in}), the slope of the curve, which is between "
         "0 and 1.",
     .gain = kHalfIsCut,
     .slope = sigmoid},
    {.name = "gelu",
     .function = gelu,
     .meaning = "y = x·Φ(x), Φ the normal distribution function",
     .forward =
         "A smooth relu: each number is multiplied by the chance that a normal random number is "
         "smaller.",
     .backward = "The gradient is multiplied by the slope of the curve at {in}.",
     .gain = kHalfIsCut},
    {.name = "gelu_tanh",
     .function = gelu_tanh,
     .meaning = "gelu by its usual approximation with tanh",
     .forward = "A smooth relu, by way of tanh.",
     .backward = "The gradient is multiplied by the slope of the curve at {in}.",
     .gain = kHalfIsCut},
    {.name = "silu",
     .function = silu,
     .meaning = "y = x·sigmoid(x)",
     .forward = "A smooth relu: each number is multiplied by its own sigmoid.",
     .backward = "The gradient is multiplied by the slope of the curve at {in}.",
     .gain = kHalfIsCut,
     .also = "swish"},
};

}  // namespace

std::span<const Activation> activations() { return kActivations; }

}  // namespace chainrule
