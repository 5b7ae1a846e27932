// The activations that people differentiate by hand, with the forms in which their derivatives are
// written, rightly and wrongly.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "explain/grade/backprop_bench.h"

namespace chainrule::backprop {

/// A factor that is written where an activation's derivative belongs. {z} is the activation's
/// input, {a} its output.
struct DerivativeForm {
  std::string_view text;      // "{a} * (1 - {a})"
  std::string_view sentence;  // what is wrong with it; "" for the right ones
  Value (*build)(Value z, Value a);
};

struct KnownFunction {
  std::string_view name;
  Value (*apply)(Value z);
  std::string_view derivative;  // as code, of {z} and {a}
  Value (*differentiate)(Value z, Value a);
  std::span<const DerivativeForm> mistaken;
};

/// relu, sigmoid, tanh.
std::span<const KnownFunction> known_functions();

/// "A1 * (1 - A1)" of "{a} * (1 - {a})".
std::string filled(std::string_view text, const std::string& z, const std::string& a);

}  // namespace chainrule::backprop
