// The functions of the field under their usual names, for programs that use them without
// defining them.
#include <algorithm>
#include <functional>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "numpy/eval/interpreter.h"
#include "ops/activations.h"

namespace chainrule::numpy {
namespace {

using Function = std::function<Value(Value)>;

void add_function(BuiltinTable& t, const std::string& name, const Function& function) {
  t[name] = [function](Arguments& a) {
    const Object x = a.array_or_number("x");
    return a.in.map(Kind::kReal, x, function);
  };
}

// How people name the derivative of a function.
void add_slope(BuiltinTable& t, const std::string& name, const Function& slope) {
  for (const char* ending : {"_derivative", "_grad", "_prime", "_deriv"}) {
    add_function(t, name + ending, slope);
  }
  for (const char* beginning : {"d", "d_", "deriv_"}) add_function(t, beginning + name, slope);
}

void add_activation(BuiltinTable& t, const Activation& activation) {
  const std::string name(activation.name);
  add_function(t, name, activation.function);
  if (!activation.also.empty()) add_function(t, std::string(activation.also), activation.function);
  const auto derived = [function = activation.function](Value x) {
    return gradient(sum(function(x)), {x})[0];
  };
  add_slope(t, name, activation.slope != nullptr ? Function(activation.slope) : Function(derived));
}

Value leaky_relu_slope(Value x, double slope) {
  return where(greater(x, 0.0), constant(x.graph(), 1, x.shape()),
               constant(x.graph(), slope, x.shape()));
}

// softmax and log_softmax, along any axis.
void add_along_axis(BuiltinTable& t, const std::string& name, Value (*function)(Value)) {
  t[name] = [function](Arguments& a) {
    const Object x = a.array_or_number("x");
    const auto rank = x.array() ? static_cast<std::int64_t>(x.array()->shape.size()) : 0;
    if (rank == 0) a.fail("expected an array, got a number");
    std::int64_t axis = a.integer_or("axis", -1);
    if (axis < -rank || axis >= rank) a.fail(fmt::format("there is no axis {}", axis));
    if (axis < 0) axis += rank;
    return a.in.map(Kind::kReal, x, [&](Value v) {
      if (axis == rank - 1) return function(v);
      std::vector<std::int64_t> swapped;
      for (std::int64_t i = 0; i < rank; ++i) swapped.push_back(i);
      std::swap(swapped[static_cast<std::size_t>(axis)], swapped.back());
      return transpose(function(transpose(v, swapped)), swapped);
    });
  };
}

// What a loss is given: scores, and a target of the same shape or a list of labels.
using Loss = Value (*)(Value scores, Value target, double option);

Object loss_call(Arguments& a, const char* first, const char* option, double otherwise, Loss loss) {
  Object scores = a.array_or_number(first);
  Object target = a.array_or_number("targets");
  const double value = a.real_or(option, otherwise);
  if (!scores.array() || !target.array()) a.fail("expected two arrays");
  // cross_entropy(y_true, y_pred) is as usual as the other order; labels tell themselves.
  if (scores.kind() != Kind::kReal && target.kind() == Kind::kReal) std::swap(scores, target);
  const Shape& s = scores.array()->shape;
  const Shape& t = target.array()->shape;
  const bool labels = t.size() + 1 == s.size() && std::equal(t.begin(), t.end(), s.begin());
  if (!labels && s != t) {
    a.fail(fmt::format("scores of shape {} need a target of the same shape or labels {}; got {}",
                       to_string(s), s.empty() ? "" : to_string(Shape(s.begin(), s.end() - 1)),
                       to_string(t)));
  }
  const Operand second = labels ? Operand{target, Role::kIndex, s.back()} : Operand{target};
  return a.in.tape().apply(
      Kind::kReal, {{scores}, second},
      [&](Graph&, const std::vector<Value>& v) { return loss(v[0], v[1], value); });
}

void add_loss(BuiltinTable& t, std::initializer_list<const char*> names, const char* first,
              const char* option, double otherwise, Loss loss) {
  for (const char* name : names) {
    t[name] = [=](Arguments& a) { return loss_call(a, first, option, otherwise, loss); };
  }
}

Object one_hot_call(Arguments& a) {
  const Object labels = a.array_or_number("labels");
  if (!labels.array()) a.fail("expected an array of labels");
  const std::vector<double> numbers = a.in.tape().numbers(*labels.array());
  const double largest = numbers.empty() ? 0 : *std::max_element(numbers.begin(), numbers.end());
  constexpr double kMostClasses = 1e6;
  if (!(largest < kMostClasses)) a.fail(fmt::format("label {} is too large to be read", largest));
  const std::int64_t classes = a.integer_or("classes", static_cast<std::int64_t>(largest) + 1);
  if (classes < 1 || static_cast<double>(classes) > kMostClasses) {
    a.fail("expected the number of classes");
  }
  if (largest >= static_cast<double>(classes) && labels.kind() != Kind::kReal) {
    a.fail(fmt::format("label {} is not below the number of classes, {}", largest, classes));
  }
  return a.in.tape().apply(
      Kind::kReal, {{labels, Role::kIndex, classes}},
      [&](Graph&, const std::vector<Value>& v) { return one_hot(v[0], classes); });
}

}  // namespace

void add_networks(BuiltinTable& t) {
  for (const Activation& activation : activations()) add_activation(t, activation);
  add_function(t, "erf", erf);
  t["leaky_relu"] = [](Arguments& a) {
    const Object x = a.array_or_number("x");
    const double slope = a.real_or("alpha", 0.01);
    return a.in.map(Kind::kReal, x, [&](Value v) { return leaky_relu(v, slope); });
  };
  t["leaky_relu_derivative"] = t["leaky_relu_grad"] = [](Arguments& a) {
    const Object x = a.array_or_number("x");
    const double slope = a.real_or("alpha", 0.01);
    return a.in.map(Kind::kReal, x, [&](Value v) { return leaky_relu_slope(v, slope); });
  };
  t["elu"] = [](Arguments& a) {
    const Object x = a.array_or_number("x");
    const double alpha = a.real_or("alpha", 1.0);
    return a.in.map(Kind::kReal, x, [&](Value v) { return elu(v, alpha); });
  };
  add_along_axis(t, "softmax", softmax);
  add_along_axis(t, "log_softmax", log_softmax);
  t["one_hot"] = t["to_one_hot"] = t["one_hot_encode"] = one_hot_call;
  add_loss(t, {"cross_entropy", "cross_entropy_loss", "categorical_cross_entropy"}, "probs", "eps",
           1e-9, [](Value p, Value y, double epsilon) { return cross_entropy(p, y, epsilon); });
  add_loss(
      t,
      {"softmax_cross_entropy", "softmax_cross_entropy_with_logits", "cross_entropy_with_logits"},
      "logits", "smoothing", 0,
      [](Value z, Value y, double smoothing) { return softmax_cross_entropy(z, y, smoothing); });
  add_loss(t, {"mse", "mse_loss", "mean_squared_error"}, "predictions", "option", 0,
           [](Value x, Value y, double) { return mean_squared_error(x, y); });
  add_loss(t, {"mae", "mean_absolute_error"}, "predictions", "option", 0,
           [](Value x, Value y, double) { return mean_absolute_error(x, y); });
  add_loss(t, {"binary_cross_entropy", "bce", "bce_loss", "binary_cross_entropy_loss"}, "probs",
           "eps", 0, [](Value p, Value y, double epsilon) {
             const auto safe = [&](Value v) { return epsilon == 0 ? v : v + epsilon; };
             return -mean(y * log(safe(p)) + (1.0 - y) * log(safe(1.0 - p)));
           });
  add_loss(t, {"binary_cross_entropy_with_logits", "sigmoid_cross_entropy"}, "logits", "option", 0,
           [](Value z, Value y, double) { return binary_cross_entropy(z, y); });
}

}  // namespace chainrule::numpy
