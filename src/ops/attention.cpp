// Attention as a macro op, and its step back as another: products around a softmax, head by head.
// Beside y the op gives the logarithm of each row's sum of exponentials, from which the step back
// makes the weights again, so that no T × S matrix is kept between the two. Where scores are large
// that logarithm has too few digits behind the point in float32: the third output is what they
// lack, nothing in exact arithmetic.
#include "chainrule/attention.h"

#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// The score of a row that may not be read: far below any other, and finite.
constexpr double kMasked = -1e30;
// What a row that may read nothing takes for its largest score, so that its weights become 0.
constexpr double kLeast = kMasked / 2;

constexpr std::size_t kForwardInputs = 3;  // then perhaps mask
constexpr std::size_t kBackwardInputs = 7;

// ── shapes ───────────────────────────────────────────────────────────────────

Value mask_of(const Node& n, std::size_t inputs_without) {
  return n.inputs.size() > inputs_without ? n.inputs[inputs_without] : Value();
}

void expect(const Node& n, std::size_t input, const char* name, const Shape& shape) {
  const Type type{DType::kF32, shape};
  if (n.inputs[input].type() == type) return;
  bad_shape(n, std::string("expected ") + name + " " + to_string(type) + ", got " +
                   to_string(n.inputs[input].type()));
}

void check_operands(const Node& n, std::size_t inputs_without) {
  if (n.inputs.size() != inputs_without && n.inputs.size() != inputs_without + 1) {
    bad_shape(n, "expected " + std::to_string(inputs_without) + " inputs and perhaps a mask, got " +
                     std::to_string(n.inputs.size()));
  }
  for (const Value& input : n.inputs) {
    if (input.dtype() != DType::kF32) {
      bad_shape(n, "expected f32, got " + to_string(input.type()));
    }
  }
  const Shape& q = n.inputs[0].shape();
  const Shape& k = n.inputs[1].shape();
  const Shape& v = n.inputs[2].shape();
  const std::size_t rank = q.size();
  const bool fit = rank >= 2 && k.size() == rank && v.size() == rank &&
                   std::equal(q.begin(), q.end() - 2, k.begin()) &&
                   std::equal(q.begin(), q.end() - 2, v.begin()) && q.back() == k.back() &&
                   k[rank - 2] == v[rank - 2] && k[rank - 2] > 0;
  if (!fit) {
    bad_shape(n, "expected [..., T, C], [..., S, C] and [..., S, E], S > 0, got " + to_string(q) +
                     ", " + to_string(k) + " and " + to_string(v));
  }
  const std::int64_t heads = n.integer("heads");
  if (heads < 1 || q.back() % heads != 0 || v.back() % heads != 0) {
    bad_shape(n, std::to_string(heads) + " heads do not divide the last axes of " + to_string(q) +
                     " and " + to_string(v));
  }
  if (const Value mask = mask_of(n, inputs_without)) {
    Shape scores = q;
    scores.back() = k[rank - 2];
    const Shape& m = mask.shape();
    bool stretches = m.size() == rank && m.back() == scores.back();
    for (std::size_t i = 0; stretches && i + 1 < rank; ++i) {
      stretches = m[i] == scores[i] || m[i] == 1;
    }
    if (!stretches) {
      bad_shape(n, "expected a mask " + to_string(scores) +
                       ", where all extents but the last may be 1, got " + to_string(m));
    }
  }
}

Shape shape_of_y(const Node& n) {
  Shape y = n.inputs[0].shape();
  y.back() = n.inputs[2].shape().back();
  return y;
}

Shape shape_of_lse(const Node& n) {
  Shape lse = n.inputs[0].shape();
  lse.back() = lse[lse.size() - 2];
  lse[lse.size() - 2] = n.integer("heads");
  return lse;
}

// ── the parts of the expansions ──────────────────────────────────────────────

std::vector<std::int64_t> heads_swapped(std::size_t rank) {
  std::vector<std::int64_t> axes(rank);
  for (std::size_t i = 0; i < rank; ++i) axes[i] = static_cast<std::int64_t>(i);
  std::swap(axes[rank - 3], axes[rank - 2]);
  return axes;
}

// [..., T, C] as [..., h, T, C/h]; one head stays as it is.
Value split_heads(Value x, std::int64_t heads) {
  if (heads == 1) return x;
  Shape shape = x.shape();
  shape.back() = heads;
  shape.push_back(x.extent(-1) / heads);
  return transpose(reshape(x, std::move(shape)), heads_swapped(x.shape().size() + 1));
}

// [..., h, T, D] as [..., T, h·D].
Value join_heads(Value x, std::int64_t heads) {
  if (heads == 1) return x;
  const Value swapped = transpose(x, heads_swapped(x.shape().size()));
  Shape shape = swapped.shape();
  shape.pop_back();
  shape.back() = heads * x.extent(-1);
  return reshape(swapped, std::move(shape));
}

// 1 where row t may read row s: s ≤ t.  [T, S]
Value causal_mask(Graph& graph, std::int64_t rows, std::int64_t columns) {
  const Value t = broadcast_to(reshape(arange(graph, rows), {rows, 1}), {rows, columns});
  const Value s = broadcast_to(reshape(arange(graph, columns), {1, columns}), {rows, columns});
  return less_equal(s, t);
}

double scale_of(Value q, std::int64_t heads) {
  const std::int64_t features = q.extent(-1) / heads;
  return 1 / std::sqrt(static_cast<double>(features));
}

// q·kᵀ/√D, with kMasked where a row may not be read.  q: [..., h, T, D]  k: [..., h, S, D]
Value scores_of(const Node& n, Value q, Value k, Value mask) {
  const std::int64_t heads = n.integer("heads");
  Value scores = scale_of(n.inputs[0], heads) * matmul(q, transpose(k));
  const Value masked = constant(q.graph(), kMasked, scores.shape());
  if (n.flag("causal")) {
    const Value lower = causal_mask(q.graph(), scores.extent(-2), scores.extent(-1));
    scores = where(broadcast_to(lower, scores.shape()), scores, masked);
  }
  if (mask) {
    Shape shape = mask.shape();
    if (heads > 1) shape.insert(shape.end() - 2, 1);
    scores = where(broadcast_to(reshape(mask, shape), scores.shape()), scores, masked);
  }
  return scores;
}

// ── attention_backward ───────────────────────────────────────────────────────
// Inputs q, k, v, y, lse, what lse lacks, dy, then perhaps mask; outputs dq, dk, dv.
const Op kAttentionBackward{checked({
    .name = "attention_backward",
    .formula = "attention_backward({*})",
    .latex = R"(\operatorname{attention\_backward}\left({*}\right))",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) -> Types {
      check_operands(n, kBackwardInputs);
      expect(n, 3, "y", shape_of_y(n));
      expect(n, 4, "lse", shape_of_lse(n));
      expect(n, 5, "what lse lacks", shape_of_lse(n));
      expect(n, 6, "dy", shape_of_y(n));
      return {n.inputs[0].type(), n.inputs[1].type(), n.inputs[2].type()};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const std::int64_t heads = n.integer("heads");
      const Value q = split_heads(n.inputs[0], heads);   // [..., h, T, D]
      const Value k = split_heads(n.inputs[1], heads);   // [..., h, S, D]
      const Value v = split_heads(n.inputs[2], heads);   // [..., h, S, E/h]
      const Value y = split_heads(n.inputs[3], heads);   // [..., h, T, E/h]
      const Value dy = split_heads(n.inputs[6], heads);  // [..., h, T, E/h]
      const Value scores = scores_of(n, q, k, mask_of(n, kBackwardInputs));
      Shape column = scores.shape();
      column.back() = 1;
      const Value lse = reshape(n.inputs[4], column);
      const Value p = exp(scores - lse - reshape(n.inputs[5], column));  // [..., h, T, S]
      const Value dp = matmul(dy, transpose(v));
      const Value ds = scale_of(n.inputs[0], heads) * (p * (dp - sum(dy * y, {-1}, true)));
      return {join_heads(matmul(ds, k), heads), join_heads(matmul(transpose(ds), q), heads),
              join_heads(matmul(transpose(p), dy), heads)};
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          const auto check = [&](std::int64_t heads, bool causal, Shape mask) {
            std::vector<Value> inputs{
                s.uniform({2, 3, 4}, -1, 1),    s.uniform({2, 4, 4}, -1, 1),
                s.uniform({2, 4, 2}, -1, 1),    s.uniform({2, 3, 2}, -1, 1),
                s.uniform({2, heads, 3}, 1, 2), s.uniform({2, heads, 3}, -0.1, 0.1),
                s.uniform({2, 3, 2}, -1, 1)};
            if (!mask.empty()) inputs.push_back(greater(s.uniform(std::move(mask), -1, 1), 0.0));
            const Node& node =
                emit_node(kAttentionBackward, std::move(inputs),
                          {{"heads", heads}, {"causal", std::int64_t{causal ? 1 : 0}}});
            for (std::size_t i = 0; i < 3; ++i) s.check(node.output(i));
          };
          check(1, false, {});
          check(2, true, {});
          check(2, false, {2, 1, 4});
        },
})};

// ── attention ────────────────────────────────────────────────────────────────
const Op kAttention{checked({
    .name = "attention",
    .formula = "attention({*})",
    .latex = R"(\operatorname{attention}\left({*}\right))",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) -> Types {
      check_operands(n, kForwardInputs);
      const Type lse{DType::kF32, shape_of_lse(n)};
      return {{DType::kF32, shape_of_y(n)}, lse, lse};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const std::int64_t heads = n.integer("heads");
      const Value q = split_heads(n.inputs[0], heads);  // [..., h, T, D]
      const Value k = split_heads(n.inputs[1], heads);  // [..., h, S, D]
      const Value v = split_heads(n.inputs[2], heads);  // [..., h, S, E/h]
      const Value mask = mask_of(n, kForwardInputs);
      const Value scores = scores_of(n, q, k, mask);  // [..., h, T, S]
      // Where every row reads some other, the largest exponential is 1 and so the sum ≥ 1.
      const Value largest = max(scores, {-1}, true);
      const Value shift = mask ? maximum(largest, kLeast) : largest;
      const Value e = exp(scores - shift);
      const Value total = sum(e, {-1}, true);
      const Value divisor = mask ? maximum(total, 0.5) : total;
      return {join_heads(matmul(e / divisor, v), heads),
              reshape(shift + log(divisor), shape_of_lse(n)),
              constant(q.graph(), 0, shape_of_lse(n))};
    },
    .joint_grad = [](const Node& n, std::span<const Value> dy) -> Grads {
      if (dy[1] || dy[2]) return {};  // of lse, as second derivatives have it
      std::vector<Value> inputs{n.inputs[0], n.inputs[1], n.inputs[2], n.output(0),
                                n.output(1), n.output(2), dy[0]};
      const Value mask = mask_of(n, kForwardInputs);
      if (mask) inputs.push_back(mask);
      const Node& node = emit_node(kAttentionBackward, std::move(inputs), n.attributes);
      Grads grads{node.output(0), node.output(1), node.output(2)};
      if (mask) grads.emplace_back();
      return grads;
    },
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
          const auto sample = [&](Shape leading, std::int64_t rows, std::int64_t read,
                                  AttentionOptions options) {
            const auto shape = [&](std::int64_t length, std::int64_t features) {
              Shape all = leading;
              all.insert(all.end(), {length, features * options.heads});
              return all;
            };
            return attention(s.uniform(shape(rows, 2), -1, 1), s.uniform(shape(read, 2), -1, 1),
                             s.uniform(shape(read, 3), -1, 1), options);
          };
          const auto mask = [&](Shape shape) {
            return greater(s.uniform(std::move(shape), -1, 1), 0.0);
          };
          s.check(sample({2}, 3, 4, {}));
          s.check(sample({1, 2}, 3, 3, {.causal = true}));
          s.check(sample({2}, 3, 4, {.heads = 2, .causal = true}));
          s.check(sample({2}, 2, 3, {.heads = 2, .mask = mask({2, 1, 3})}));
          s.check(sample({2}, 4, 3, {.causal = true, .mask = mask({1, 4, 3})}));
          s.check(sample({}, 3, 2, {.mask = mask({3, 2})}).node().output(1));
        },
})};

}  // namespace

Value attention(Value q, Value k, Value v, AttentionOptions options) {
  std::vector<Value> inputs{q, k, v};
  if (options.mask) inputs.push_back(options.mask);
  return emit(kAttention, std::move(inputs),
              {{"heads", options.heads}, {"causal", std::int64_t{options.causal ? 1 : 0}}});
}

}  // namespace chainrule
