// Updates that scale each element by its own history, after the papers named with each in ops.h.
#include "ops/updates.h"

namespace chainrule {
namespace {

// ── adagrad ──────────────────────────────────────────────────────────────────
const Op kAdagrad{checked({
    .name = "adagrad",
    .formula = "adagrad({*})",
    .latex = R"(\operatorname{adagrad}\left({*}\right))",
    .inputs = 4,  // w, s, g, lr
    .update = true,
    .one_pass = true,
    .infer = infer_with_lr,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value w = n.inputs[0];
      const Value g = decayed(n.inputs[2], w, n.real("weight_decay"));
      const Value s = n.inputs[1] + square(g);
      return {w - n.inputs[3] * (g / (sqrt(s) + n.real("epsilon"))), s};
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -1, 1); };
          for (const Value y : adagrad_update(x(), s.uniform({3, 5}, 0.1, 1), x(), s.scalar(0.1),
                                              {.weight_decay = 0.1})) {
            s.check(y);
          }
        },
})};

// ── adadelta ─────────────────────────────────────────────────────────────────
const Op kAdadelta{checked({
    .name = "adadelta",
    .formula = "adadelta({*})",
    .latex = R"(\operatorname{adadelta}\left({*}\right))",
    .inputs = 5,  // w, s, d, g, lr
    .update = true,
    .one_pass = true,
    .infer = infer_with_lr,
    .expand = [](const Node& n) -> std::vector<Value> {
      const double rho = n.real("rho");
      const double epsilon = n.real("epsilon");
      const Value w = n.inputs[0];
      const Value g = decayed(n.inputs[3], w, n.real("weight_decay"));
      const Value s = moving_average(n.inputs[1], square(g), rho);
      const Value u = g * (sqrt(n.inputs[2] + epsilon) / sqrt(s + epsilon));
      return {w - n.inputs[4] * u, s, moving_average(n.inputs[2], square(u), rho)};
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -1, 1); };
          const auto positive = [&] { return s.uniform({3, 5}, 0.1, 1); };
          for (const Value y : adadelta_update(x(), positive(), positive(), x(), s.scalar(0.5),
                                               {.weight_decay = 0.1})) {
            s.check(y);
          }
        },
})};

// ── nadam ────────────────────────────────────────────────────────────────────
// The momentum of step t, which rises to beta1.
Value nadam_momentum(Value t, double beta1, double momentum_decay) {
  return beta1 * (1 - 0.5 * pow(constant(t.graph(), 0.96), momentum_decay * t));
}

const Op kNadam{checked({
    .name = "nadam",
    .formula = "nadam({*})",
    .latex = R"(\operatorname{nadam}\left({*}\right))",
    .inputs = 7,  // w, m, v, g, lr, step, c
    .update = true,
    .one_pass = true,
    .exact_scalars = true,
    .infer = [](const Node& n) -> Types { return infer_update(n, 3); },
    .expand = [](const Node& n) -> std::vector<Value> {
      const double beta1 = n.real("beta1");
      const double beta2 = n.real("beta2");
      const double weight_decay = n.real("weight_decay");
      const bool decoupled = n.flag("decoupled");
      const Value w = n.inputs[0];
      const Value lr = n.inputs[4];
      const Value step = n.inputs[5];
      const Value c = n.inputs[6];
      const Value g = decoupled ? n.inputs[3] : decayed(n.inputs[3], w, weight_decay);
      const Value now = nadam_momentum(step, beta1, n.real("momentum_decay"));
      const Value next = nadam_momentum(step + 1, beta1, n.real("momentum_decay"));
      const Value m = moving_average(n.inputs[1], g, beta1);
      const Value v = moving_average(n.inputs[2], square(g), beta2);
      // One minus the product of the momenta up to step t + 1.
      const Value c_next = c * next + (1 - next);
      const Value u = ((1 - now) / c) * g + (next / c_next) * m;
      const Value scaled = u / (sqrt(v / bias_correction(beta2, step)) + n.real("epsilon"));
      return {(decoupled ? shrunk(w, lr, weight_decay) : w) - lr * scaled, m, v};
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -1, 1); };
          for (const bool decoupled : {false, true}) {
            NadamOptions options;
            options.weight_decay = 0.1;
            options.decoupled = decoupled;
            for (const Value y : nadam_update(x(), x(), s.uniform({3, 5}, 0.1, 1), x(),
                                              s.scalar(0.1), s.scalar(3), s.scalar(0.8), options)) {
              s.check(y);
            }
          }
        },
})};

}  // namespace

std::vector<Value> adagrad_update(Value w, Value s, Value g, Value lr, AdagradOptions options) {
  return emit_update(kAdagrad, {w, s, g, lr},
                     {{"epsilon", options.epsilon}, {"weight_decay", options.weight_decay}});
}

std::vector<Value> adadelta_update(Value w, Value s, Value d, Value g, Value lr,
                                   AdadeltaOptions options) {
  return emit_update(
      kAdadelta, {w, s, d, g, lr},
      {{"rho", options.rho}, {"epsilon", options.epsilon}, {"weight_decay", options.weight_decay}});
}

std::vector<Value> nadam_update(Value w, Value m, Value v, Value g, Value lr, Value step, Value c,
                                NadamOptions options) {
  return emit_update(kNadam, {w, m, v, g, lr, step, c},
                     {{"beta1", options.beta1},
                      {"beta2", options.beta2},
                      {"epsilon", options.epsilon},
                      {"momentum_decay", options.momentum_decay},
                      {"weight_decay", options.weight_decay},
                      {"decoupled", std::int64_t{options.decoupled}}});
}

Value nadam_correction(Value c, Value step, NadamOptions options) {
  const Value momentum = nadam_momentum(step, options.beta1, options.momentum_decay);
  return c * momentum + (1 - momentum);
}

}  // namespace chainrule
