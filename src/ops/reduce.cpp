// Reductions over axes: sum, mean, variance, max, argmax.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/format.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/index.h"
#include "ops/python.h"

namespace chainrule {
namespace {

using Axes = std::vector<std::int64_t>;

bool contains(const Axes& axes, std::size_t axis) {
  return std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(axis)) != axes.end();
}

// x's shape with extent 1 on the reduced axes.
Shape kept_shape(const Shape& x, const Axes& axes) {
  Shape shape = x;
  for (const std::int64_t axis : axes) shape[static_cast<std::size_t>(axis)] = 1;
  return shape;
}

Types infer_reduction(const Node& n) {
  const Shape& x = n.inputs[0].shape();
  if (n.inputs[0].dtype() != DType::kF32) bad_shape(n, "expected f32");
  const Axes& axes = n.integers("axes");
  if (n.flag("keep_axes")) return {{DType::kF32, kept_shape(x, axes)}};
  Shape y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!contains(axes, i)) y.push_back(x[i]);
  }
  return {{DType::kF32, y}};
}

template <typename F>
void reduce(const Eval& e, double start, F join) {
  const Axes& axes = e.node.integers("axes");
  const Shape& x = e.in[0]->shape;
  const Axes y_strides = strides_of(kept_shape(x, axes));
  std::fill(e.out[0].data.begin(), e.out[0].data.end(), start);
  for_each_index(x, [&](std::size_t position, const Axes& at) {
    std::int64_t target = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      if (!contains(axes, i)) target += at[i] * y_strides[i];
    }
    double& y = e.out[0].data[static_cast<std::size_t>(target)];
    y = join(y, e.in[0]->data[position]);
  });
}

// A value of the reduced shape, repeated over the reduced axes.
Value spread(const Node& n, Value y) {
  const Shape& x = n.inputs[0].shape();
  const Shape kept = kept_shape(x, n.integers("axes"));
  const Value aligned = y.shape() == kept ? y : reshape(y, kept);
  return kept == x ? aligned : broadcast_to(aligned, x);
}

Attributes reduction(const Value& x, Axes axes, bool keep_axes) {
  if (axes.empty()) {
    axes.resize(x.shape().size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  for (std::int64_t& axis : axes) axis = normal_axis(axis, x.shape());
  std::sort(axes.begin(), axes.end());
  Attributes attributes{{"axes", std::move(axes)}};
  if (keep_axes) attributes.push_back({"keep_axes", std::int64_t{1}});
  return attributes;
}

// ── sum ──────────────────────────────────────────────────────────────────────
const Op kSum{checked({
    .name = "sum",
    .formula = "Σ {0}",
    .binding = Binding::kUnary,
    .latex = {[](const Node& n) -> Pattern {
      return {latex_over_axes(n, R"(\sum)") + " {0}", Binding::kUnary};
    }},
    .numpy = {[](const Node& n) { return numpy_reduction(n, "np.sum({0?}"); }},
    .torch = {[](const Node& n) { return torch_reduction(n, "torch.sum({0}"); }},
    .infer = infer_reduction,
    .eval = [](const Eval& e) { reduce(e, 0.0, [](double y, double x) { return y + x; }); },
    .grad = [](const Node& n, Value dy) -> Grads { return {spread(n, dy)}; },
    .local = {{{"∂{y}/∂{0} = 1",
                "every element of `{0}` enters its sum once: the upstream gradient is repeated"}}},
    .samples =
        [](Sampler& s) {
          s.check(sum(s.uniform({2, 3}, -1, 1)));
          s.check(sum(s.uniform({2, 3, 4}, -1, 1), {1}));
          s.check(sum(s.uniform({2, 3, 4}, -1, 1), {0, 2}, true));
          s.check(sum(s.uniform({2, 3}, -1, 1), {-1}));
        },
})};

// ── mean ─────────────────────────────────────────────────────────────────────
// How many elements of x each element of the result stands for.
double reduced_count(const Node& n) {
  double count = 1;
  for (const std::int64_t axis : n.integers("axes")) {
    count *= static_cast<double>(n.inputs[0].extent(axis));
  }
  return count;
}

const Op kMean{checked({
    .name = "mean",
    .formula = "mean({0})",
    .latex = {[](const Node& n) -> Pattern {
      return {latex_over_axes(n, R"(\operatorname{mean})") + R"(\left({0}\right))"};
    }},
    .numpy = {[](const Node& n) { return numpy_reduction(n, "np.mean({0?}"); }},
    .torch = {[](const Node& n) { return torch_reduction(n, "torch.mean({0}"); }},
    .infer = infer_reduction,
    .eval =
        [](const Eval& e) {
          reduce(e, 0.0, [](double y, double x) { return y + x; });
          for (double& y : e.out[0].data) y /= reduced_count(e.node);
        },
    .grad = [](const Node& n, Value dy) -> Grads { return {spread(n, dy / reduced_count(n))}; },
    .local = {{{[](const Node& n) -> Pattern {
                  return {fmt::format("∂{{y}}/∂{{0}} = 1/{}", reduced_count(n))};
                },
                [](const Node& n) -> Pattern {
                  return {
                      fmt::format("each of the {} elements of `{{0}}` has the same share of "
                                  "the mean: the upstream gradient is divided by {} and repeated",
                                  reduced_count(n), reduced_count(n))};
                }}}},
    .samples =
        [](Sampler& s) {
          s.check(mean(s.uniform({2, 3}, -1, 1)));
          s.check(mean(s.uniform({2, 3, 4}, -1, 1), {0, 2}, true));
        },
})};

// ── variance ─────────────────────────────────────────────────────────────────
// x also moves the mean, but that moves no variance: the deviations from it sum to 0. So the
// gradient is that of Σ (x − μ)² with μ held still.
const Op kVariance{checked({
    .name = "variance",
    .formula = "var({0})",
    .latex = {[](const Node& n) -> Pattern {
      return {latex_over_axes(n, R"(\operatorname{var})") + R"(\left({0}\right))"};
    }},
    .numpy = {[](const Node& n) { return numpy_reduction(n, "np.var({0?}"); }},
    .torch = {[](const Node& n) { return torch_reduction(n, "torch.var({0}, correction=0"); }},
    .infer = infer_reduction,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Axes& axes = n.integers("axes");
      const Value x = n.inputs[0];
      return {mean(square(x - mean(x, axes, true)), axes, n.flag("keep_axes"))};
    },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value x = n.inputs[0];
      const Value scale = dy * (2 / reduced_count(n));
      return {spread(n, scale) * (x - spread(n, mean(x, n.integers("axes"))))};
    },
    .local = {{{[](const Node& n) -> Pattern {
                  return {
                      fmt::format("∂{{y}}/∂{{0}} = 2·({{0}} - mean({{0}}))/{}", reduced_count(n))};
                },
                "an element's own deviation, twice: that it also moves the mean changes nothing, "
                "because the deviations sum to 0"}}},
    .samples =
        [](Sampler& s) {
          s.check(variance(s.uniform({2, 3}, -1, 1)));
          s.check(variance(s.uniform({2, 3, 4}, -1, 1), {0, 1}));
          s.check(variance(s.uniform({2, 3, 4}, -1, 1), {-1}, true));
          s.check(variance(s.uniform({16, 3, 4, 2}, -1, 1), {0, 1, 2}));
        },
})};

// ── max ──────────────────────────────────────────────────────────────────────
const Op kMax{checked({
    .name = "max",
    .formula = "max({0})",
    .latex = {[](const Node& n) -> Pattern {
      return {latex_over_axes(n, R"(\max)") + " {0}", Binding::kUnary};
    }},
    .numpy = {[](const Node& n) { return numpy_reduction(n, "np.max({0}"); }},
    .torch = {[](const Node& n) { return torch_reduction(n, "torch.amax({0}"); }},
    .infer = infer_reduction,
    .eval =
        [](const Eval& e) {
          reduce(e, -std::numeric_limits<double>::infinity(),
                 [](double y, double x) { return std::isnan(y) || y > x ? y : x; });
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Value attains = equal(n.inputs[0], spread(n, n.output()));
      const Value ties = sum(attains, n.integers("axes"), n.flag("keep_axes"));
      return {spread(n, dy / ties) * attains};
    },
    .local = {{{"∂{y}/∂{0} = [{0} = {y}]",
                "only the largest element moves the maximum, so it alone gets the gradient; equals "
                "share it"}}},
    .samples =
        [](Sampler& s) {
          s.check(max(s.uniform({2, 3}, -1, 1)));
          s.check(max(s.uniform({2, 3, 4}, -1, 1), {1}));
          s.check(max(s.uniform({2, 3}, -1, 1), {-1}, true));
        },
})};

// ── argmax ───────────────────────────────────────────────────────────────────
const Op kArgmax{checked({
    .name = "argmax",
    .formula = "argmax({0})",
    .latex = R"(\operatorname{argmax}\left({0}\right))",
    .numpy = "np.argmax({0}, axis=-1)",
    .torch = "torch.argmax({0}, dim=-1)",
    .infer = [](const Node& n) -> Types {
      Shape y = n.inputs[0].shape();
      if (y.empty() || y.back() == 0) bad_shape(n, "the last axis is empty");
      y.pop_back();
      return {{DType::kI32, y}};
    },
    .eval =
        [](const Eval& e) {
          const std::int64_t width = e.in[0]->shape.back();
          auto row = e.in[0]->data.begin();
          for (double& y : e.out[0].data) {
            // NaN counts as the largest, as in NumPy.
            const auto best = std::max_element(row, row + width, [](double a, double b) {
              return !std::isnan(a) && (std::isnan(b) || a < b);
            });
            y = static_cast<double>(best - row);
            row += width;
          }
        },
    .grad = not_differentiable,
    .samples =
        [](Sampler& s) {
          s.check(argmax(s.uniform({4, 5}, -1, 1)));
        },
})};

}  // namespace

Value sum(Value x, std::vector<std::int64_t> axes, bool keep_axes) {
  return emit(kSum, {x}, reduction(x, std::move(axes), keep_axes));
}

Value mean(Value x, std::vector<std::int64_t> axes, bool keep_axes) {
  return emit(kMean, {x}, reduction(x, std::move(axes), keep_axes));
}

Value variance(Value x, std::vector<std::int64_t> axes, bool keep_axes) {
  return emit(kVariance, {x}, reduction(x, std::move(axes), keep_axes));
}

Value max(Value x, std::vector<std::int64_t> axes, bool keep_axes) {
  return emit(kMax, {x}, reduction(x, std::move(axes), keep_axes));
}

Value argmax(Value x) { return emit(kArgmax, {x}); }

}  // namespace chainrule
