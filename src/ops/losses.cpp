// Losses. The two cross-entropies are macro ops that give one loss for each row; the public
// functions average the rows. The rest are plain compositions.
#include <cmath>

#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/softmax.h"

namespace chainrule {
namespace {

// x: [...] as [..., 1], to be joined with [..., N].
Value as_column(Value x) {
  Shape shape = x.shape();
  shape.push_back(1);
  return reshape(x, std::move(shape));
}

Value as_distribution(Value target, std::int64_t classes) {
  return target.dtype() == DType::kI32 ? one_hot(target, classes) : target;
}

Value smoothed(Value target, std::int64_t classes, double smoothing) {
  const Value t = as_distribution(target, classes);
  if (smoothing == 0) return t;
  return (1 - smoothing) * t + smoothing / static_cast<double>(classes);
}

// Inputs: scores [..., N], then a target of the same shape or i32 labels [...], then perhaps a
// number for each row.
Shape checked_rows(const Node& n) {
  const Type scores = n.inputs[0].type();
  const Type target = n.inputs[1].type();
  if (scores.shape.empty()) bad_shape(n, "expected scores [..., N], got a scalar");
  Shape rows = scores.shape;
  rows.pop_back();
  if (target.dtype == DType::kI32 ? target.shape != rows : target != scores) {
    bad_shape(n, "scores " + to_string(scores) + " need labels " +
                     to_string(Type{DType::kI32, rows}) + " or a target " + to_string(scores) +
                     ", got " + to_string(target));
  }
  if (n.inputs.size() > 2 && n.inputs[2].shape() != rows) {
    bad_shape(n, "expected one derivative a row, " + to_string(rows) + ", got " +
                     to_string(n.inputs[2].shape()));
  }
  return rows;
}

Types one_per_row(const Node& n) { return {{DType::kF32, checked_rows(n)}}; }

Types same_as_scores(const Node& n) {
  checked_rows(n);
  return {n.inputs[0].type()};
}

// A derivative of the loss of each row, times what comes from above for that row: mostly 1/B.
Pattern for_each_row(const Node& n, const std::string& derivative, const char* times) {
  const Value& dy = n.inputs[2];
  if (!is(dy, "constant")) return {derivative + times + "{2}", Binding::kProduct};
  const double rows = 1 / dy.node().real("value");
  if (rows == 1) return {derivative, Binding::kProduct};
  if (std::abs(rows - std::round(rows)) < 1e-9 * std::abs(rows)) {
    return {derivative + " / " + std::to_string(std::llround(rows)), Binding::kProduct};
  }
  return {derivative + times + "{2}", Binding::kProduct};
}

Value weighted_mean(Value rows, Value weights) {
  return weights ? sum(weights * rows) / sum(weights) : mean(rows);
}

// ── cross_entropy ────────────────────────────────────────────────────────────
const Op kCrossEntropy{checked({
    .name = "cross_entropy",
    .formula = "-Σ {1} ⊙ log({0} + {epsilon})",
    .binding = Binding::kUnary,
    .latex = {R"(-\sum {1} \odot \log\left({0} + {epsilon}\right))", Binding::kUnary},
    .numpy = {"-np.sum({1} * np.log({0} + {epsilon}), axis=-1)", Binding::kUnary},
    .torch = {"-torch.sum({1} * torch.log({0} + {epsilon}), dim=-1)", Binding::kUnary},
    .inputs = 2,
    .infer = [](const Node& n) -> Types {
      same_as_all_inputs(n);
      return one_per_row(n);
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      return {-sum(n.inputs[1] * log(n.inputs[0] + n.real("epsilon")), {-1})};
    },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value p = n.inputs[0];
      const double epsilon = n.real("epsilon");
      const Value dp = cross_entropy_backward(p, n.inputs[1], dy, epsilon);
      return {dp, -log(p + epsilon) * as_column(dy)};
    },
    .local = {{{"∂{y}[m]/∂{0}[m,n] = -{1}[m,n] / ({0}[m,n] + {epsilon})",
                "only the probability of the true class enters the loss of a row"}}},
    .samples =
        [](Sampler& s) {
          s.check(emit(kCrossEntropy, {s.distribution({3, 4}), s.distribution({3, 4})},
                       {{"epsilon", 1e-9}}));
          const Value labels = s.integers({3}, 4);
          s.check(emit(kCrossEntropy, {s.distribution({3, 4}), one_hot(labels, 4)},
                       {{"epsilon", 1e-2}}));
        },
})};

const Op kCrossEntropyBackward{checked({
    .name = "cross_entropy_backward",
    .formula = {[](const Node& n) { return for_each_row(n, "-{1} / ({0} + {epsilon})", " ⊙ "); }},
    .latex = {[](const Node& n) {
      return for_each_row(n, R"(-\frac{{1}}{{0} + {epsilon}})", R"( \odot )");
    }},
    .inputs = 3,
    .infer = same_as_scores,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value p = n.inputs[0];
      const Value t = n.inputs[1];
      return {-(t / (p + n.real("epsilon"))) * as_column(n.inputs[2])};
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          s.check(cross_entropy_backward(s.distribution({3, 4}), s.distribution({3, 4}),
                                         s.uniform({3}, -1, 1), 1e-9));
        },
})};

// ── softmax_cross_entropy ────────────────────────────────────────────────────
const Op kSoftmaxCrossEntropy{checked({
    .name = "softmax_cross_entropy",
    .formula = "-Σ {1} ⊙ log_softmax({0})",
    .binding = Binding::kUnary,
    .latex = {R"(-\sum {1} \odot \log \operatorname{softmax}\left({0}\right))", Binding::kUnary},
    .inputs = 2,
    .infer = one_per_row,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value logits = n.inputs[0];
      const Value t = smoothed(n.inputs[1], logits.extent(-1), n.real("smoothing"));
      return {-sum(t * log_softmax(logits), {-1})};
    },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value logits = n.inputs[0];
      const Value t = n.inputs[1];
      const double smoothing = n.real("smoothing");
      const Value dt = t.dtype() == DType::kI32
                           ? Value()
                           : (smoothing - 1) * log_softmax(logits) * as_column(dy);
      return {softmax_cross_entropy_backward(logits, t, dy, smoothing), dt};
    },
    .local = {{{"∂{y}[m]/∂{0}[m,n] = softmax({0})[m,n] - {1}[m,n]",
                "the Jacobian of softmax, `diag(p) - p·pᵀ`, times the derivative of the "
                "logarithm, `-{1}/p`, leaves `p - {1}`"}}},
    .samples =
        [](Sampler& s) {
          s.check(emit(kSoftmaxCrossEntropy, {s.uniform({3, 4}, -2, 2), s.integers({3}, 4)},
                       {{"smoothing", 0.0}}));
          s.check(emit(kSoftmaxCrossEntropy, {s.uniform({3, 4}, -2, 2), s.distribution({3, 4})},
                       {{"smoothing", 0.1}}));
        },
})};

const Op kSoftmaxCrossEntropyBackward{checked({
    .name = "softmax_cross_entropy_backward",
    .formula = {[](const Node& n) { return for_each_row(n, "(softmax({0}) - {1})", " ⊙ "); }},
    .latex = {[](const Node& n) {
      return for_each_row(n, R"(\left(\operatorname{softmax}\left({0}\right) - {1}\right))",
                          R"( \odot )");
    }},
    .inputs = 3,
    .infer = same_as_scores,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value logits = n.inputs[0];
      const Value t = smoothed(n.inputs[1], logits.extent(-1), n.real("smoothing"));
      // A target whose rows do not sum to 1 scales the softmax by its sum.
      const bool sums_to_one = n.inputs[1].dtype() == DType::kI32;
      const Value p = softmax(logits);
      return {((sums_to_one ? p : p * sum(t, {-1}, true)) - t) * as_column(n.inputs[2])};
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          s.check(softmax_cross_entropy_backward(s.uniform({3, 4}, -2, 2), s.integers({3}, 4),
                                                 s.uniform({3}, -1, 1), 0.0));
          s.check(softmax_cross_entropy_backward(
              s.uniform({3, 4}, -2, 2), s.uniform({3, 4}, 0.1, 1), s.uniform({3}, -1, 1), 0.1));
        },
})};

}  // namespace

Value cross_entropy_backward(Value p, Value target, Value dy, double epsilon) {
  return emit(kCrossEntropyBackward, {p, target, dy}, {{"epsilon", epsilon}});
}

Value softmax_cross_entropy_backward(Value logits, Value target, Value dy, double smoothing) {
  return emit(kSoftmaxCrossEntropyBackward, {logits, target, dy}, {{"smoothing", smoothing}});
}

Value cross_entropy(Value p, Value target, double epsilon, Value weights) {
  const Value t = as_distribution(target, p.extent(-1));
  return weighted_mean(emit(kCrossEntropy, {p, t}, {{"epsilon", epsilon}}), weights);
}

Value cross_entropy(Value p, Value target, double epsilon) {
  return cross_entropy(p, target, epsilon, {});
}

Value softmax_cross_entropy(Value logits, Value target, double smoothing, Value weights) {
  const Value rows = emit(kSoftmaxCrossEntropy, {logits, target}, {{"smoothing", smoothing}});
  return weighted_mean(rows, weights);
}

Value softmax_cross_entropy(Value logits, Value target, double smoothing) {
  return softmax_cross_entropy(logits, target, smoothing, {});
}

Value binary_cross_entropy(Value logits, Value target) {
  return mean(softplus(logits) - logits * target);
}

Value mean_squared_error(Value x, Value target) { return mean(square(x - target)); }

Value mean_absolute_error(Value x, Value target) { return mean(abs(x - target)); }

Value huber(Value x, Value target, double delta) {
  const Value r = x - target;
  const Value size = abs(r);
  const Value close = less_equal(size, delta);
  return mean(where(close, 0.5 * square(r), delta * (size - delta / 2)));
}

}  // namespace chainrule
