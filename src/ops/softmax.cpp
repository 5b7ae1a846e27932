// Softmax and its logarithm, and the two derivatives as macro ops of their own: each has a fast
// kernel, and simplify() recognises the pair softmax_backward(cross_entropy_backward) by name.
#include "ops/softmax.h"

#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// ── softmax ──────────────────────────────────────────────────────────────────
const Op kSoftmax{checked({
    .name = "softmax",
    .formula = "softmax({0})",
    .latex = R"(\operatorname{softmax}\left({0}\right))",
    .torch = "torch.softmax({0}, dim=-1)",
    .infer = same_as_all_inputs,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value x = n.inputs[0];
      const Value e = exp(x - max(x, {-1}, true));
      return {e / sum(e, {-1}, true)};
    },
    .grad = [](const Node& n, Value dy) -> Grads { return {softmax_backward(n.output(), dy)}; },
    .local = {{{"∂{y}/∂{0} = diag({y}) - {y}·{y}ᵀ",
                "row by row: raising one score raises its own probability and lowers all others, "
                "because each row of `{y}` sums to 1"}}},
    .samples =
        [](Sampler& s) {
          s.check(softmax(s.uniform({3, 4}, -2, 2)));
        },
})};

const Op kSoftmaxBackward{checked({
    .name = "softmax_backward",
    .formula = "{0} ⊙ ({1} - Σ({1} ⊙ {0}))",
    .binding = Binding::kProduct,
    .latex = {R"({0} \odot \left({1} - \sum \left({1} \odot {0}\right)\right))", Binding::kProduct},
    .numpy = {"{0} * ({1} - np.sum({1} * {0}, axis=-1, keepdims=True))", Binding::kProduct},
    .torch = {"{0} * ({1} - torch.sum({1} * {0}, dim=-1, keepdim=True))", Binding::kProduct},
    .inputs = 2,
    .infer = same_as_all_inputs,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value y = n.inputs[0];
      const Value dy = n.inputs[1];
      return {y * (dy - sum(dy * y, {-1}, true))};
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          s.check(softmax_backward(s.distribution({3, 4}), s.uniform({3, 4}, -1, 1)));
        },
})};

// ── log_softmax ──────────────────────────────────────────────────────────────
const Op kLogSoftmax{checked({
    .name = "log_softmax",
    .formula = "log_softmax({0})",
    .latex = R"(\operatorname{log\_softmax}\left({0}\right))",
    .torch = "torch.log_softmax({0}, dim=-1)",
    .infer = same_as_all_inputs,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value shifted = n.inputs[0] - max(n.inputs[0], {-1}, true);
      return {shifted - log(sum(exp(shifted), {-1}, true))};
    },
    .grad = [](const Node& n, Value dy) -> Grads { return {log_softmax_backward(n.output(), dy)}; },
    .local = {{{"∂{y}/∂{0} = I - 1·exp({y})ᵀ",
                "row by row: every score moves the common denominator"}}},
    .samples =
        [](Sampler& s) {
          s.check(log_softmax(s.uniform({3, 4}, -2, 2)));
        },
})};

const Op kLogSoftmaxBackward{checked({
    .name = "log_softmax_backward",
    .formula = "{1} - exp({0}) ⊙ Σ{1}",
    .binding = Binding::kSum,
    .latex = {R"({1} - \exp\left({0}\right) \odot \sum {1})", Binding::kSum},
    .numpy = {"{1} - np.exp({0}) * np.sum({1}, axis=-1, keepdims=True)", Binding::kSum},
    .torch = {"{1} - torch.exp({0}) * torch.sum({1}, dim=-1, keepdim=True)", Binding::kSum},
    .inputs = 2,
    .infer = same_as_all_inputs,
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value y = n.inputs[0];
      const Value dy = n.inputs[1];
      return {dy - exp(y) * sum(dy, {-1}, true)};
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          s.check(log_softmax_backward(s.uniform({3, 4}, -3, 0), s.uniform({3, 4}, -1, 1)));
        },
})};

}  // namespace

Value softmax(Value x) { return emit(kSoftmax, {x}); }
Value softmax_backward(Value y, Value dy) { return emit(kSoftmaxBackward, {y, dy}); }
Value log_softmax(Value x) { return emit(kLogSoftmax, {x}); }
Value log_softmax_backward(Value y, Value dy) { return emit(kLogSoftmaxBackward, {y, dy}); }

}  // namespace chainrule
