// The table; what is computed stands in functions.cpp.
#include "ops/activations.h"

#include <numbers>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "chainrule/error.h"

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
    {.name = "softsign",
     .function = softsign,
     .meaning = "y = x/(1 + |x|)",
     .forward = "Each number is pressed between −1 and 1, more gently than by tanh.",
     .backward = "The gradient is divided by (1 + |{in}|)², which falls off more slowly than "
                 "tanh's slope."},
    {.name = "selu",
     .function = selu,
     .meaning = "y = 1.0507·elu(x) with alpha = 1.6733, which keeps mean 0 and variance 1",
     .forward = "What is positive grows a little; what is negative bends smoothly towards −1.76.",
     .backward = "The gradient is multiplied by the slope of the curve at {in}.",
     .gain = 1},
    {.name = "mish",
     .function = mish,
     .meaning = "y = x·tanh(ln(1 + eˣ))",
     .forward = "A smooth relu that lets a little of what is negative pass.",
     .backward = "The gradient is multiplied by the slope of the curve at {in}.",
     .gain = kHalfIsCut},
    {.name = "hardsigmoid",
     .function = hardsigmoid,
     .meaning = "y = x/6 + 1/2, cut to 0 … 1",
     .forward = "A sigmoid of straight lines: 0 up to −3, 1 from 3 on.",
     .backward = "Between −3 and 3 the gradient is divided by 6; elsewhere nothing passes.",
     .also = "hard_sigmoid"},
    {.name = "hardswish",
     .function = hardswish,
     .meaning = "y = x·hardsigmoid(x)",
     .forward = "A silu of straight lines: each number is multiplied by its own hardsigmoid.",
     .backward = "The gradient is multiplied by the slope of the curve at {in}.",
     .gain = kHalfIsCut,
     .also = "hard_swish"},
};

}  // namespace

std::span<const Activation> activations() { return kActivations; }

const Activation& find_activation(std::string_view name) {
  std::vector<std::string> known;
  for (const Activation& activation : kActivations) {
    if (activation.name == name) return activation;
    known.emplace_back(activation.name);
  }
  throw UsageError(unknown_name("activation", name, known));
}

}  // namespace chainrule
