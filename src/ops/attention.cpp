// Attention and encodings of position. Attention is a macro op: two products around a softmax.
#include "chainrule/attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

// ── attention ────────────────────────────────────────────────────────────────
// Far below any score, and finite, so that a row without any score would not be NaN.
constexpr double kMasked = -1e30;

// 1 where row t may read row s: s ≤ t.  [T, S]
Value causal_mask(Graph& graph, std::int64_t rows, std::int64_t columns) {
  const Value t = broadcast_to(reshape(arange(graph, rows), {rows, 1}), {rows, columns});
  const Value s = broadcast_to(reshape(arange(graph, columns), {1, columns}), {rows, columns});
  return less_equal(s, t);
}

const Op kAttention{checked({
    .name = "attention",
    .formula = "attention({0}, {1}, {2})",
    .latex = R"(\operatorname{attention}\left({0}, {1}, {2}\right))",
    .inputs = 3,
    .infer = [](const Node& n) -> Types {
      const Shape& q = n.inputs[0].shape();
      const Shape& k = n.inputs[1].shape();
      const Shape& v = n.inputs[2].shape();
      const std::size_t rank = q.size();
      const bool fit = rank >= 2 && k.size() == rank && v.size() == rank &&
                       std::equal(q.begin(), q.end() - 2, k.begin()) &&
                       std::equal(q.begin(), q.end() - 2, v.begin()) && q.back() == k.back() &&
                       k[rank - 2] == v[rank - 2];
      if (!fit) {
        bad_shape(n, "expected [..., T, D], [..., S, D] and [..., S, E], got " + to_string(q) +
                         ", " + to_string(k) + " and " + to_string(v));
      }
      Shape y = q;
      y.back() = v.back();
      return {{DType::kF32, y}};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value q = n.inputs[0];
      const double scale = 1 / std::sqrt(static_cast<double>(q.extent(-1)));
      Value scores = scale * matmul(q, transpose(n.inputs[1]));
      if (n.flag("causal")) {
        const Value mask = causal_mask(q.graph(), scores.extent(-2), scores.extent(-1));
        scores = where(broadcast_to(mask, scores.shape()), scores,
                       constant(q.graph(), kMasked, scores.shape()));
      }
      return {matmul(softmax(scores), n.inputs[2])};
    },
    .grad = gradient_of_expansion,
    .local = {{
        {"∂{y}/∂{0}: through the scores and their softmax",
         "a query moves the weights with which its row reads the others"},
        {"∂{y}/∂{1}: through the scores and their softmax",
         "a key moves the weight that every query gives its row"},
        {"∂{y}[t,:]/∂{2}[s,:] = p[t,s]",
         "a value is read by every row t with the weight `p[t,s]`: its gradient sums over them"},
    }},
    .samples =
        [](Sampler& s) {
          s.check(attention(s.uniform({2, 3, 2}, -1, 1), s.uniform({2, 4, 2}, -1, 1),
                            s.uniform({2, 4, 3}, -1, 1)));
          s.check(attention(s.uniform({1, 2, 3, 2}, -1, 1), s.uniform({1, 2, 3, 2}, -1, 1),
                            s.uniform({1, 2, 3, 2}, -1, 1), true));
        },
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

Value attention(Value q, Value k, Value v, bool causal) {
  Attributes attributes;
  if (causal) attributes.push_back({"causal", std::int64_t{1}});
  return emit(kAttention, {q, k, v}, std::move(attributes));
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
