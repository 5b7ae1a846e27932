// Functions of one operand, element by element: the primitives first, then the activations that are
// plain compositions of them.
#include <cmath>
#include <numbers>

#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/gelu.h"

namespace chainrule {
namespace {

// ── exp ──────────────────────────────────────────────────────────────────────
const Op kExp{checked({
    .name = "exp",
    .formula = "exp({0})",
    .latex = R"(\exp\left({0}\right))",
    .numpy = "np.exp({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::exp(x); }); },
    .c = "real_exp({0})",
    .grad = [](const Node& n, Value dy) -> Grads { return {dy * n.output()}; },
    .samples =
        [](Sampler& s) {
          s.check(exp(s.uniform({2, 3}, -3, 3)));
        },
})};

// ── expm1 ────────────────────────────────────────────────────────────────────
// exp(x) - 1 keeps no digit of a small x.
const Op kExpm1{checked({
    .name = "expm1",
    .formula = "exp({0}) - 1",
    .binding = Binding::kSum,
    .latex = {R"(\exp\left({0}\right) - 1)", Binding::kSum},
    .numpy = "np.expm1({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::expm1(x); }); },
    .c = "real_expm1({0})",
    // Not y + 1, which keeps no digit where y is near -1.
    .grad = [](const Node& n, Value dy) -> Grads { return {dy * exp(n.inputs[0])}; },
    .samples =
        [](Sampler& s) {
          s.check(expm1(s.uniform({2, 3}, -3, 3)));
        },
})};

// ── log ──────────────────────────────────────────────────────────────────────
const Op kLog{checked({
    .name = "log",
    .formula = "log({0})",
    .latex = R"(\log\left({0}\right))",
    .numpy = "np.log({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::log(x); }); },
    .c = "real_log({0})",
    .grad = [](const Node& n, Value dy) -> Grads { return {dy / n.inputs[0]}; },
    .samples =
        [](Sampler& s) {
          s.check(log(s.uniform({2, 3}, 0.2, 5)));
        },
})};

// ── log1p ────────────────────────────────────────────────────────────────────
// log(1 + x) keeps no digit of a small x.
const Op kLog1p{checked({
    .name = "log1p",
    .formula = "log(1 + {0})",
    .latex = R"(\log\left(1 + {0}\right))",
    .numpy = "np.log1p({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::log1p(x); }); },
    .c = "real_log1p({0})",
    .grad = [](const Node& n, Value dy) -> Grads { return {dy / (1 + n.inputs[0])}; },
    .samples =
        [](Sampler& s) {
          s.check(log1p(s.uniform({2, 3}, -0.8, 5)));
        },
})};

// ── sqrt ─────────────────────────────────────────────────────────────────────
const Op kSqrt{checked({
    .name = "sqrt",
    .formula = "√{0}",
    .binding = Binding::kPower,
    .latex = R"(\sqrt{{0}})",
    .numpy = "np.sqrt({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::sqrt(x); }); },
    .c = "real_sqrt({0})",
    .grad = [](const Node& n, Value dy) -> Grads { return {dy / (2 * n.output())}; },
    .samples =
        [](Sampler& s) {
          s.check(sqrt(s.uniform({2, 3}, 0.2, 5)));
        },
})};

// ── abs ──────────────────────────────────────────────────────────────────────
const Op kAbs{checked({
    .name = "abs",
    .formula = "|{0}|",
    .latex = R"(\left|{0}\right|)",
    .numpy = "np.abs({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::fabs(x); }); },
    .c = "real_fabs({0})",
    .grad = [](const Node& n, Value dy) -> Grads { return {dy * sign(n.inputs[0])}; },
    .samples =
        [](Sampler& s) {
          s.check(abs(s.uniform({2, 3}, -2, 2, true)));
        },
})};

// ── sign ─────────────────────────────────────────────────────────────────────
const Op kSign{checked({
    .name = "sign",
    .formula = "sign({0})",
    .latex = R"(\operatorname{sign}\left({0}\right))",
    .numpy = "np.sign({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval =
        [](const Eval& e) {
          e.map([](double x) { return std::isnan(x) ? x : (x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0); });
        },
    .c = "({0} > 0 ? (real)1 : {0} < 0 ? (real)-1 : {0})",
    .grad = [](const Node&, Value) -> Grads { return {Value()}; },
    .samples =
        [](Sampler& s) {
          s.check(sign(s.uniform({2, 3}, -2, 2, true)));
        },
})};

// ── erf ──────────────────────────────────────────────────────────────────────
const Op kErf{checked({
    .name = "erf",
    .formula = "erf({0})",
    .latex = R"(\operatorname{erf}\left({0}\right))",
    .numpy = {"np.vectorize(math.erf)({0})", Binding::kAtom, "import math"},
    .torch = "torch.erf({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::erf(x); }); },
    .c = "real_erf({0})",
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value x = n.inputs[0];
      return {dy * (2 * std::numbers::inv_sqrtpi * exp(-square(x)))};
    },
    .samples =
        [](Sampler& s) {
          s.check(erf(s.uniform({2, 3}, -2, 2)));
        },
})};

// ── gelu ─────────────────────────────────────────────────────────────────────
// Ops of their own, with a function each on the CPU: as compositions they leave five arrays behind
// for the way back, where x alone is enough.
double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

const Op kGelu{checked({
    .name = "gelu",
    .formula = "gelu({0})",
    .latex = R"(\operatorname{gelu}\left({0}\right))",
    .numpy = {"{0} * 0.5 * (1 + np.vectorize(math.erf)({0} / math.sqrt(2)))", Binding::kProduct,
              "import math"},
    .torch = "torch.nn.functional.gelu({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return x * normal_cdf(x); }); },
    .c = {"{0} * (real)0.5 * (1 + real_erf({0} * (real)0.70710678118654752))", Binding::kProduct},
    .grad = [](const Node& n, Value dy) -> Grads { return {dy * gelu_slope(n.inputs[0])}; },
    .samples =
        [](Sampler& s) {
          s.check(gelu(s.uniform({2, 3}, -3, 3)));
        },
})};

// ── gelu_slope ───────────────────────────────────────────────────────────────
// φ(x), the density of the normal distribution.
Value normal_density(Value x) {
  return (std::numbers::inv_sqrtpi / std::numbers::sqrt2) * exp(-0.5 * square(x));
}

const Op kGeluSlope{checked({
    .name = "gelu_slope",
    .formula = "gelu'({0})",
    .latex = R"(\operatorname{gelu}'\left({0}\right))",
    .numpy = {"0.5 * (1 + np.vectorize(math.erf)({0} / math.sqrt(2))) + "
              "{0} * np.exp(-0.5 * {0} ** 2) / math.sqrt(2 * math.pi)",
              Binding::kSum, "import math"},
    .torch = {"0.5 * (1 + torch.erf({0} / math.sqrt(2))) + "
              "{0} * torch.exp(-0.5 * {0} ** 2) / math.sqrt(2 * math.pi)",
              Binding::kSum, "import math"},
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval =
        [](const Eval& e) {
          e.map([](double x) {
            return normal_cdf(x) +
                   x * std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
          });
        },
    .c = {"(real)0.5 * (1 + real_erf({0} * (real)0.70710678118654752)) + "
          "{0} * real_exp((real)-0.5 * {0} * {0}) * (real)0.39894228040143268",
          Binding::kSum},
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value x = n.inputs[0];
      return {dy * ((2 - square(x)) * normal_density(x))};
    },
    .samples =
        [](Sampler& s) {
          s.check(gelu_slope(s.uniform({2, 3}, -3, 3)));
        },
})};

// ── sin ──────────────────────────────────────────────────────────────────────
const Op kSin{checked({
    .name = "sin",
    .formula = "sin({0})",
    .latex = R"(\sin\left({0}\right))",
    .numpy = "np.sin({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::sin(x); }); },
    .c = "real_sin({0})",
    .grad = [](const Node& n, Value dy) -> Grads { return {dy * cos(n.inputs[0])}; },
    .samples =
        [](Sampler& s) {
          s.check(sin(s.uniform({2, 3}, -4, 4)));
        },
})};

// ── cos ──────────────────────────────────────────────────────────────────────
const Op kCos{checked({
    .name = "cos",
    .formula = "cos({0})",
    .latex = R"(\cos\left({0}\right))",
    .numpy = "np.cos({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::cos(x); }); },
    .c = "real_cos({0})",
    .grad = [](const Node& n, Value dy) -> Grads { return {-(dy * sin(n.inputs[0]))}; },
    .samples =
        [](Sampler& s) {
          s.check(cos(s.uniform({2, 3}, -4, 4)));
        },
})};

// ── relu ─────────────────────────────────────────────────────────────────────
const Op kRelu{checked({
    .name = "relu",
    .formula = "relu({0})",
    .latex = R"(\operatorname{relu}\left({0}\right))",
    .numpy = "np.maximum({0}, 0)",
    .torch = "torch.relu({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::isnan(x) || x > 0 ? x : 0.0; }); },
    .c = "({0} <= 0 ? 0 : {0})",
    .grad = [](const Node& n, Value dy) -> Grads { return {dy * greater(n.inputs[0], 0.0)}; },
    .samples =
        [](Sampler& s) {
          s.check(relu(s.uniform({2, 3}, -2, 2, true)));
        },
})};

// ── sigmoid ──────────────────────────────────────────────────────────────────
// A primitive rather than 1/(1 + exp(-x)): the gradient of that composition is inf/inf at x = -100.
const Op kSigmoid{checked({
    .name = "sigmoid",
    .formula = "sigmoid({0})",
    .latex = R"(\sigma\left({0}\right))",
    .numpy = {"1 / (1 + np.exp(-{0}))", Binding::kProduct},
    .torch = "torch.sigmoid({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return 1 / (1 + std::exp(-x)); }); },
    .c = {"1 / (1 + real_exp(-{0}))", Binding::kProduct},
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value y = n.output();
      return {dy * (y * (1 - y))};
    },
    .samples =
        [](Sampler& s) {
          s.check(sigmoid(s.uniform({2, 3}, -4, 4)));
        },
})};

// ── tanh ─────────────────────────────────────────────────────────────────────
const Op kTanh{checked({
    .name = "tanh",
    .formula = "tanh({0})",
    .latex = R"(\tanh\left({0}\right))",
    .numpy = "np.tanh({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval = [](const Eval& e) { e.map([](double x) { return std::tanh(x); }); },
    .c = "real_tanh({0})",
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value y = n.output();
      return {dy * (1 - square(y))};
    },
    .samples =
        [](Sampler& s) {
          s.check(tanh(s.uniform({2, 3}, -3, 3)));
        },
})};

// ── softplus ─────────────────────────────────────────────────────────────────
// A primitive: max(x, 0) + log(1 + exp(-|x|)) has the wrong derivative at exactly 0, where the
// logits of a freshly made model with zero weights all lie.
const Op kSoftplus{checked({
    .name = "softplus",
    .formula = "softplus({0})",
    .latex = R"(\operatorname{softplus}\left({0}\right))",
    .numpy = "np.logaddexp(0, {0})",
    .torch = "torch.nn.functional.softplus({0})",
    .elementwise = true,
    .infer = same_as_all_inputs,
    .eval =
        [](const Eval& e) {
          e.map([](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); });
        },
    .c = {"({0} > 0 ? {0} : 0) + real_log1p(real_exp(-real_fabs({0})))", Binding::kSum},
    .grad = [](const Node& n, Value dy) -> Grads { return {dy * sigmoid(n.inputs[0])}; },
    .samples =
        [](Sampler& s) {
          s.check(softplus(s.uniform({2, 3}, -4, 4)));
        },
})};

}  // namespace

Value exp(Value x) { return emit(kExp, {x}); }
Value expm1(Value x) { return emit(kExpm1, {x}); }
Value log(Value x) { return emit(kLog, {x}); }
Value log1p(Value x) { return emit(kLog1p, {x}); }
Value sqrt(Value x) { return emit(kSqrt, {x}); }
Value abs(Value x) { return emit(kAbs, {x}); }
Value sign(Value x) { return emit(kSign, {x}); }
Value sin(Value x) { return emit(kSin, {x}); }
Value cos(Value x) { return emit(kCos, {x}); }
Value erf(Value x) { return emit(kErf, {x}); }
Value relu(Value x) { return emit(kRelu, {x}); }
Value sigmoid(Value x) { return emit(kSigmoid, {x}); }
Value tanh(Value x) { return emit(kTanh, {x}); }
Value softplus(Value x) { return emit(kSoftplus, {x}); }

Value square(Value x) { return x * x; }

Value leaky_relu(Value x, double slope) { return where(greater(x, 0.0), x, slope * x); }

Value elu(Value x, double alpha) {
  // The minimum keeps the exponential from overflowing on the side that `where` does not choose.
  return where(greater(x, 0.0), x, alpha * expm1(minimum(x, 0.0)));
}

Value gelu(Value x) { return emit(kGelu, {x}); }
Value gelu_slope(Value x) { return emit(kGeluSlope, {x}); }

Value gelu_tanh(Value x) {
  const double scale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;  // √(2/π)
  // (1 + tanh u)/2 = sigmoid(2u), which keeps its accuracy where tanh u is close to −1.
  return x * sigmoid(2 * scale * (x + 0.044715 * x * x * x));
}

Value silu(Value x) { return x * sigmoid(x); }

Value softsign(Value x) { return x / (1 + abs(x)); }

Value selu(Value x) {
  constexpr double kAlpha = 1.6732632423543772;
  constexpr double kScale = 1.0507009873554805;
  return kScale * elu(x, kAlpha);
}

Value mish(Value x) { return x * tanh(softplus(x)); }

Value hardsigmoid(Value x) {
  return where(greater_equal(x, 3.0), constant(x.graph(), 1, x.shape()), relu(x / 6.0 + 0.5));
}

Value hardswish(Value x) { return x * hardsigmoid(x); }

}  // namespace chainrule
