// Known activations as data: a mistaken derivative is a factor and a sentence.
#include "explain/grade/backprop_activations.h"

#include <array>

#include "chainrule/ops.h"

namespace chainrule::backprop {
namespace {

constexpr std::string_view kFlipped = "the mask is the wrong way round";

constexpr std::array kRelu{
    DerivativeForm{"{z} < 0", kFlipped, [](Value z, Value) { return less(z, 0.0); }},
    DerivativeForm{"{a} >= 0", "{a} is never negative, so this mask lets everything through",
                   [](Value z, Value) { return constant(z.graph(), 1, z.shape()); }},
    DerivativeForm{"{a} < 0", "{a} is never negative, so this mask stops everything",
                   [](Value z, Value) { return constant(z.graph(), 0, z.shape()); }},
    DerivativeForm{"{z}", "{z} itself stands where its sign belongs: the derivative is 1 or 0",
                   [](Value z, Value) { return z; }},
    DerivativeForm{"{a}", "{a} itself stands where its sign belongs: the derivative is 1 or 0",
                   [](Value, Value a) { return a; }},
    DerivativeForm{"1 - {a}**2", "that is the derivative of tanh, and {a} is a relu",
                   [](Value, Value a) { return 1 - a * a; }},
    DerivativeForm{"{a} * (1 - {a})", "that is the derivative of sigmoid, and {a} is a relu",
                   [](Value, Value a) { return a * (1 - a); }},
};

constexpr std::array kSigmoid{
    DerivativeForm{"1 - {a}", "the factor {a} of the derivative is missing",
                   [](Value, Value a) { return 1 - a; }},
    DerivativeForm{"{a}", "the factor 1 - {a} of the derivative is missing",
                   [](Value, Value a) { return a; }},
    DerivativeForm{"{z} * (1 - {z})",
                   "{z} stands where {a} belongs: s * (1 - s) is written in the sigmoid's output",
                   [](Value z, Value) { return z * (1 - z); }},
    DerivativeForm{
        "sigmoid'({a})",
        "the sigmoid is applied twice: its derivative is taken at {a} and belongs at {z}",
        [](Value, Value a) { return sigmoid(a) * (1 - sigmoid(a)); }},
    DerivativeForm{"1 - {a}**2", "that is the derivative of tanh, and {a} is a sigmoid",
                   [](Value, Value a) { return 1 - a * a; }},
    DerivativeForm{"1 - {z}**2", "that is the derivative of tanh, and {a} is a sigmoid",
                   [](Value z, Value) { return 1 - z * z; }},
    DerivativeForm{"{z} > 0", "that is the derivative of relu, and {a} is a sigmoid",
                   [](Value z, Value) { return greater(z, 0.0); }},
    DerivativeForm{"{a} * (1 + {a})", "it is 1 - {a}, not 1 + {a}",
                   [](Value, Value a) { return a * (1 + a); }},
    DerivativeForm{"{z}", "{z} stands where the derivative belongs",
                   [](Value z, Value) { return z; }},
    DerivativeForm{"{a}**2", "the derivative is {a} * (1 - {a})",
                   [](Value, Value a) { return a * a; }},
};

constexpr std::array kTanh{
    DerivativeForm{"{a} * (1 - {a})", "that is the derivative of sigmoid, and {a} is a tanh",
                   [](Value, Value a) { return a * (1 - a); }},
    DerivativeForm{"sigmoid'({z})", "that is the derivative of sigmoid, and {a} is a tanh",
                   [](Value z, Value) { return sigmoid(z) * (1 - sigmoid(z)); }},
    DerivativeForm{"1 - {a}", "the square is missing: the derivative of tanh is 1 - {a}**2",
                   [](Value, Value a) { return 1 - a; }},
    DerivativeForm{"1 - tanh({a})**2",
                   "tanh is applied twice: its derivative is taken at {a} and belongs at {z}",
                   [](Value, Value a) { return 1 - tanh(a) * tanh(a); }},
    DerivativeForm{
        "1 - {z}**2",
        "{z} stands where {a} belongs: the derivative is 1 minus the square of the output",
        [](Value z, Value) { return 1 - z * z; }},
    DerivativeForm{"1 + {a}**2", "it is 1 - {a}**2, not 1 + {a}**2",
                   [](Value, Value a) { return 1 + a * a; }},
    DerivativeForm{"{a}**2", "the derivative of tanh is 1 - {a}**2",
                   [](Value, Value a) { return a * a; }},
    DerivativeForm{"{a}", "{a} itself stands where the derivative belongs",
                   [](Value, Value a) { return a; }},
    DerivativeForm{"{z}", "{z} itself stands where the derivative belongs",
                   [](Value z, Value) { return z; }},
    DerivativeForm{"{z} > 0", "that is the derivative of relu, and {a} is a tanh",
                   [](Value z, Value) { return greater(z, 0.0); }},
};

constexpr std::array kFunctions{
    KnownFunction{"relu", [](Value z) { return relu(z); }, "({z} > 0)",
                  [](Value z, Value) { return greater(z, 0.0); }, kRelu},
    KnownFunction{"sigmoid", [](Value z) { return sigmoid(z); }, "{a} * (1 - {a})",
                  [](Value, Value a) { return a * (1 - a); }, kSigmoid},
    KnownFunction{"tanh", [](Value z) { return tanh(z); }, "(1 - {a}**2)",
                  [](Value, Value a) { return 1 - square(a); }, kTanh},
};

}  // namespace

std::span<const KnownFunction> known_functions() { return kFunctions; }

std::string filled(std::string_view text, const std::string& z, const std::string& a) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("{z}") || rest.starts_with("{a}")) {
      result += rest[1] == 'z' ? z : a;
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace chainrule::backprop
