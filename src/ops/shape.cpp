// Ops that make and move numbers without computing any: constants, broadcasting, reshaping, cutting
// and joining.
#include <algorithm>
#include <numeric>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/index.h"
#include "ops/python.h"

namespace chainrule {
namespace {

using Axes = std::vector<std::int64_t>;

// ── constant ─────────────────────────────────────────────────────────────────
const Op kConstant{checked({
    .name = "constant",
    .formula = "{value}",
    .latex = "{value}",
    .numpy = {[](const Node& n) -> Pattern {
      const Shape& shape = n.integers("shape");
      if (shape.empty()) return {"{value}"};
      return {"np.full(" + python_tuple(shape) + ", {value})"};
    }},
    .torch = {[](const Node& n) -> Pattern {
      return {"torch.full(" + python_tuple(n.integers("shape")) + ", {value})"};
    }},
    .inputs = 0,
    .infer = [](const Node& n) -> Types {
      return {{DType::kF32, n.integers("shape")}};
    },
    .eval =
        [](const Eval& e) {
          std::fill(e.out[0].data.begin(), e.out[0].data.end(), e.node.real("value"));
        },
    .grad = [](const Node&, Value) -> Grads { return {}; },
    .samples =
        [](Sampler& s) {
          s.check(constant(s.graph(), 2.5, {2, 3}));
        },
})};

// ── broadcast_to ─────────────────────────────────────────────────────────────
// The axes of y along which x is repeated: the new leading ones and those where x has extent 1.
Axes repeated_axes(const Shape& x, const Shape& y) {
  Axes axes;
  const std::size_t leading = y.size() - x.size();
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (i < leading || x[i - leading] != y[i]) axes.push_back(static_cast<std::int64_t>(i));
  }
  return axes;
}

const Op kBroadcastTo{checked({
    .name = "broadcast_to",
    .formula = "{0}",
    .latex = "{0}",
    .numpy = "{0}",
    .infer = [](const Node& n) -> Types {
      const Shape& x = n.inputs[0].shape();
      const Shape& y = n.integers("shape");
      bool fits = x.size() <= y.size();
      for (std::size_t i = 0; fits && i < x.size(); ++i) {
        const std::int64_t extent = x[x.size() - 1 - i];
        fits = extent == 1 || extent == y[y.size() - 1 - i];
      }
      if (!fits) bad_shape(n, "shape " + to_string(x) + " does not stretch to " + to_string(y));
      return {{n.inputs[0].dtype(), y}};
    },
    .eval =
        [](const Eval& e) {
          const Shape& x = e.in[0]->shape;
          const Axes x_strides = strides_of(x);
          const std::size_t leading = e.out[0].shape.size() - x.size();
          for_each_index(e.out[0].shape, [&](std::size_t position, const Axes& at) {
            std::int64_t source = 0;
            for (std::size_t i = 0; i < x.size(); ++i) {
              if (x[i] != 1) source += at[i + leading] * x_strides[i];
            }
            e.out[0].data[position] = e.in[0]->data[static_cast<std::size_t>(source)];
          });
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Shape& x = n.inputs[0].shape();
      const Axes axes = repeated_axes(x, dy.shape());
      if (axes.empty()) return {dy};
      const bool same_rank = x.size() == dy.shape().size();
      const Value dx = sum(dy, axes, same_rank);
      return {dx.shape() == x ? dx : reshape(dx, x)};
    },
    .local = {{{"∂{y}/∂{0} = 1",
                [](const Node& n) -> Pattern {
                  const Shape& x = n.inputs[0].shape();
                  const Axes axes = repeated_axes(x, n.integers("shape"));
                  std::string names;
                  for (const std::int64_t axis : axes) {
                    names += (names.empty() ? "" : ", ") + std::to_string(axis);
                  }
                  return {"`{0}` " + to_string(x) + " was stretched to " +
                          to_string(n.integers("shape")) + ", so its gradient sums over " +
                          (axes.size() == 1 ? "axis " : "axes ") + names +
                          ": every copy sends its share back"};
                }}}},
    .samples =
        [](Sampler& s) {
          s.check(broadcast_to(s.uniform({3}, -1, 1), {2, 3}));
          s.check(broadcast_to(s.uniform({2, 1, 3}, -1, 1), {4, 2, 5, 3}));
          s.check(broadcast_to(s.uniform({2, 1}, -1, 1), {2, 3}));
          s.check(broadcast_to(s.uniform({}, -1, 1), {2, 2}));
          s.check(broadcast_to(s.uniform({1, 3, 1}, -1, 1), {2, 3, 4}));
        },
})};

// ── reshape ──────────────────────────────────────────────────────────────────
const Op kReshape{checked({
    .name = "reshape",
    .formula = "reshape({0}, {shape})",
    .latex = {[](const Node& n) -> Pattern {
      return {R"(\operatorname{reshape}\left({0}, )" + python_tuple(n.integers("shape")) +
              R"(\right))"};
    }},
    .numpy = {[](const Node& n) -> Pattern {
      return {"np.reshape({0}, " + python_tuple(n.integers("shape")) + ")"};
    }},
    .view = true,
    .infer = [](const Node& n) -> Types {
      const Shape& x = n.inputs[0].shape();
      const Shape& y = n.integers("shape");
      if (element_count(x) != element_count(y)) {
        bad_shape(n, to_string(x) + " has " + std::to_string(element_count(x)) + " elements, " +
                         to_string(y) + " has " + std::to_string(element_count(y)));
      }
      return {{n.inputs[0].dtype(), y}};
    },
    .eval = [](const Eval& e) { e.out[0].data = e.in[0]->data; },
    .grad = [](const Node& n, Value dy) -> Grads { return {reshape(dy, n.inputs[0].shape())}; },
    .local = {{{"∂{y}/∂{0} = 1",
                "the numbers only change places, and so do their gradients, back again"}}},
    .samples =
        [](Sampler& s) {
          s.check(reshape(s.uniform({2, 6}, -1, 1), {3, -1}));
        },
})};

// ── transpose ────────────────────────────────────────────────────────────────
const Op kTranspose{checked({
    .name = "transpose",
    .formula = "{0}ᵀ",
    .binding = Binding::kPower,
    .latex = {[](const Node& n) -> Pattern {
      if (swaps_last_axes(n.integers("permutation"))) return {R"({0}^{\top})", Binding::kPower};
      return {R"(\operatorname{transpose}\left({0}, )" + python_tuple(n.integers("permutation")) +
              R"(\right))"};
    }},
    .numpy = {[](const Node& n) -> Pattern {
      const Axes& permutation = n.integers("permutation");
      if (!swaps_last_axes(permutation)) {
        return {"np.transpose({0}, " + python_tuple(permutation) + ")"};
      }
      if (permutation.size() > 2) return {"np.swapaxes({0}, -1, -2)"};
      return {"{0}.T", Binding::kPostfix};
    }},
    .torch = {[](const Node& n) -> Pattern {
      const Axes& permutation = n.integers("permutation");
      if (permutation.size() == 2) return kTranspose.numpy.of(n);
      return {"torch.permute({0}, " + python_tuple(permutation) + ")"};
    }},
    .view = true,
    .infer = [](const Node& n) -> Types {
      const Shape& x = n.inputs[0].shape();
      const Axes& permutation = n.integers("permutation");
      Axes sorted = permutation;
      std::sort(sorted.begin(), sorted.end());
      Axes all(x.size());
      std::iota(all.begin(), all.end(), 0);
      if (sorted != all) {
        bad_shape(n, to_string(permutation) + " is no permutation of the axes of " + to_string(x));
      }
      Shape y;
      for (const std::int64_t axis : permutation) y.push_back(x[static_cast<std::size_t>(axis)]);
      return {{n.inputs[0].dtype(), y}};
    },
    .eval =
        [](const Eval& e) {
          const Axes x_strides = strides_of(e.in[0]->shape);
          const Axes& permutation = e.node.integers("permutation");
          for_each_index(e.out[0].shape, [&](std::size_t position, const Axes& at) {
            std::int64_t source = 0;
            for (std::size_t i = 0; i < at.size(); ++i) {
              source += at[i] * x_strides[static_cast<std::size_t>(permutation[i])];
            }
            e.out[0].data[position] = e.in[0]->data[static_cast<std::size_t>(source)];
          });
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Axes& permutation = n.integers("permutation");
      Axes inverse(permutation.size());
      for (std::size_t i = 0; i < permutation.size(); ++i) {
        inverse[static_cast<std::size_t>(permutation[i])] = static_cast<std::int64_t>(i);
      }
      return {transpose(dy, inverse)};
    },
    .local = {{{"∂{y}/∂{0} = 1",
                "the numbers only change places, and so do their gradients, back again"}}},
    .samples =
        [](Sampler& s) {
          s.check(transpose(s.uniform({2, 3}, -1, 1)));
          s.check(transpose(s.uniform({2, 3, 4}, -1, 1), {2, 0, 1}));
        },
})};

// ── concatenate ──────────────────────────────────────────────────────────────
const Op kConcatenate{checked({
    .name = "concatenate",
    .formula = "concatenate({*}, axis={axis})",
    .latex = R"(\operatorname{concatenate}\left({*};\ \text{axis } {axis}\right))",
    .numpy = "np.concatenate([{*}], axis={axis})",
    .torch = "torch.cat([{*}], dim={axis})",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) -> Types {
      Type type = n.inputs[0].type();
      const auto axis = static_cast<std::size_t>(n.integer("axis"));
      type.shape[axis] = 0;
      for (const Value& input : n.inputs) {
        Shape other = input.shape();
        if (other.size() == type.shape.size()) other[axis] = type.shape[axis];
        if (other != type.shape || input.dtype() != type.dtype) {
          bad_shape(n, to_string(n.inputs[0].type()) + " and " + to_string(input.type()) +
                           " differ outside axis " + std::to_string(axis));
        }
        type.shape[axis] += input.extent(n.integer("axis"));
      }
      return {type};
    },
    .eval =
        [](const Eval& e) {
          const auto axis = static_cast<std::size_t>(e.node.integer("axis"));
          const Axes y_strides = strides_of(e.out[0].shape);
          std::int64_t offset = 0;
          for (const Array* x : e.in) {
            for_each_index(x->shape, [&](std::size_t position, const Axes& at) {
              const std::int64_t target =
                  std::inner_product(at.begin(), at.end(), y_strides.begin(), offset);
              e.out[0].data[static_cast<std::size_t>(target)] = x->data[position];
            });
            offset += x->shape[axis] * y_strides[axis];
          }
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      const auto axis = static_cast<std::size_t>(n.integer("axis"));
      Grads grads;
      Axes starts(dy.shape().size(), 0);
      Axes stops = dy.shape();
      for (const Value& input : n.inputs) {
        stops[axis] = starts[axis] + input.shape()[axis];
        grads.push_back(slice(dy, starts, stops));
        starts[axis] = stops[axis];
      }
      return grads;
    },
    .local = {{{"∂{y}/∂{0} = 1", "each input takes its own part of the gradient"},
               {"∂{y}/∂{1} = 1", "each input takes its own part of the gradient"},
               {"∂{y}/∂{2} = 1", "each input takes its own part of the gradient"}}},
    .samples =
        [](Sampler& s) {
          s.check(concatenate({s.uniform({2, 3}, -1, 1), s.uniform({2, 1}, -1, 1)}, 1));
          s.check(concatenate({s.uniform({1, 3}, -1, 1), s.uniform({2, 3}, -1, 1)}, 0));
        },
})};

// ── slice ────────────────────────────────────────────────────────────────────
const Op kSlice{checked({
    .name = "slice",
    .formula = {[](const Node& n) -> Pattern {
      return {"{0}[" + python_ranges(n) + "]", Binding::kPostfix};
    }},
    .latex = {[](const Node& n) -> Pattern {
      return {"{0}_{[" + python_ranges(n) + "]}", Binding::kPostfix};
    }},
    .numpy = {[](const Node& n) -> Pattern {
      return {"{0}[" + python_ranges(n) + "]", Binding::kPostfix};
    }},
    .view = true,
    .infer = [](const Node& n) -> Types {
      const Shape& x = n.inputs[0].shape();
      const Axes& starts = n.integers("starts");
      const Axes& stops = n.integers("stops");
      if (starts.size() != x.size() || stops.size() != x.size()) {
        bad_shape(n, "expected a start and a stop for each axis of " + to_string(x));
      }
      Shape y;
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (starts[i] < 0 || starts[i] > stops[i] || stops[i] > x[i]) {
          bad_shape(n, "cannot cut " + to_string(starts) + " to " + to_string(stops) +
                           " out of shape " + to_string(x));
        }
        y.push_back(stops[i] - starts[i]);
      }
      return {{n.inputs[0].dtype(), y}};
    },
    .eval =
        [](const Eval& e) {
          const Axes x_strides = strides_of(e.in[0]->shape);
          const Axes& starts = e.node.integers("starts");
          for_each_index(e.out[0].shape, [&](std::size_t position, const Axes& at) {
            std::int64_t source = 0;
            for (std::size_t i = 0; i < at.size(); ++i) {
              source += (at[i] + starts[i]) * x_strides[i];
            }
            e.out[0].data[position] = e.in[0]->data[static_cast<std::size_t>(source)];
          });
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      Axes after = n.inputs[0].shape();
      const Axes& stops = n.integers("stops");
      for (std::size_t i = 0; i < after.size(); ++i) after[i] -= stops[i];
      return {pad(dy, n.integers("starts"), after)};
    },
    .local = {{{"∂{y}/∂{0} = 1",
                "what was cut off has no influence: its gradient is 0, the rest takes the upstream "
                "gradient in its place"}}},
    .samples =
        [](Sampler& s) {
          s.check(slice(s.uniform({3, 4}, -1, 1), {1, 0}, {3, 2}));
        },
})};

// ── pad ──────────────────────────────────────────────────────────────────────
const Op kPad{checked({
    .name = "pad",
    .formula = "pad({0}, {before}, {after})",
    .latex = {[](const Node& n) -> Pattern {
      return {R"(\operatorname{pad}\left({0}, )" + python_widths(n) + R"(\right))"};
    }},
    .numpy = {[](const Node& n) -> Pattern { return {"np.pad({0}, " + python_widths(n) + ")"}; }},
    .torch = {[](const Node& n) -> Pattern {
      // The widths of the last axis first, as torch wants them.
      std::string widths;
      for (std::size_t i = n.inputs[0].shape().size(); i-- > 0;) {
        widths += (widths.empty() ? "" : ", ") + std::to_string(n.integers("before")[i]) + ", " +
                  std::to_string(n.integers("after")[i]);
      }
      return {"torch.nn.functional.pad({0}, (" + widths + "))"};
    }},
    .infer = [](const Node& n) -> Types {
      Shape y = n.inputs[0].shape();
      const Axes& before = n.integers("before");
      const Axes& after = n.integers("after");
      if (before.size() != y.size() || after.size() != y.size()) {
        bad_shape(n, "expected a width before and after each axis of " + to_string(y));
      }
      for (std::size_t i = 0; i < y.size(); ++i) {
        if (before[i] < 0 || after[i] < 0) bad_shape(n, "a width is negative");
        element_count({before[i], after[i]});  // so large ones that their sum overflows are refused
        y[i] += before[i] + after[i];
      }
      return {{n.inputs[0].dtype(), y}};
    },
    .eval =
        [](const Eval& e) {
          const Axes y_strides = strides_of(e.out[0].shape);
          const Axes& before = e.node.integers("before");
          std::fill(e.out[0].data.begin(), e.out[0].data.end(), 0.0);
          for_each_index(e.in[0]->shape, [&](std::size_t position, const Axes& at) {
            std::int64_t target = 0;
            for (std::size_t i = 0; i < at.size(); ++i) {
              target += (at[i] + before[i]) * y_strides[i];
            }
            e.out[0].data[static_cast<std::size_t>(target)] = e.in[0]->data[position];
          });
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      const Axes& before = n.integers("before");
      Axes stops = n.inputs[0].shape();
      for (std::size_t i = 0; i < stops.size(); ++i) stops[i] += before[i];
      return {slice(dy, before, stops)};
    },
    .local = {{{"∂{y}/∂{0} = 1",
                "the zeros around `{0}` are no part of it: their gradient is cut off"}}},
    .samples =
        [](Sampler& s) {
          s.check(pad(s.uniform({2, 2}, -1, 1), {1, 0}, {0, 2}));
        },
})};

}  // namespace

Value constant(Graph& graph, double value, Shape shape) {
  return graph.append(kConstant, {}, {{"value", value}, {"shape", std::move(shape)}}).output();
}

Value broadcast_to(Value x, Shape shape) {
  return emit(kBroadcastTo, {x}, {{"shape", std::move(shape)}});
}

Value reshape(Value x, Shape shape) {
  const auto inferred = std::find(shape.begin(), shape.end(), -1);
  if (inferred != shape.end()) {
    *inferred = 1;
    const std::int64_t others = element_count(shape);
    *inferred = others == 0 ? 0 : element_count(x.shape()) / others;
  }
  return emit(kReshape, {x}, {{"shape", std::move(shape)}});
}

Value transpose(Value x, std::vector<std::int64_t> permutation) {
  return emit(kTranspose, {x}, {{"permutation", std::move(permutation)}});
}

Value transpose(Value x) {
  if (x.shape().size() < 2)
    throw ShapeError("transpose: " + to_string(x.shape()) + " has no two axes");
  std::vector<std::int64_t> permutation(x.shape().size());
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[permutation.size() - 1], permutation[permutation.size() - 2]);
  return transpose(x, std::move(permutation));
}

Value concatenate(const std::vector<Value>& inputs, std::int64_t axis) {
  if (inputs.empty()) throw ShapeError("concatenate: no inputs given");
  return emit(kConcatenate, inputs, {{"axis", normal_axis(axis, inputs[0].shape())}});
}

Value slice(Value x, std::vector<std::int64_t> starts, std::vector<std::int64_t> stops) {
  return emit(kSlice, {x}, {{"starts", std::move(starts)}, {"stops", std::move(stops)}});
}

Value pad(Value x, std::vector<std::int64_t> before, std::vector<std::int64_t> after) {
  return emit(kPad, {x}, {{"before", std::move(before)}, {"after", std::move(after)}});
}

}  // namespace chainrule
