// Lion, which takes the sign of a momentum; Muon, which orthogonalises a matrix of it; and the
// moving average of weights, which is an update of its own.
#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "ops/updates.h"

namespace chainrule {
namespace {

// ── lion ─────────────────────────────────────────────────────────────────────
const Op kLion{checked({
    .name = "lion",
    .formula = "lion({*})",
    .latex = R"(\operatorname{lion}\left({*}\right))",
    .inputs = 4,  // w, m, g, lr
    .update = true,
    .one_pass = true,
    .infer = infer_with_lr,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value w = n.inputs[0];
      const Value m = n.inputs[1];
      const Value g = n.inputs[2];
      const Value lr = n.inputs[3];
      const Value direction = sign(moving_average(m, g, n.real("beta1")));
      return {shrunk(w, lr, n.real("weight_decay")) - lr * direction,
              moving_average(m, g, n.real("beta2"))};
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -1, 1); };
          for (const Value y : lion_update(x(), x(), x(), s.scalar(0.1), {.weight_decay = 0.1})) {
            s.check(y);
          }
        },
})};

// ── muon ─────────────────────────────────────────────────────────────────────
// Five steps of a quintic Newton–Schulz iteration: singular values between 0 and 1 move to about 1.
// The coefficients make it rise fastest at 0 and leave it between 0.7 and 1.2 at the end.
Value orthogonalised(Value x, std::int64_t steps) {
  constexpr double kA = 3.4445;
  constexpr double kB = -4.7750;
  constexpr double kC = 2.0315;
  const bool tall = x.extent(0) > x.extent(1);
  if (tall) x = transpose(x);
  x = x / maximum(sqrt(sum(square(x))), 1e-7);
  for (std::int64_t i = 0; i < steps; ++i) {
    const Value a = matmul(x, transpose(x));
    x = kA * x + matmul(kB * a + kC * matmul(a, a), x);
  }
  return tall ? transpose(x) : x;
}

const Op kMuon{checked({
    .name = "muon",
    .formula = "muon({*})",
    .latex = R"(\operatorname{muon}\left({*}\right))",
    .inputs = 4,  // w, m, g, lr
    .update = true,
    .infer = [](const Node& n) -> Types {
      if (n.inputs[0].shape().size() < 2) {
        bad_shape(
            n, "expected a parameter of at least two axes, got " + to_string(n.inputs[0].shape()));
      }
      return infer_with_lr(n);
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const double momentum = n.real("momentum");
      const Value w = n.inputs[0];
      const Value g = n.inputs[2];
      const Value lr = n.inputs[3];
      const Value m = moving_average(n.inputs[1], g, momentum);
      const Value u = n.flag("nesterov") ? moving_average(g, m, 1 - momentum) : m;
      // A kernel of a convolution, [height, width, inputs, outputs], is a matrix of its outputs.
      const std::int64_t columns = w.extent(-1);
      const Value matrix = reshape(u, {-1, columns});
      const auto longer = static_cast<double>(std::max(matrix.extent(0), columns));
      const Value o = reshape(orthogonalised(matrix, n.integer("steps")), w.shape());
      return {shrunk(w, lr, n.real("weight_decay")) - lr * (0.2 * std::sqrt(longer) * o), m};
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          for (const Shape& shape : {Shape{3, 5}, Shape{2, 2, 3, 2}}) {
            const auto x = [&] { return s.uniform(shape, -1, 1); };
            MuonOptions options;
            options.nesterov = shape.size() == 2;
            options.weight_decay = 0.1;
            for (const Value y : muon_update(x(), x(), x(), s.scalar(0.1), options)) s.check(y);
          }
        },
})};

// ── weight_average ───────────────────────────────────────────────────────────
const Op kWeightAverage{checked({
    .name = "weight_average",
    .formula = "average({*})",
    .latex = R"(\operatorname{average}\left({*}\right))",
    .inputs = 3,  // average, w, step
    .update = true,
    .one_pass = true,
    .exact_scalars = true,
    .infer = [](const Node& n) -> Types { return infer_update(n, 1); },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value share = (1 - n.real("decay")) / bias_correction(n.real("decay"), n.inputs[2]);
      return {n.inputs[0] + share * (n.inputs[1] - n.inputs[0])};
    },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          const auto x = [&] { return s.uniform({3, 5}, -1, 1); };
          s.check(weight_average_update(x(), x(), s.scalar(3), 0.9));
        },
})};

}  // namespace

std::vector<Value> lion_update(Value w, Value m, Value g, Value lr, LionOptions options) {
  return emit_update(
      kLion, {w, m, g, lr},
      {{"beta1", options.beta1}, {"beta2", options.beta2}, {"weight_decay", options.weight_decay}});
}

std::vector<Value> muon_update(Value w, Value m, Value g, Value lr, MuonOptions options) {
  return emit_update(kMuon, {w, m, g, lr},
                     {{"momentum", options.momentum},
                      {"nesterov", std::int64_t{options.nesterov}},
                      {"steps", options.steps},
                      {"weight_decay", options.weight_decay}});
}

Value weight_average_update(Value average, Value w, Value step, double decay) {
  return emit_update(kWeightAverage, {average, w, step}, {{"decay", decay}})[0];
}

}  // namespace chainrule
