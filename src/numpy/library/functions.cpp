// Elementwise functions, reductions and products by their NumPy names.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

using Axes = std::vector<std::int64_t>;

void add_unary(BuiltinTable& table, const std::string& name, Value (*function)(Value),
               bool real = true) {
  table["np." + name] = [function, real](Arguments& a) {
    const Object x = a.array_or_number("x");
    const Kind kind = real ? Kind::kReal : std::max(x.kind(), Kind::kInteger);
    return a.in.map(kind, x, function);
  };
}

void add_operator(BuiltinTable& table, const std::string& name, const std::string& op) {
  table["np." + name] = [op](Arguments& a) {
    const Object x = a.array_or_number("x1");
    const Object y = a.array_or_number("x2");
    return a.in.arithmetic(a.call, op, x, y);
  };
}

void add_binary(BuiltinTable& table, const std::string& name, Value (*function)(Value, Value)) {
  table["np." + name] = [function](Arguments& a) {
    const Object x = a.array_or_number("x1");
    const Object y = a.array_or_number("x2");
    return a.in.elementwise(
        a.call, std::max(x.kind(), y.kind()), {x, y},
        [&](Graph&, const std::vector<Value>& v) { return function(v[0], v[1]); });
  };
}

// exp(x) - exp(-x) keeps no digit of a small x.
Value sinh(Value x) { return (expm1(x) - expm1(-x)) / 2.0; }
Value cosh(Value x) { return (exp(x) + exp(-x)) / 2.0; }
Value log2(Value x) { return log(x) / std::log(2.0); }
Value log10(Value x) { return log(x) / std::log(10.0); }
Value reciprocal(Value x) { return 1.0 / x; }
Value negative(Value x) { return -x; }
Value cubic_root(Value x) { return sign(x) * pow(abs(x), 1.0 / 3.0); }

// What has no op is done on the numbers of data; rounding on all numbers, since it has no
// derivative worth having.
void add_numeric(BuiltinTable& table, const std::string& name, double (*function)(double),
                 bool rounding) {
  table["np." + name] = [name, function, rounding](Arguments& a) -> Object {
    const Object x = a.array_or_number("x");
    if (const Number* n = x.number()) return numpy::real(function(n->value));
    const ArrayPtr array = x.array();
    if (!rounding && array->value && a.in.tape().is_variable(array->value)) {
      a.fail(
          fmt::format("np.{} is read for data only, not for what depends on a parameter; there "
                      "are np.tanh, np.exp, np.log, np.sqrt",
                      name));
    }
    std::vector<double> numbers = a.in.tape().numbers(*array);
    for (double& v : numbers) v = function(v);
    return known_array(Kind::kReal, array->shape, std::move(numbers));
  };
}

// ── reductions ───────────────────────────────────────────────────────────────

struct Reduced {
  Object x;
  Axes axes;  // empty for all
  bool keep = false;
  double count = 1;  // of the elements joined
};

Reduced reduced(Arguments& a) {
  Reduced r;
  r.x = a.array_or_number("a");
  const Shape shape = r.x.array() ? r.x.array()->shape : Shape{};
  const Object* axis = a.take("axis");
  if (axis != nullptr && !axis->nothing()) {
    for (std::int64_t k : a.in.shape(a.call, *axis, "axis")) {
      const auto rank = static_cast<std::int64_t>(shape.size());
      if (k < -rank || k >= rank) {
        a.fail(fmt::format("there is no axis {} in an array of shape {}", k, to_string(shape)));
      }
      r.axes.push_back(k < 0 ? k + rank : k);
    }
    if (r.axes.empty()) a.fail("axis=() is not read");
    std::sort(r.axes.begin(), r.axes.end());
  }
  for (const char* unread : {"dtype", "out"}) {
    const Object* given = a.keyword(unread);
    if (given != nullptr && unread[0] == 'o' && !given->nothing()) a.fail("out= is not read");
  }
  return r;
}

void keep_axes(Arguments& a, Reduced& r) {
  const Object* keep = a.keyword("keepdims");
  r.keep = keep != nullptr && a.in.truth(a.call, *keep);
  const Shape shape = r.x.array() ? r.x.array()->shape : Shape{};
  r.count = static_cast<double>(element_count(shape));
  if (!r.axes.empty()) {
    r.count = 1;
    for (const std::int64_t k : r.axes) {
      r.count *= static_cast<double>(shape[static_cast<std::size_t>(k)]);
    }
  }
}

using Reduction = Value (*)(Value x, const Reduced& r);

Value reduce_sum(Value x, const Reduced& r) { return sum(x, r.axes, r.keep); }
Value reduce_mean(Value x, const Reduced& r) { return mean(x, r.axes, r.keep); }
Value reduce_max(Value x, const Reduced& r) { return max(x, r.axes, r.keep); }
Value reduce_min(Value x, const Reduced& r) { return -max(-x, r.axes, r.keep); }
Value reduce_any(Value x, const Reduced& r) {
  return max(not_equal(x, constant(x.graph(), 0, x.shape())), r.axes, r.keep);
}
Value reduce_all(Value x, const Reduced& r) {
  return -max(-not_equal(x, constant(x.graph(), 0, x.shape())), r.axes, r.keep);
}

void add_reduction(BuiltinTable& table, const std::string& name, Reduction reduction,
                   Kind (*kind)(Kind)) {
  table["np." + name] = [reduction, kind](Arguments& a) -> Object {
    Reduced r = reduced(a);
    keep_axes(a, r);
    if (r.x.number() != nullptr)
      return {Number{kind(r.x.kind()), r.x.number()->value, {}, nullptr}};
    return a.in.map(kind(r.x.kind()), r.x, [&](Value x) { return reduction(x, r); });
  };
}

Object spread(Arguments& a, bool root) {
  Reduced r = reduced(a);
  const Object* given = a.keyword("ddof");
  const double ddof = given == nullptr ? 0 : a.in.real(a.call, *given, "ddof");
  keep_axes(a, r);
  if (r.x.number() != nullptr) return real(0);
  return a.in.map(Kind::kReal, r.x, [&](Value x) {
    const Value square_of = square(x - mean(x, r.axes, true));
    const Value y = ddof == 0 ? mean(square_of, r.axes, r.keep)
                              : sum(square_of, r.axes, r.keep) / (r.count - ddof);
    return root ? sqrt(y) : y;
  });
}

Object position_of_largest(Arguments& a, bool smallest) {
  Reduced r = reduced(a);
  keep_axes(a, r);
  if (!r.x.array()) return integer(0);
  if (r.axes.size() > 1) a.fail("one axis only");
  const ArrayPtr array = r.x.array();
  const auto rank = static_cast<std::int64_t>(array->shape.size());
  const std::int64_t axis = r.axes.empty() ? -1 : r.axes[0];
  Object result =
      a.in.tape().apply(Kind::kInteger, {{r.x}}, [&](Graph&, const std::vector<Value>& v) -> Value {
        Value x = smallest ? -v[0] : v[0];
        if (axis < 0) return argmax(reshape(x, {-1}));
        if (axis != rank - 1) {
          Axes last;
          for (std::int64_t i = 0; i < rank; ++i) {
            if (i != axis) last.push_back(i);
          }
          last.push_back(axis);
          x = transpose(x, last);
        }
        return argmax(x);
      });
  if (!r.keep || axis < 0) return result;
  Shape shape = array->shape;
  shape[static_cast<std::size_t>(axis)] = 1;
  return a.in.reshaped(result, shape);
}

Kind at_least_whole(Kind k) { return std::max(k, Kind::kInteger); }
Kind always_real(Kind) { return Kind::kReal; }
Kind unchanged(Kind k) { return k; }
Kind always_bool(Kind) { return Kind::kBool; }

}  // namespace

bool is_method(std::string_view name) {
  constexpr std::array<std::string_view, 18> kMethods = {
      "sum", "mean", "max",     "min",       "var",     "std",   "argmax", "argmin", "any",
      "all", "dot",  "reshape", "transpose", "squeeze", "ravel", "clip",   "round",  "swapaxes"};
  return std::find(kMethods.begin(), kMethods.end(), name) != kMethods.end();
}

void add_elementwise(BuiltinTable& t) {
  add_unary(t, "exp", exp);
  add_unary(t, "log", log);
  add_unary(t, "log1p", log1p);
  add_unary(t, "expm1", expm1);
  add_unary(t, "log2", log2);
  add_unary(t, "log10", log10);
  add_unary(t, "sqrt", sqrt);
  add_unary(t, "cbrt", cubic_root);
  add_unary(t, "tanh", tanh);
  add_unary(t, "sinh", sinh);
  add_unary(t, "cosh", cosh);
  add_unary(t, "reciprocal", reciprocal);
  add_unary(t, "square", square, false);
  add_unary(t, "abs", abs, false);
  add_unary(t, "absolute", abs, false);
  add_unary(t, "fabs", abs);
  add_unary(t, "sign", sign, false);
  add_unary(t, "negative", negative, false);
  add_operator(t, "add", "+");
  add_operator(t, "subtract", "-");
  add_operator(t, "multiply", "*");
  add_operator(t, "divide", "/");
  add_operator(t, "true_divide", "/");
  add_operator(t, "power", "**");
  add_operator(t, "pow", "**");
  add_operator(t, "equal", "==");
  add_operator(t, "not_equal", "!=");
  add_operator(t, "greater", ">");
  add_operator(t, "greater_equal", ">=");
  add_operator(t, "less", "<");
  add_operator(t, "less_equal", "<=");
  add_operator(t, "logical_and", "&");
  add_operator(t, "logical_or", "|");
  add_binary(t, "maximum", maximum);
  add_binary(t, "minimum", minimum);
  add_binary(t, "fmax", maximum);
  add_binary(t, "fmin", minimum);
  add_numeric(
      t, "floor", [](double x) { return std::floor(x); }, true);
  add_numeric(
      t, "ceil", [](double x) { return std::ceil(x); }, true);
  add_numeric(
      t, "rint", [](double x) { return std::nearbyint(x); }, true);
  add_numeric(
      t, "sin", [](double x) { return std::sin(x); }, false);
  add_numeric(
      t, "cos", [](double x) { return std::cos(x); }, false);
  t["np.round"] = t["np.around"] = [](Arguments& a) -> Object {
    const Object x = a.array_or_number("a");
    const double scale = std::pow(10.0, static_cast<double>(a.integer_or("decimals", 0)));
    const auto rounded = [&](double v) { return std::nearbyint(v * scale) / scale; };
    if (const Number* n = x.number()) return real(rounded(n->value));
    std::vector<double> numbers = a.in.tape().numbers(*x.array());
    for (double& v : numbers) v = rounded(v);
    return known_array(Kind::kReal, x.array()->shape, std::move(numbers));
  };
  t["np.logaddexp"] = [](Arguments& a) {
    const Object x = a.array_or_number("x1");
    const Object y = a.array_or_number("x2");
    return a.in.elementwise(a.call, Kind::kReal, {x, y}, [](Graph&, const std::vector<Value>& v) {
      return v[1] + softplus(v[0] - v[1]);
    });
  };
  t["np.where"] = [](Arguments& a) {
    const Object condition = a.array_or_number("condition");
    if (a.next >= a.positional.size()) {
      a.fail("np.where with one argument is not read; write np.where(condition, x, y)");
    }
    const Object x = a.array_or_number("x");
    const Object y = a.array_or_number("y");
    return a.in.elementwise(
        a.call, std::max(x.kind(), y.kind()), {condition, x, y},
        [](Graph&, const std::vector<Value>& v) { return where(v[0], v[1], v[2]); });
  };
  t["np.clip"] = [](Arguments& a) {
    Object x = a.array_or_number("a");
    for (const bool low : {true, false}) {
      const Object* bound = a.take(low ? "a_min" : "a_max");
      if (bound == nullptr) bound = a.keyword(low ? "min" : "max");
      if (bound == nullptr || bound->nothing()) continue;
      const Object b = *bound;
      x = a.in.elementwise(a.call, std::max(x.kind(), b.numeric() ? b.kind() : Kind::kReal), {x, b},
                           [&](Graph&, const std::vector<Value>& v) {
                             return low ? maximum(v[0], v[1]) : minimum(v[0], v[1]);
                           });
    }
    // clip(x, low, high, out): x itself is changed.
    if (const Object* out = a.take("out")) {
      const ArrayPtr target = out->array();
      if (!target) a.fail("out= needs an array");
      a.in.change(a.call, target, x, target->hint.empty() ? "clipped" : target->hint);
    }
    return x;
  };
}

void add_reductions(BuiltinTable& t) {
  add_reduction(t, "sum", reduce_sum, at_least_whole);
  add_reduction(t, "mean", reduce_mean, always_real);
  add_reduction(t, "average", reduce_mean, always_real);
  for (const char* name : {"max", "amax"}) add_reduction(t, name, reduce_max, unchanged);
  for (const char* name : {"min", "amin"}) add_reduction(t, name, reduce_min, unchanged);
  add_reduction(t, "any", reduce_any, always_bool);
  add_reduction(t, "all", reduce_all, always_bool);
  t["np.var"] = [](Arguments& a) { return spread(a, false); };
  t["np.std"] = [](Arguments& a) { return spread(a, true); };
  t["np.argmax"] = [](Arguments& a) { return position_of_largest(a, false); };
  t["np.argmin"] = [](Arguments& a) { return position_of_largest(a, true); };
  t["np.linalg.norm"] = [](Arguments& a) {
    const Object x = a.array_or_number("x");
    const Object* order = a.take("ord");
    if (order != nullptr && !order->nothing() && a.in.real(a.call, *order, "ord") != 2) {
      a.fail("only the 2-norm is read");
    }
    Arguments rest(a.in, a.call, a.function);
    rest.positional = {x};
    for (const Object& object : a.rest()) rest.positional.push_back(object);
    rest.keywords = std::exchange(a.keywords, {});
    Reduced r = reduced(rest);
    keep_axes(rest, r);
    return a.in.map(Kind::kReal, x, [&](Value v) { return sqrt(sum(square(v), r.axes, r.keep)); });
  };
}

void add_products(BuiltinTable& t) {
  t["np.dot"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    const Object y = a.array_or_number("b");
    return a.in.product(a.call, x, y, true);
  };
  t["np.inner"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    const Object y = a.array_or_number("b");
    if (y.array() && y.array()->shape.size() == 2) {
      return a.in.product(a.call, x, a.in.permuted(y, {1, 0}), true);
    }
    return a.in.product(a.call, x, y, true);
  };
  t["np.vdot"] = t["np.dot"];
  t["np.matmul"] = [](Arguments& a) {
    const Object x = a.array_or_number("x1");
    const Object y = a.array_or_number("x2");
    return a.in.product(a.call, x, y, false);
  };
  t["np.outer"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    const Object y = a.array_or_number("b");
    const Object column = a.in.reshaped(x, {-1, 1});
    const Object row = a.in.reshaped(y, {1, -1});
    return a.in.arithmetic(a.call, "*", column, row);
  };
}

}  // namespace chainrule::numpy
