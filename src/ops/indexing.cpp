// Ops that choose numbers by integers: rows of a table, and classes by their labels.
#include <algorithm>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/python.h"

namespace chainrule {
namespace {

// ── gather ───────────────────────────────────────────────────────────────────
std::int64_t checked_index(const Node& n, double index, std::int64_t bound) {
  if (!(index >= 0 && index < static_cast<double>(bound))) {
    throw DataError(std::string(n.op->name) + ": index " +
                    std::to_string(static_cast<std::int64_t>(index)) + " is not in 0 … " +
                    std::to_string(bound - 1));
  }
  return static_cast<std::int64_t>(index);
}

const Op kGather{checked({
    .name = "gather",
    .formula = "{0}[{1}]",
    .binding = Binding::kPower,
    .latex = {R"({0}_{[{1}]})", Binding::kPostfix},
    .numpy = {"{0}[{1}]", Binding::kPostfix},
    .inputs = 2,
    .infer = [](const Node& n) -> Types {
      const Value table = n.inputs[0];
      if (table.shape().empty()) bad_shape(n, "a scalar has no rows");
      if (n.inputs[1].dtype() != DType::kI32) {
        bad_shape(n, "expected i32 indices, got " + to_string(n.inputs[1].type()));
      }
      Shape y = n.inputs[1].shape();
      y.insert(y.end(), table.shape().begin() + 1, table.shape().end());
      return {{table.dtype(), y}};
    },
    .eval =
        [](const Eval& e) {
          const Array& table = *e.in[0];
          const std::int64_t rows = table.shape[0];
          const std::int64_t width = rows == 0 ? 0 : element_count(table.shape) / rows;
          auto y = e.out[0].data.begin();
          for (const double index : e.in[1]->data) {
            const auto row = table.data.begin() + checked_index(e.node, index, rows) * width;
            y = std::copy(row, row + width, y);
          }
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      return {scatter_add(dy, n.inputs[1], n.inputs[0].shape()[0]), Value()};
    },
    .local = {{{"∂{y}[i]/∂{0}[r] = [{1}[i] = r]",
                "a row that was read several times adds up what comes back to it"}}},
    .samples =
        [](Sampler& s) {
          s.check(gather(s.uniform({4, 3}, -1, 1), s.integers({5}, 4)));
          s.check(gather(s.uniform({4}, -1, 1), s.integers({2, 3}, 4)));
        },
})};

// ── scatter_add ──────────────────────────────────────────────────────────────
const Op kScatterAdd{checked({
    .name = "scatter_add",
    .formula = "scatter_add({0}, {1}, {rows})",
    .latex = R"(\operatorname{scatter\_add}\left({0}, {1}\right))",
    .numpy = {[](const Node& n) -> Pattern {
      const std::string rows = "np.eye(" + std::to_string(n.integer("rows")) + ")[{1}]";
      const std::size_t rank = n.inputs[1].shape().size();
      if (rank == 1 && n.inputs[0].shape().size() == 2)
        return {rows + ".T @ {0}", Binding::kProduct};
      return {"np.tensordot(" + rows + ", {0}, axes=" + paired_axes(rank) + ")"};
    }},
    .torch = {[](const Node& n) -> Pattern {
      const std::size_t rank = n.inputs[1].shape().size();
      return {"torch.tensordot(torch.eye(" + std::to_string(n.integer("rows")) +
              ")[{1}], {0}, dims=" + paired_axes(rank) + ")"};
    }},
    .inputs = 2,
    .infer = [](const Node& n) -> Types {
      const Shape& x = n.inputs[0].shape();
      const Shape& indices = n.inputs[1].shape();
      if (x.size() < indices.size() || !std::equal(indices.begin(), indices.end(), x.begin())) {
        bad_shape(n, "indices " + to_string(indices) + " are no leading part of " + to_string(x));
      }
      Shape y{n.integer("rows")};
      y.insert(y.end(), x.begin() + static_cast<std::ptrdiff_t>(indices.size()), x.end());
      return {{n.inputs[0].dtype(), y}};
    },
    .eval =
        [](const Eval& e) {
          std::fill(e.out[0].data.begin(), e.out[0].data.end(), 0.0);
          const std::int64_t rows = e.node.integer("rows");
          const std::int64_t width = rows == 0 ? 0 : element_count(e.out[0].shape) / rows;
          auto x = e.in[0]->data.begin();
          for (const double index : e.in[1]->data) {
            auto y = e.out[0].data.begin() + checked_index(e.node, index, rows) * width;
            for (std::int64_t i = 0; i < width; ++i) *y++ += *x++;
          }
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      return {gather(dy, n.inputs[1]), Value()};
    },
    .local = {{{"∂{y}[r]/∂{0}[i] = [{1}[i] = r]",
                "each row takes back the gradient of the place where it was added"}}},
    .samples =
        [](Sampler& s) {
          s.check(scatter_add(s.uniform({5, 3}, -1, 1), s.integers({5}, 4), 4));
        },
})};

// ── one_hot ──────────────────────────────────────────────────────────────────
const Op kOneHot{checked({
    .name = "one_hot",
    .formula = "one_hot({0})",
    .latex = R"(\operatorname{one\_hot}\left({0}\right))",
    .numpy = {"np.eye({classes})[{0}]", Binding::kPostfix},
    .infer = [](const Node& n) -> Types {
      if (n.inputs[0].dtype() != DType::kI32) {
        bad_shape(n, "expected i32 labels, got " + to_string(n.inputs[0].type()));
      }
      Shape y = n.inputs[0].shape();
      y.push_back(n.integer("classes"));
      return {{DType::kF32, y}};
    },
    .eval =
        [](const Eval& e) {
          std::fill(e.out[0].data.begin(), e.out[0].data.end(), 0.0);
          const std::int64_t classes = e.node.integer("classes");
          auto row = e.out[0].data.begin();
          for (const double label : e.in[0]->data) {
            row[checked_index(e.node, label, classes)] = 1;
            row += classes;
          }
        },
    .grad = not_differentiable,
    .samples = [](Sampler& s) { s.check(one_hot(s.integers({5}, 3), 3)); },
})};

// ── to_float ─────────────────────────────────────────────────────────────────
const Op kToFloat{checked({
    .name = "to_float",
    .formula = "{0}",
    .latex = "{0}",
    .numpy = "{0}",
    .torch = "{0}.double()",
    .elementwise = true,
    .infer = [](const Node& n) -> Types {
      return {{DType::kF32, n.inputs[0].shape()}};
    },
    .eval = [](const Eval& e) { e.out[0].data = e.in[0]->data; },
    .c = "(real){0}",
    .grad = not_differentiable,
    .samples = [](Sampler& s) { s.check(to_float(s.integers({5}, 3))); },
})};

}  // namespace

Value gather(Value table, Value indices) { return emit(kGather, {table, indices}); }

Value scatter_add(Value x, Value indices, std::int64_t rows) {
  return emit(kScatterAdd, {x, indices}, {{"rows", rows}});
}

Value one_hot(Value labels, std::int64_t classes) {
  return emit(kOneHot, {labels}, {{"classes", classes}});
}

Value to_float(Value x) { return emit(kToFloat, {x}); }

}  // namespace chainrule
