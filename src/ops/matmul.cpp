// The matrix product. The transposed forms, transpose_a and transpose_b, exist for the compiler,
// which folds a transpose into the product that reads it.
#include "chainrule/ops.h"
#include "graph/op.h"
#include "ops/products.h"

namespace chainrule {
namespace {

struct Extents {
  std::int64_t batch, m, n, k;
};

Extents extents(const Node& n) {
  const Shape& a = n.inputs[0].shape();
  const Shape& b = n.inputs[1].shape();
  const bool ta = n.flag("transpose_a");
  const bool tb = n.flag("transpose_b");
  const auto fail = [&] {
    bad_shape(n, "cannot multiply " + to_string(a) + (ta ? "ᵀ" : "") + " by " + to_string(b) +
                     (tb ? "ᵀ" : "") + "; expected [..., M, K]·[..., K, N]");
  };
  if (a.size() < 2 || a.size() != b.size()) fail();
  const std::size_t row = a.size() - 2;
  const std::size_t column = a.size() - 1;
  const std::int64_t k = ta ? a[row] : a[column];
  if (k != (tb ? b[column] : b[row])) fail();
  if (!std::equal(a.begin(), a.end() - 2, b.begin())) fail();
  Extents e{1, ta ? a[column] : a[row], tb ? b[row] : b[column], k};
  for (std::size_t i = 0; i < row; ++i) e.batch *= a[i];
  return e;
}

// ── matmul ───────────────────────────────────────────────────────────────────
const Op kMatmul{checked({
    .name = "matmul",
    .formula = "{0}·{1}",
    .binding = Binding::kProduct,
    .latex = {[](const Node& n) -> Pattern {
      return {std::string(n.flag("transpose_a") ? R"({0}^{\top})" : "{0}") + R"(\,)" +
                  (n.flag("transpose_b") ? R"({1}^{\top})" : "{1}"),
              Binding::kProduct};
    }},
    .numpy = {[](const Node& n) -> Pattern {
      const bool matrices = n.inputs[0].shape().size() == 2;
      const auto operand = [&](const std::string& x, bool transposed) {
        if (!transposed) return x;
        return matrices ? x + ".T" : "np.swapaxes(" + x + ", -1, -2)";
      };
      return {operand("{0}", n.flag("transpose_a")) + " @ " + operand("{1}", n.flag("transpose_b")),
              Binding::kProduct};
    }},
    .inputs = 2,
    .associative = true,
    .product = true,
    .infer = [](const Node& n) -> Types {
      const Extents e = extents(n);
      Shape y = n.inputs[0].shape();
      y[y.size() - 2] = e.m;
      y[y.size() - 1] = e.n;
      return {{DType::kF32, y}};
    },
    .eval =
        [](const Eval& e) {
          const Extents x = extents(e.node);
          const bool ta = e.node.flag("transpose_a");
          const bool tb = e.node.flag("transpose_b");
          const double* a = e.in[0]->data.data();
          const double* b = e.in[1]->data.data();
          double* y = e.out[0].data.data();
          for (std::int64_t batch = 0; batch < x.batch; ++batch) {
            for (std::int64_t m = 0; m < x.m; ++m) {
              for (std::int64_t n = 0; n < x.n; ++n) {
                double total = 0;
                for (std::int64_t k = 0; k < x.k; ++k) {
                  total += a[ta ? k * x.m + m : m * x.k + k] * b[tb ? n * x.k + k : k * x.n + n];
                }
                *y++ = total;
              }
            }
            a += x.m * x.k;
            b += x.k * x.n;
          }
        },
    .grad = [](const Node& n, Value dy) -> Grads {
      const bool ta = n.flag("transpose_a");
      const bool tb = n.flag("transpose_b");
      const Value a = n.inputs[0];
      const Value b = n.inputs[1];
      const Value da = matmul(dy, tb ? b : transpose(b));
      const Value db = matmul(ta ? a : transpose(a), dy);
      return {ta ? transpose(da) : da, tb ? transpose(db) : db};
    },
    .local = {{
        {R"(∂{y}[m,n]/∂{0}[m,k] = {1}[k,n])",
         "`{0}[m,k]` takes part in every column n of row m of `{y}`: the sum over n is a product "
         "with `{1}ᵀ`"},
        {R"(∂{y}[m,n]/∂{1}[k,n] = {0}[m,k])",
         "`{1}[k,n]` takes part in every row m of `{y}`: the sum over the rows, which are the "
         "examples of a batch, is a product with `{0}ᵀ` from the left"},
    }},
    .samples =
        [](Sampler& s) {
          s.check(matmul(s.uniform({2, 3}, -1, 1), s.uniform({3, 4}, -1, 1)));
          s.check(matmul(s.uniform({2, 2, 3}, -1, 1), s.uniform({2, 3, 1}, -1, 1)));
          s.check(
              matmul_transposed(s.uniform({3, 2}, -1, 1), true, s.uniform({4, 3}, -1, 1), true));
        },
})};

}  // namespace

Value matmul(Value a, Value b) { return matmul_transposed(a, false, b, false); }

Value matmul_transposed(Value a, bool transpose_a, Value b, bool transpose_b) {
  Attributes attributes;
  if (transpose_a) attributes.push_back({"transpose_a", std::int64_t{1}});
  if (transpose_b) attributes.push_back({"transpose_b", std::int64_t{1}});
  return emit(kMatmul, {a, b}, std::move(attributes));
}

}  // namespace chainrule
