// Arithmetic of two operands, comparisons and selection, element by element. The C++ operators join
// different shapes by NumPy's rule with an explicit broadcast_to, so no op here knows of
// broadcasting.
#include <algorithm>
#include <cmath>

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
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a + b; }); },
    .c = "{0} + {1}",
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
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a - b; }); },
    .c = "{0} - {1}",
    .grad = [](const Node&, Value dy) -> Grads {
      return {dy, -dy};
    },
    .samples = [](Sampler& s) { sample_pair(s, operator-); },
})};

// ── mul ──────────────────────────────────────────────────────────────────────
const Op kMul{checked({
    .name = "mul",
    .formula = "{0} ⊙ {1}",
    .binding = Binding::kProduct,
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a * b; }); },
    .c = "{0} * {1}",
    .grad = [](const Node& n, Value dy) -> Grads {
      return {dy * n.inputs[1], dy * n.inputs[0]};
    },
    .samples = [](Sampler& s) { sample_pair(s, operator*); },
})};

// ── div ──────────────────────────────────────────────────────────────────────
const Op kDiv{checked({
    .name = "div",
    .formula = "{0} / {1}",
    .binding = Binding::kProduct,
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a / b; }); },
    .c = "{0} / {1}",
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
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return -x; }); },
    .c = "-{0}",
    .grad = [](const Node&, Value dy) -> Grads { return {-dy}; },
    .samples =
        [](Sampler& s) {
          s.check(-s.uniform({2, 3}, -2, 2));
        },
})};

// ── pow ──────────────────────────────────────────────────────────────────────
const Op kPow{checked({
    .name = "pow",
    .formula = "{0}^{1}",
    .binding = Binding::kPower,
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return std::pow(a, b); }); },
    .c = "real_pow({0}, {1})",
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value a = n.inputs[0];
      const Value b = n.inputs[1];
      const Value y = n.output();
      return {dy * b * pow(a, b - 1), dy * y * log(a)};
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
      const Value a = n.inputs[0];
      const Value b = n.inputs[1];
      return {dy * greater(a, b), dy * less_equal(a, b)};
    },
    .samples = [](Sampler& s) { sample_pair(s, maximum); },
})};

// ── minimum ──────────────────────────────────────────────────────────────────
const Op kMinimum{checked({
    .name = "minimum",
    .formula = "min({0}, {1})",
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval =
        [](const Eval& e) {
          e.map([](double a, double b) { return std::isnan(a) || a < b ? a : b; });
        },
    .c = "(isnan({0}) || {0} < {1} ? {0} : {1})",
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value a = n.inputs[0];
      const Value b = n.inputs[1];
      return {dy * less(a, b), dy * greater_equal(a, b)};
    },
    .samples = [](Sampler& s) { sample_pair(s, minimum); },
})};

// ── comparisons ──────────────────────────────────────────────────────────────
const Op kLess{checked({
    .name = "less",
    .formula = "[{0} < {1}]",
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a < b ? 1.0 : 0.0; }); },
    .c = "(real)({0} < {1})",
    .grad = flat,
    .samples = [](Sampler& s) { sample_pair(s, less); },
})};

const Op kLessEqual{checked({
    .name = "less_equal",
    .formula = "[{0} ≤ {1}]",
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a <= b ? 1.0 : 0.0; }); },
    .c = "(real)({0} <= {1})",
    .grad = flat,
    .samples = [](Sampler& s) { sample_pair(s, less_equal); },
})};

const Op kGreater{checked({
    .name = "greater",
    .formula = "[{0} > {1}]",
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a > b ? 1.0 : 0.0; }); },
    .c = "(real)({0} > {1})",
    .grad = flat,
    .samples = [](Sampler& s) { sample_pair(s, greater); },
})};

const Op kGreaterEqual{checked({
    .name = "greater_equal",
    .formula = "[{0} ≥ {1}]",
    .inputs = 2,
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double a, double b) { return a >= b ? 1.0 : 0.0; }); },
    .c = "(real)({0} >= {1})",
    .grad = flat,
    .samples = [](Sampler& s) { sample_pair(s, greater_equal); },
})};

const Op kEqual{checked({
    .name = "equal",
    .formula = "[{0} = {1}]",
    .inputs = 2,
    .elementwise = true,
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
    .inputs = 2,
    .elementwise = true,
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

}  // namespace chainrule
