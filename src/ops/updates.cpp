// Parameter updates as ops: output i is the next value of input i. Each is a macro op whose
// expansion is its definition; the CPU backend does the same in one pass over memory.
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// Inputs: the parameter, its states, the gradient, then `scalars` scalar inputs.
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

// ── sgd ──────────────────────────────────────────────────────────────────────
const Op kSgd{checked({
    .name = "sgd",
    .formula = "sgd({*})",
    .latex = R"(\operatorname{sgd}\left({*}\right))",
    .inputs = kAnyInputs,  // w, g, lr   or   w, v, g, lr
    .update = true,
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
        d = d - square(next[2]);
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
    .inputs = 6,  // w, m, v, g, lr, step
    .update = true,
    .infer = infer_with_lr_and_step,
    .expand = [](const Node& n) -> std::vector<Value> {
      const double beta1 = n.real("beta1");
      const double beta2 = n.real("beta2");
      const double weight_decay = n.real("weight_decay");
      const bool decoupled = n.flag("decoupled");
      const Value w = n.inputs[0];
      const Value lr = n.inputs[4];
      const Value step = n.inputs[5];
      const Value g = decoupled ? n.inputs[3] : decayed(n.inputs[3], w, weight_decay);
      const Value m = beta1 * n.inputs[1] + (1 - beta1) * g;
      const Value v = beta2 * n.inputs[2] + (1 - beta2) * square(g);
      const auto correction = [&](double beta) {
        return 1 - pow(constant(step.graph(), beta), step);
      };
      const Value u = (m / correction(beta1)) / (sqrt(v / correction(beta2)) + n.real("epsilon"));
      const Value kept = decoupled && weight_decay != 0 ? w - lr * (weight_decay * w) : w;
      return {kept - lr * u, m, v};
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -1, 1); };
          for (const bool decoupled : {false, true}) {
            AdamOptions options;
            options.weight_decay = 0.1;
            options.decoupled = decoupled;
            for (const Value y : adam_update(x(), x(), s.uniform({3, 5}, 0.1, 1), x(),
                                             s.scalar(0.1), s.scalar(3), options)) {
              s.check(y);
            }
          }
        },
})};

std::vector<Value> outputs_of(const Node& node) {
  std::vector<Value> outputs;
  for (std::size_t i = 0; i < node.types.size(); ++i) outputs.push_back(node.output(i));
  return outputs;
}

}  // namespace

std::vector<Value> sgd_update(Value w, Value v, Value g, Value lr, SgdOptions options) {
  if ((options.momentum != 0) != static_cast<bool>(v)) {
    throw UsageError("sgd: a velocity is given exactly when momentum is not 0");
  }
  std::vector<Value> inputs{w};
  if (v) inputs.push_back(v);
  inputs.insert(inputs.end(), {g, lr});
  return outputs_of(emit_node(kSgd, std::move(inputs),
                              {{"momentum", options.momentum},
                               {"nesterov", std::int64_t{options.nesterov}},
                               {"weight_decay", options.weight_decay}}));
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
  return outputs_of(emit_node(kRmsprop, std::move(inputs),
                              {{"decay", options.decay},
                               {"epsilon", options.epsilon},
                               {"centered", std::int64_t{options.centered}},
                               {"momentum", options.momentum},
                               {"weight_decay", options.weight_decay}}));
}

std::vector<Value> adam_update(Value w, Value m, Value v, Value g, Value lr, Value step,
                               AdamOptions options) {
  return outputs_of(emit_node(kAdam, {w, m, v, g, lr, step},
                              {{"beta1", options.beta1},
                               {"beta2", options.beta2},
                               {"epsilon", options.epsilon},
                               {"weight_decay", options.weight_decay},
                               {"decoupled", std::int64_t{options.decoupled}}}));
}

}  // namespace chainrule
