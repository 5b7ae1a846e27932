// Parameter updates as ops: output i is the next value of input i. Each is a macro op whose
// expansion is its definition; the CPU backend does the same in one pass over memory. Those of
// later papers stand in adaptive_updates.cpp and matrix_updates.cpp.
#include "ops/updates.h"

#include "chainrule/error.h"

namespace chainrule {

Types infer_update(const Node& n, std::size_t scalars) {
  const Type& w = n.inputs[0].type();
  const std::size_t arrays = n.inputs.size() - scalars;
  for (std::size_t i = 0; i < n.inputs.size(); ++i) {
    const Type expected = i < arrays ? w : Type{DType::kF32, {}};
    if (n.inputs[i].type() != expected) {
      bad_shape(n, "input " + std::to_string(i) + ": expected " + to_string(expected) + ", got " +
                       to_string(n.inputs[i].type()));
    }
  }
  return Types(arrays - 1, w);
}

Types infer_with_lr(const Node& n) { return infer_update(n, 1); }
Types infer_with_lr_and_step(const Node& n) { return infer_update(n, 2); }

Value decayed(Value g, Value w, double weight_decay) {
  return weight_decay == 0 ? g : g + weight_decay * w;
}

Value shrunk(Value w, Value lr, double weight_decay) {
  return weight_decay == 0 ? w : w - lr * (weight_decay * w);
}

Value moving_average(Value old, Value x, double beta) { return beta * old + (1 - beta) * x; }

Value bias_correction(double beta, Value step) {
  return 1 - pow(constant(step.graph(), beta), step);
}

std::vector<Value> emit_update(const Op& op, std::vector<Value> inputs, Attributes attributes) {
  const Node& node = emit_node(op, std::move(inputs), std::move(attributes));
  std::vector<Value> outputs;
  for (std::size_t i = 0; i < node.types.size(); ++i) outputs.push_back(node.output(i));
  return outputs;
}

namespace {

// ── sgd ──────────────────────────────────────────────────────────────────────
const Op kSgd{checked({
    .name = "sgd",
    .formula = "sgd({*})",
    .latex = R"(\operatorname{sgd}\left({*}\right))",
    .inputs = kAnyInputs,  // w, g, lr   or   w, v, g, lr
    .update = true,
    .one_pass = true,
    .infer = infer_with_lr,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value w = n.inputs[0];
      const Value lr = n.inputs.back();
      const Value g = decayed(n.inputs[n.inputs.size() - 2], w, n.real("weight_decay"));
      if (n.inputs.size() == 3) return {w - lr * g};
      const double momentum = n.real("momentum");
      const Value v = momentum * n.inputs[1] + g;
      const Value direction = n.flag("nesterov") ? g + momentum * v : v;
      return {w - lr * direction, v};
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -1, 1); };
          for (const SgdOptions options :
               {SgdOptions{0, false, 0.1}, SgdOptions{0.9, false, 0}, SgdOptions{0.9, true, 0.1}}) {
            const Value v = options.momentum == 0 ? Value() : x();
            for (const Value y : sgd_update(x(), v, x(), s.scalar(0.1), options)) s.check(y);
          }
        },
})};

// ── rmsprop ──────────────────────────────────────────────────────────────────
const Op kRmsprop{checked({
    .name = "rmsprop",
    .formula = "rmsprop({*})",
    .latex = R"(\operatorname{rmsprop}\left({*}\right))",
    .inputs = kAnyInputs,  // w, s, a when centred, v with momentum, g, lr
    .update = true,
    .one_pass = true,
    .infer = infer_with_lr,
    .expand = [](const Node& n) -> std::vector<Value> {
      const double rho = n.real("decay");
      const double momentum = n.real("momentum");
      const Value w = n.inputs[0];
      const Value lr = n.inputs.back();
      const Value g = decayed(n.inputs[n.inputs.size() - 2], w, n.real("weight_decay"));
      std::vector<Value> next{w, rho * n.inputs[1] + (1 - rho) * square(g)};
      Value d = next[1];
      if (n.flag("centered")) {
        next.push_back(rho * n.inputs[2] + (1 - rho) * g);
        d = maximum(d - square(next[2]), 0.0);  // rounding may leave less than 0
      }
      Value u = g / (sqrt(d) + n.real("epsilon"));
      if (momentum != 0) {
        u = momentum * n.inputs[next.size()] + u;
        next.push_back(u);
      }
      next[0] = w - lr * u;
      return next;
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -0.3, 0.3); };
          const auto positive = [&] { return s.uniform({3, 5}, 0.2, 1); };
          RmspropOptions options;
          for (const Value y : rmsprop_update(x(), {positive()}, x(), s.scalar(0.1), options)) {
            s.check(y);
          }
          options = {0.9, 1e-6, true, 0.9, 0.01};
          for (const Value y :
               rmsprop_update(x(), {positive(), x(), x()}, x(), s.scalar(0.1), options)) {
            s.check(y);
          }
        },
})};

// ── adam ─────────────────────────────────────────────────────────────────────
const Op kAdam{checked({
    .name = "adam",
    .formula = "adam({*})",
    .latex = R"(\operatorname{adam}\left({*}\right))",
    .inputs = kAnyInputs,  // w, m, v, g, lr, step   or   w, m, v, largest, g, lr, step
    .update = true,
    .one_pass = true,
    .exact_scalars = true,
    .infer = infer_with_lr_and_step,
    .expand = [](const Node& n) -> std::vector<Value> {
      const double weight_decay = n.real("weight_decay");
      const bool decoupled = n.flag("decoupled");
      const Value w = n.inputs[0];
      const Value step = n.inputs.back();
      const Value lr = n.inputs[n.inputs.size() - 2];
      const Value raw = n.inputs[n.inputs.size() - 3];
      const Value g = decoupled ? raw : decayed(raw, w, weight_decay);
      std::vector<Value> next{w, moving_average(n.inputs[1], g, n.real("beta1")),
                              moving_average(n.inputs[2], square(g), n.real("beta2"))};
      if (n.types.size() == 4) next.push_back(maximum(n.inputs[3], next[2]));
      const Value u =
          (next[1] / bias_correction(n.real("beta1"), step)) /
          (sqrt(next.back() / bias_correction(n.real("beta2"), step)) + n.real("epsilon"));
      next[0] = (decoupled ? shrunk(w, lr, weight_decay) : w) - lr * u;
      return next;
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -1, 1); };
          const auto positive = [&] { return s.uniform({3, 5}, 0.1, 1); };
          for (const bool decoupled : {false, true}) {
            AdamOptions options;
            options.weight_decay = 0.1;
            options.decoupled = decoupled;
            for (const Value y :
                 adam_update(x(), x(), positive(), x(), s.scalar(0.1), s.scalar(3), options)) {
              s.check(y);
            }
            for (const Value y : amsgrad_update(x(), x(), positive(), positive(), x(),
                                                s.scalar(0.1), s.scalar(3), options)) {
              s.check(y);
            }
          }
        },
})};

}  // namespace

std::vector<Value> sgd_update(Value w, Value v, Value g, Value lr, SgdOptions options) {
  if ((options.momentum != 0) != static_cast<bool>(v)) {
    throw UsageError("sgd: a velocity is given exactly when momentum is not 0");
  }
  std::vector<Value> inputs{w};
  if (v) inputs.push_back(v);
  inputs.insert(inputs.end(), {g, lr});
  return emit_update(kSgd, std::move(inputs),
                     {{"momentum", options.momentum},
                      {"nesterov", std::int64_t{options.nesterov}},
                      {"weight_decay", options.weight_decay}});
}

std::vector<Value> rmsprop_update(Value w, std::vector<Value> states, Value g, Value lr,
                                  RmspropOptions options) {
  const std::size_t expected = 1 + std::size_t{options.centered} + (options.momentum != 0 ? 1 : 0);
  if (states.size() != expected) {
    throw UsageError("rmsprop: expected " + std::to_string(expected) + " states, got " +
                     std::to_string(states.size()));
  }
  std::vector<Value> inputs{w};
  inputs.insert(inputs.end(), states.begin(), states.end());
  inputs.insert(inputs.end(), {g, lr});
  return emit_update(kRmsprop, std::move(inputs),
                     {{"decay", options.decay},
                      {"epsilon", options.epsilon},
                      {"centered", std::int64_t{options.centered}},
                      {"momentum", options.momentum},
                      {"weight_decay", options.weight_decay}});
}

namespace {

std::vector<Value> emit_adam(std::vector<Value> inputs, const AdamOptions& options) {
  return emit_update(kAdam, std::move(inputs),
                     {{"beta1", options.beta1},
                      {"beta2", options.beta2},
                      {"epsilon", options.epsilon},
                      {"weight_decay", options.weight_decay},
                      {"decoupled", std::int64_t{options.decoupled}}});
}

}  // namespace

std::vector<Value> adam_update(Value w, Value m, Value v, Value g, Value lr, Value step,
                               AdamOptions options) {
  return emit_adam({w, m, v, g, lr, step}, options);
}

std::vector<Value> amsgrad_update(Value w, Value m, Value v, Value largest, Value g, Value lr,
                                  Value step, AdamOptions options) {
  return emit_adam({w, m, v, largest, g, lr, step}, options);
}

}  // namespace chainrule
