// Random numbers from the counter-based generator, and dropout on top of them.
#include <cmath>
#include <numbers>

#include "base/philox.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/python.h"

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

// The same numbers in NumPy.
constexpr std::string_view kNumpyPhilox = R"(def random_uniform(step, shape, seed, stream):
    """Philox 4x32-10: element i depends on (seed, stream, step, i) alone."""
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    size = int(np.prod(shape))
    block = np.arange((size + 3) // 4, dtype=np.uint64)
    c = [block & mask, block >> half, np.full_like(block, stream), np.full_like(block, int(step))]
    k = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(q >> half) ^ c[1] ^ k[0], q & mask, (p >> half) ^ c[3] ^ k[1], p & mask]
        k = [(k[0] + np.uint64(0x9E3779B9)) & mask, (k[1] + np.uint64(0xBB67AE85)) & mask]
    words = np.stack(c, axis=1).reshape(-1)[:size]
    return ((words >> np.uint64(8)) * 2.0 ** -24).reshape(shape)


def random_normal(step, shape, seed, stream):
    """Box and Muller's method on pairs of uniform numbers."""
    u = random_uniform(step, (int(np.prod(shape)), 2), seed, stream)
    return (np.sqrt(-2 * np.log(1 - u[:, 0])) * np.cos(2 * np.pi * u[:, 1])).reshape(shape))";

// ── random_uniform ───────────────────────────────────────────────────────────
const Op kRandomUniform{checked({
    .name = "random_uniform",
    .formula = "uniform({shape})",
    .latex = R"(\operatorname{uniform}\left({shape}\right))",
    .numpy = Spelling(
        [](const Node& n) -> Pattern {
          return {"random_uniform({0}, " + python_tuple(n.integers("shape")) +
                  ", {seed}, {stream})"};
        },
        kNumpyPhilox),
    .torch = Spelling(
        [](const Node& n) -> Pattern {
          return {"torch.from_numpy(random_uniform(float({0}), " +
                  python_tuple(n.integers("shape")) + ", {seed}, {stream}))"};
        },
        kNumpyPhilox),
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
    .latex = R"(\operatorname{normal}\left({shape}\right))",
    .numpy = Spelling(
        [](const Node& n) -> Pattern {
          return {"random_normal({0}, " + python_tuple(n.integers("shape")) +
                  ", {seed}, {stream})"};
        },
        kNumpyPhilox),
    .torch = Spelling(
        [](const Node& n) -> Pattern {
          return {"torch.from_numpy(random_normal(float({0}), " +
                  python_tuple(n.integers("shape")) + ", {seed}, {stream}))"};
        },
        kNumpyPhilox),
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
