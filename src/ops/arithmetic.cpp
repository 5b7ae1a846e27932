// Arithmetic of two operands, comparisons and selection, element by element. The C++ operators join
// different shapes by NumPy's rule with an explicit broadcast_to, so no op here knows of
// broadcasting.
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {
namespace {

Shape joined_shape(const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.size(), b.size());
  Shape shape(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t x = i < rank - a.size() ? 1 : a[i - (rank - a.size())];
    const std::int64_t y = i < rank - b.size() ? 1 : b[i - (rank - b.size())];
    if (x != y && x != 1 && y != 1) {
      throw ShapeError("shapes " + to_string(a) + " and " + to_string(b) +
                       " cannot be joined: every axis, counted from the right, must be equal or 1");
    }
    shape[i] = x == 1 ? y : x;
  }
  return shape;
}

Value stretched(Value x, const Shape& shape) {
  return x.shape() == shape ? x : broadcast_to(x, shape);
}

Value emit_joined(const Op& op, Value a, Value b) {
  const Shape shape = joined_shape(a.shape(), b.shape());
  return emit(op, {stretched(a, shape), stretched(b, shape)});
}

Value constant_like(Value x, double value) { return constant(x.graph(), value, x.shape()); }

std::optional<double> number(const Value& v) {
  if (is(v, "broadcast_to")) return number(v.node().inputs[0]);
  return constant_value(v);
}

// What a and b get of the gradient of max(a, b); from min(a, b) each gets what max leaves it, so
// that max + min has the gradient of a + b, also where a = b. There both get half, as in PyTorch;
// but max(x, c) passes on [x > c], as relu does.
std::array<Value, 2> shares_of_largest(Value a, Value b) {
  if (number(b)) return {greater(a, b), less_equal(a, b)};
  if (number(a)) return {greater_equal(a, b), less(a, b)};
  const Value equals = equal(a, b);
  const Value half = constant_like(a, 0.5);
  return {where(equals, half, greater(a, b)), where(equals, half, less(a, b))};
}

// A step function is flat almost everywhere.
Grads flat(const Node& node, Value) { return Grads(node.inputs.size()); }

void sample_pair(Sampler& s, Value (*f)(Value, Value)) {
  s.check(f(s.uniform({2, 3}, -2, 2), s.uniform({2, 3}, -2, 2)));
}

// ── add ──────────────────────────────────────────────────────────────────────
const Op kAdd{checked({
    .name = "add",
    .formula = "{0} + {1}",
    .binding = Binding::kSum,
    .latex = {"{0} + {1}", Binding::kSum},
    .numpy = {"{0} + {1}", Binding::kSum},
    .inputs = 2,
    .elementwise = true,
    .associative = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a + b; }); },
    .c = {"{0} + {1}", Binding::kSum},
    .grad = [](const Node&, Value dy) -> Grads {
      return {dy, dy};
    },
    .samples = [](Sampler& s) { sample_pair(s, operator+); },
})};

// ── sub ──────────────────────────────────────────────────────────────────────
const Op kSub{checked({
    .name = "sub",
    .formula = "{0} - {1}",
    .binding = Binding::kSum,
    .latex = {"{0} - {1}", Binding::kSum},
    .numpy = {"{0} - {1}", Binding::kSum},
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a - b; }); },
    .c = {"{0} - {1}", Binding::kSum},
    .grad = [](const Node&, Value dy) -> Grads {
      return {dy, -dy};
    },
    .samples = [](Sampler& s) { sample_pair(s, operator-); },
})};

// A number times itself is written as its square.
Pattern product(const Node& n, const char* pattern, const char* square) {
  if (n.inputs[0] == n.inputs[1]) return {square, Binding::kPower};
  return {pattern, Binding::kProduct};
}

// ── mul ──────────────────────────────────────────────────────────────────────
const Op kMul{checked({
    .name = "mul",
    .formula = {[](const Node& n) { return product(n, "{0} ⊙ {1}", "{0}²"); }},
    .latex = {[](const Node& n) { return product(n, R"({0} \odot {1})", "{0}^2"); }},
    .numpy = {[](const Node& n) { return product(n, "{0?} * {1?}", "{0} ** 2"); }},
    .inputs = 2,
    .elementwise = true,
    .associative = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a * b; }); },
    .c = {"{0} * {1}", Binding::kProduct},
    .grad = [](const Node& n, Value dy) -> Grads {
      if (n.inputs[0] == n.inputs[1]) return {dy * (2 * n.inputs[0]), Value()};
      return {dy * n.inputs[1], dy * n.inputs[0]};
    },
    .samples = [](Sampler& s) { sample_pair(s, operator*); },
})};

// ── div ──────────────────────────────────────────────────────────────────────
const Op kDiv{checked({
    .name = "div",
    .formula = "{0} / {1}",
    .binding = Binding::kProduct,
    .latex = {R"(\frac{{0}}{{1}})", Binding::kPower},
    .numpy = {"{0} / {1}", Binding::kProduct},
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a / b; }); },
    .c = {"{0} / {1}", Binding::kProduct},
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value b = n.inputs[1];
      const Value y = n.output();
      return {dy / b, -(dy * y / b)};
    },
    .samples =
        [](Sampler& s) {
          s.check(s.uniform({2, 3}, -2, 2) / s.uniform({2, 3}, 0.5, 2));
        },
})};

// ── neg ──────────────────────────────────────────────────────────────────────
const Op kNeg{checked({
    .name = "neg",
    .formula = "-{0}",
    .binding = Binding::kUnary,
    .latex = {"-{0}", Binding::kUnary},
    .numpy = {"-{0}", Binding::kUnary},
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return -x; }); },
    .c = {"-{0}", Binding::kUnary},
    .grad = [](const Node&, Value dy) -> Grads { return {-dy}; },
    .samples =
        [](Sampler& s) {
          s.check(-s.uniform({2, 3}, -2, 2));
        },
})};

// ── pow ──────────────────────────────────────────────────────────────────────
// aᵇ⁻¹ as b·aᵇ⁻¹ needs it: at a = b = 0 that is 0, the slope of x⁰ = 1, and not 0·∞. The base is
// replaced there, not the product, so that the second derivative meets no infinity either.
Value power_below(Value a, Value b) {
  const std::optional<double> base = number(a);
  if (const std::optional<double> power = number(b)) {
    return *power == 0 ? constant_like(a, 1) : pow(a, *power - 1);
  }
  if (base && *base != 0) return pow(a, b - 1);
  const Value both_zero = equal(a, constant_like(a, 0)) * equal(b, constant_like(b, 0));
  return pow(where(both_zero, constant_like(a, 1), a), b - 1);
}

// log a as aᵇ·log a needs it: at a = 0 that is 0 for b ≥ 0, since 0ᵇ does not change with b, and
// not 0·∞.
Value log_of_base(Value a, Value b) {
  const std::optional<double> base = number(a);
  if (base && *base != 0) return log(a);
  const Value stays_zero = equal(a, constant_like(a, 0)) * greater_equal(b, 0.0);
  return log(where(stays_zero, constant_like(a, 1), a));
}

const Op kPow{checked({
    .name = "pow",
    .formula = {[](const Node& n) -> Pattern {
      const Value& exponent = n.inputs[1];
      const bool square = constant_value(exponent) == 2;
      return {square ? "{0}²" : "{0}^{1}", Binding::kPower};
    }},
    .latex = {R"({0}^{{1}})", Binding::kPower},
    .numpy = {"{0} ** {1}", Binding::kPower},
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return std::pow(a, b); }); },
    .c = "real_pow({0}, {1})",
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value a = n.inputs[0];
      const Value b = n.inputs[1];
      const Value y = n.output();
      return {dy * b * power_below(a, b), dy * y * log_of_base(a, b)};
    },
    .samples =
        [](Sampler& s) {
          s.check(pow(s.uniform({2, 3}, 0.3, 2), s.uniform({2, 3}, -2, 2)));
          s.check(pow(s.uniform({2, 3}, 0.3, 2), 3.0));
        },
})};

// ── maximum ──────────────────────────────────────────────────────────────────
const Op kMaximum{checked({
    .name = "maximum",
    .formula = "max({0}, {1})",
    .latex = R"(\max\left({0}, {1}\right))",
    .numpy = "np.maximum({0}, {1})",
    .torch = {[](const Node& n) -> Pattern {
      // torch.maximum takes two tensors; a number goes to clamp.
      return {is(n.inputs[1], "constant")   ? "torch.clamp({0}, min={1})"
              : is(n.inputs[0], "constant") ? "torch.clamp({1}, min={0})"
                                            : "torch.maximum({0}, {1})"};
    }},
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval =
        [](const Eval& e) {
          // NaN in either operand comes through, as in NumPy.
          e.map([](double a, double b) { return std::isnan(a) || a > b ? a : b; });
        },
    .c = "(isnan({0}) || {0} > {1} ? {0} : {1})",
    .grad = [](const Node& n, Value dy) -> Grads {
      const std::array<Value, 2> shares = shares_of_largest(n.inputs[0], n.inputs[1]);
      return {dy * shares[0], dy * shares[1]};
    },
    .samples = [](Sampler& s) { sample_pair(s, maximum); },
})};

// ── minimum ──────────────────────────────────────────────────────────────────
const Op kMinimum{checked({
    .name = "minimum",
    .formula = "min({0}, {1})",
    .latex = R"(\min\left({0}, {1}\right))",
    .numpy = "np.minimum({0}, {1})",
    .torch = {[](const Node& n) -> Pattern {
      // torch.minimum takes two tensors; a number goes to clamp.
      return {is(n.inputs[1], "constant")   ? "torch.clamp({0}, max={1})"
              : is(n.inputs[0], "constant") ? "torch.clamp({1}, max={0})"
                                            : "torch.minimum({0}, {1})"};
    }},
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval =
        [](const Eval& e) {
          e.map([](double a, double b) { return std::isnan(a) || a < b ? a : b; });
        },
    .c = "(isnan({0}) || {0} < {1} ? {0} : {1})",
    .grad = [](const Node& n, Value dy) -> Grads {
      const std::array<Value, 2> shares = shares_of_largest(n.inputs[0], n.inputs[1]);
      return {dy * shares[1], dy * shares[0]};
    },
    .samples = [](Sampler& s) { sample_pair(s, minimum); },
})};

// ── comparisons ──────────────────────────────────────────────────────────────
const Op kLess{checked({
    .name = "less",
    .formula = "[{0} < {1}]",
    .latex = R"(\left[{0} < {1}\right])",
    .numpy = {"{0} < {1}", Binding::kComparison},
    .inputs = 2,
    .elementwise = true,
    .truth = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a < b ? 1.0 : 0.0; }); },
    .c = "(real)({0} < {1})",
    .grad = flat,
    .samples = [](Sampler& s) { sample_pair(s, less); },
})};

const Op kLessEqual{checked({
    .name = "less_equal",
    .formula = "[{0} ≤ {1}]",
    .latex = R"(\left[{0} \le {1}\right])",
    .numpy = {"{0} <= {1}", Binding::kComparison},
    .inputs = 2,
    .elementwise = true,
    .truth = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a <= b ? 1.0 : 0.0; }); },
    .c = "(real)({0} <= {1})",
    .grad = flat,
    .samples = [](Sampler& s) { sample_pair(s, less_equal); },
})};

const Op kGreater{checked({
    .name = "greater",
    .formula = "[{0} > {1}]",
    .latex = R"(\left[{0} > {1}\right])",
    .numpy = {"{0} > {1}", Binding::kComparison},
    .inputs = 2,
    .elementwise = true,
    .truth = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a > b ? 1.0 : 0.0; }); },
    .c = "(real)({0} > {1})",
    .grad = flat,
    .samples = [](Sampler& s) { sample_pair(s, greater); },
})};

const Op kGreaterEqual{checked({
    .name = "greater_equal",
    .formula = "[{0} ≥ {1}]",
    .latex = R"(\left[{0} \ge {1}\right])",
    .numpy = {"{0} >= {1}", Binding::kComparison},
    .inputs = 2,
    .elementwise = true,
    .truth = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a >= b ? 1.0 : 0.0; }); },
    .c = "(real)({0} >= {1})",
    .grad = flat,
    .samples = [](Sampler& s) { sample_pair(s, greater_equal); },
})};

const Op kEqual{checked({
    .name = "equal",
    .formula = "[{0} = {1}]",
    .latex = R"(\left[{0} = {1}\right])",
    .numpy = {"{0} == {1}", Binding::kComparison},
    .inputs = 2,
    .elementwise = true,
    .truth = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a == b ? 1.0 : 0.0; }); },
    .c = "(real)({0} == {1})",
    .grad = flat,
    .samples =
        [](Sampler& s) {
          const Value x = s.uniform({2, 3}, -2, 2);
          s.check(equal(x, maximum(x, 0.1)));
        },
})};

const Op kNotEqual{checked({
    .name = "not_equal",
    .formula = "[{0} ≠ {1}]",
    .latex = R"(\left[{0} \ne {1}\right])",
    .numpy = {"{0} != {1}", Binding::kComparison},
    .inputs = 2,
    .elementwise = true,
    .truth = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a != b ? 1.0 : 0.0; }); },
    .c = "(real)({0} != {1})",
    .grad = flat,
    .samples =
        [](Sampler& s) {
          const Value x = s.uniform({2, 3}, -2, 2);
          s.check(not_equal(x, maximum(x, 0.1)));
        },
})};

// ── where ────────────────────────────────────────────────────────────────────
const Op kWhere{checked({
    .name = "where",
    .formula = "where({0}, {1}, {2})",
    .latex = R"(\operatorname{where}\left({0}, {1}, {2}\right))",
    .numpy = "np.where({0?}, {1}, {2})",
    .torch = "torch.where({0!}, {1}, {2})",
    .inputs = 3,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval =
        [](const Eval& e) { e.map([](double c, double a, double b) { return c != 0 ? a : b; }); },
    .c = "({0} != 0 ? {1} : (real)({2}))",
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value c = n.inputs[0];
      const Value zero = constant_like(dy, 0);
      return {Value(), where(c, dy, zero), where(c, zero, dy)};
    },
    .samples =
        [](Sampler& s) {
          const Value c = greater(s.uniform({2, 3}, -1, 1), 0.0);
          s.check(where(c, s.uniform({2, 3}, -2, 2), s.uniform({2, 3}, -2, 2)));
        },
})};

}  // namespace

Value operator+(Value a, Value b) { return emit_joined(kAdd, a, b); }
Value operator+(Value a, double b) { return a + constant_like(a, b); }
Value operator+(double a, Value b) { return constant_like(b, a) + b; }
Value operator-(Value a, Value b) { return emit_joined(kSub, a, b); }
Value operator-(Value a, double b) { return a - constant_like(a, b); }
Value operator-(double a, Value b) { return constant_like(b, a) - b; }
Value operator*(Value a, Value b) { return emit_joined(kMul, a, b); }
Value operator*(Value a, double b) { return a * constant_like(a, b); }
Value operator*(double a, Value b) { return constant_like(b, a) * b; }
Value operator/(Value a, Value b) { return emit_joined(kDiv, a, b); }
Value operator/(Value a, double b) { return a / constant_like(a, b); }
Value operator/(double a, Value b) { return constant_like(b, a) / b; }
Value operator-(Value x) { return emit(kNeg, {x}); }
Value pow(Value a, Value b) { return emit_joined(kPow, a, b); }
Value pow(Value a, double b) { return pow(a, constant_like(a, b)); }
Value maximum(Value a, Value b) { return emit_joined(kMaximum, a, b); }
Value maximum(Value a, double b) { return maximum(a, constant_like(a, b)); }
Value minimum(Value a, Value b) { return emit_joined(kMinimum, a, b); }
Value minimum(Value a, double b) { return minimum(a, constant_like(a, b)); }
Value less(Value a, Value b) { return emit_joined(kLess, a, b); }
Value less(Value a, double b) { return less(a, constant_like(a, b)); }
Value less_equal(Value a, Value b) { return emit_joined(kLessEqual, a, b); }
Value less_equal(Value a, double b) { return less_equal(a, constant_like(a, b)); }
Value greater(Value a, Value b) { return emit_joined(kGreater, a, b); }
Value greater(Value a, double b) { return greater(a, constant_like(a, b)); }
Value greater_equal(Value a, Value b) { return emit_joined(kGreaterEqual, a, b); }
Value greater_equal(Value a, double b) { return greater_equal(a, constant_like(a, b)); }
Value equal(Value a, Value b) { return emit_joined(kEqual, a, b); }
Value not_equal(Value a, Value b) { return emit_joined(kNotEqual, a, b); }

Value where(Value condition, Value a, Value b) {
  const Shape shape = joined_shape(condition.shape(), joined_shape(a.shape(), b.shape()));
  return emit(kWhere, {stretched(condition, shape), stretched(a, shape), stretched(b, shape)});
}

Value normalize(Value x, Value mean, Value variance, Value gamma, Value beta, double epsilon) {
  const Value scale = gamma / sqrt(variance + epsilon);
  return x * scale + (beta - mean * scale);
}

}  // namespace chainrule
