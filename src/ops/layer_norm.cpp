// Layer normalisation and its gradient: macro ops, so that a kernel may go over each row once.
#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// The statistics of each row, [..., 1].
Shape column_of(const Value& x) {
  Shape shape = x.shape();
  shape.back() = 1;
  return shape;
}

void expect_shape(const Node& n, std::size_t input, const char* name, const Shape& shape) {
  if (n.inputs[input].shape() == shape) return;
  bad_shape(n, std::string("expected ") + name + " " + to_string(shape) + ", got " +
                   to_string(n.inputs[input].shape()));
}

void need_rows(const Node& n) {
  const Shape& x = n.inputs[0].shape();
  if (x.empty() || x.back() == 0) bad_shape(n, "expected rows of features, got " + to_string(x));
}

std::vector<std::int64_t> leading_axes(const Value& x) {
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i + 1 < x.shape().size(); ++i) {
    axes.push_back(static_cast<std::int64_t>(i));
  }
  return axes;
}

// Over all rows, for each feature; a single row is its own sum.
Value sum_of_rows(Value x) { return x.shape().size() == 1 ? x : sum(x, leading_axes(x)); }

// ── layer_norm_backward ──────────────────────────────────────────────────────
// x, gamma, mean, scale, dy → dx, dgamma, dbeta; scale is 1/σ.
const Op kLayerNormBackward{checked({
    .name = "layer_norm_backward",
    .formula = "layer_norm_backward({*})",
    .latex = R"(\operatorname{layer\_norm\_backward}\left({*}\right))",
    .inputs = 5,
    .infer = [](const Node& n) -> Types {
      need_rows(n);
      const Value x = n.inputs[0];
      expect_shape(n, 1, "gamma", {x.extent(-1)});
      expect_shape(n, 2, "mean", column_of(x));
      expect_shape(n, 3, "scale", column_of(x));
      expect_shape(n, 4, "dy", x.shape());
      return {x.type(), n.inputs[1].type(), n.inputs[1].type()};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value scale = n.inputs[3];
      const Value dy = n.inputs[4];
      const Value normal = (n.inputs[0] - n.inputs[2]) * scale;
      const Value g = dy * n.inputs[1];
      const Value dx = scale * (g - mean(g, {-1}, true) - normal * mean(g * normal, {-1}, true));
      return {dx, sum_of_rows(dy * normal), sum_of_rows(dy)};
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          for (const Shape& shape : {Shape{3, 4}, Shape{2, 2, 3}}) {
            Shape column = shape;
            column.back() = 1;
            const Node& node = emit_node(
                kLayerNormBackward,
                {s.uniform(shape, -1, 1), s.uniform({shape.back()}, 0.5, 1.5),
                 s.uniform(column, -1, 1), s.uniform(column, 0.5, 2), s.uniform(shape, -1, 1)});
            for (std::size_t i = 0; i < 3; ++i) s.check(node.output(i));
          }
        },
})};

// ── layer_norm ───────────────────────────────────────────────────────────────
const Op kLayerNorm{checked({
    .name = "layer_norm",
    .formula = "layer_norm({*})",
    .latex = R"(\operatorname{layer\_norm}\left({*}\right))",
    .inputs = 3,
    .infer = [](const Node& n) -> Types {
      need_rows(n);
      const Value x = n.inputs[0];
      expect_shape(n, 1, "gamma", {x.extent(-1)});
      expect_shape(n, 2, "beta", {x.extent(-1)});
      const Type column{DType::kF32, column_of(x)};
      return {x.type(), column, column};
    },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value x = n.inputs[0];
      const Value middle = mean(x, {-1}, true);
      const Value scale = 1 / sqrt(variance(x, {-1}, true) + n.real("epsilon"));
      return {(x - middle) * scale * n.inputs[1] + n.inputs[2], middle, scale};
    },
    .joint_grad = [](const Node& n, std::span<const Value> dy) -> Grads {
      if (!dy[0] || dy[1] || dy[2]) return {};  // of the statistics, as second derivatives have it
      const Node& back = emit_node(kLayerNormBackward,
                                   {n.inputs[0], n.inputs[1], n.output(1), n.output(2), dy[0]});
      return {back.output(0), back.output(1), back.output(2)};
    },
    .local = {{
        {"∂{y}/∂{0} = γ/σ ⊙ (1 - 1/C - x̂·x̂ᵀ/C)",
         "a feature also moves its row's mean and deviation: what it gives to both is taken off"},
        {"∂{y}[r,c]/∂{1}[c] = x̂[r,c]", "a scale meets its feature of every row"},
        {"∂{y}[r,c]/∂{2}[c] = 1", "a shift is added to its feature of every row"},
    }},
    .samples =
        [](Sampler& s) {
          s.check(layer_norm(s.uniform({3, 4}, -1, 1), s.uniform({4}, 0.5, 1.5),
                             s.uniform({4}, -1, 1)));
          s.check(layer_norm(s.uniform({2, 2, 3}, -1, 1), s.uniform({3}, 0.5, 1.5),
                             s.uniform({3}, -1, 1), 0.1));
        },
})};

}  // namespace

Value layer_norm(Value x, Value gamma, Value beta, double epsilon) {
  return emit_node(kLayerNorm, {x, gamma, beta}, {{"epsilon", epsilon}}).output(0);
}

}  // namespace chainrule
