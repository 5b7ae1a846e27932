// Random numbers from the counter-based generator, and dropout on top of them.
#include <cmath>
#include <numbers>

#include "base/philox.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {
namespace {

Types infer_random(const Node& n) {
  if (!n.inputs[0].shape().empty()) {
    bad_shape(n, "expected a scalar step, got " + to_string(n.inputs[0].shape()));
  }
  return {{DType::kF32, n.integers("shape")}};
}

PhiloxStream stream_of(const Eval& e) {
  return {static_cast<std::uint64_t>(e.node.integer("seed")),
          static_cast<std::uint32_t>(e.node.integer("stream")),
          static_cast<std::uint32_t>(e.in[0]->data[0])};
}

// ── random_uniform ───────────────────────────────────────────────────────────
const Op kRandomUniform{checked({
    .name = "random_uniform",
    .formula = "uniform({shape})",
    .infer = infer_random,
    .eval =
        [](const Eval& e) {
          const PhiloxStream stream = stream_of(e);
          for (std::size_t i = 0; i < e.out[0].data.size(); ++i) {
            e.out[0].data[i] = stream.uniform(i);
          }
        },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          s.check(random_uniform(s.scalar(3), {5, 7}, 42, 1));
        },
})};

// ── random_normal ────────────────────────────────────────────────────────────
const Op kRandomNormal{checked({
    .name = "random_normal",
    .formula = "normal({shape})",
    .infer = infer_random,
    .eval =
        [](const Eval& e) {
          const PhiloxStream stream = stream_of(e);
          for (std::size_t i = 0; i < e.out[0].data.size(); ++i) {
            const double radius = std::sqrt(-2 * std::log(1 - stream.uniform(2 * i)));
            e.out[0].data[i] = radius * std::cos(2 * std::numbers::pi * stream.uniform(2 * i + 1));
          }
        },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          s.check(random_normal(s.scalar(3), {5, 7}, 42, 1));
        },
})};

Attributes random_attributes(Shape shape, std::int64_t seed, std::int64_t stream) {
  return {{"shape", std::move(shape)}, {"seed", seed}, {"stream", stream}};
}

}  // namespace

Value random_uniform(Value step, Shape shape, std::int64_t seed, std::int64_t stream) {
  return emit(kRandomUniform, {step}, random_attributes(std::move(shape), seed, stream));
}

Value random_normal(Value step, Shape shape, std::int64_t seed, std::int64_t stream) {
  return emit(kRandomNormal, {step}, random_attributes(std::move(shape), seed, stream));
}

Value dropout(Value x, double rate, Value step, std::int64_t seed, std::int64_t stream) {
  if (!(rate >= 0 && rate < 1)) {
    throw UsageError("dropout: the rate must lie in [0, 1), got " + std::to_string(rate));
  }
  const Value keep = greater_equal(random_uniform(step, x.shape(), seed, stream), rate);
  return x * (keep * (1 / (1 - rate)));
}

}  // namespace chainrule
