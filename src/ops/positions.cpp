// Encodings of a row's place in its sequence.
#include <cmath>
#include <numeric>

#include "chainrule/attention.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// ── arange ───────────────────────────────────────────────────────────────────
const Op kArange{checked({
    .name = "arange",
    .formula = "(0, …, {count} - 1)",
    .latex = R"(\left(0, \ldots, {count} - 1\right))",
    .numpy = "np.arange({count}, dtype=float)",
    .torch = "torch.arange({count}, dtype=torch.float64)",
    .inputs = 0,
    .infer = [](const Node& n) -> Types {
      return {{DType::kF32, {n.integer("count")}}};
    },
    .eval = [](const Eval& e) { std::iota(e.out[0].data.begin(), e.out[0].data.end(), 0.0); },
    .grad = [](const Node&, Value) -> Grads { return {}; },
    .samples = [](Sampler& s) { s.check(arange(s.graph(), 5)); },
})};

// t·base^(−i/half) for every place t and pair i.  [T, half]
Value angles(Graph& graph, std::int64_t length, std::int64_t half, double base) {
  const Value rate = exp(arange(graph, half) * (-std::log(base) / static_cast<double>(half)));
  const Shape shape{length, half};
  return broadcast_to(reshape(arange(graph, length), {length, 1}), shape) *
         broadcast_to(reshape(rate, {1, half}), shape);
}

void need_even(std::int64_t features, const char* what) {
  if (features % 2 == 0) return;
  throw ShapeError(std::string(what) + ": expected an even number of features, got " +
                   std::to_string(features));
}

}  // namespace

Value arange(Graph& graph, std::int64_t count) {
  return graph.append(kArange, {}, {{"count", count}}).output();
}

Value rotary(Value x, double base) {
  const std::int64_t features = x.extent(-1);
  need_even(features, "rotary");
  const std::int64_t half = features / 2;
  const Value angle = angles(x.graph(), x.extent(-2), half, base);
  Shape starts(x.shape().size(), 0);
  Shape stops = x.shape();
  stops.back() = half;
  const Value a = slice(x, starts, stops);
  starts.back() = half;
  stops.back() = features;
  const Value b = slice(x, starts, stops);
  const Value c = broadcast_to(cos(angle), a.shape());
  const Value s = broadcast_to(sin(angle), a.shape());
  return concatenate({a * c - b * s, a * s + b * c}, -1);
}

Value sinusoidal_positions(Graph& graph, std::int64_t length, std::int64_t features) {
  need_even(features, "sinusoidal");
  const Value angle = angles(graph, length, features / 2, 10000);
  return concatenate({sin(angle), cos(angle)}, 1);
}

}  // namespace chainrule
