// Layers that hold layers: residual connections, parallel branches, repetition. They only join what
// other layers compute, so whatever works in a list works inside them.
#include <algorithm>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"

namespace chainrule {
namespace {

std::string branch_shape(const Value& y) { return batch_shape(y.shape()); }

void check_join(std::string_view word) {
  if (word != "concatenate" && word != "add") {
    throw UsageError(fmt::format("join must be concatenate or add, got \"{}\"", word));
  }
}

// ── residual ─────────────────────────────────────────────────────────────────
// Layers that would usually bring x into y's shape.
std::string fitting_shortcut(const Value& x, const Value& y) {
  const std::int64_t features = y.extent(-1);
  const bool images = x.shape().size() == 4 && y.shape().size() == 4;
  if (!images) return fmt::format("linear {}", features);
  const std::int64_t stride = x.extent(1) / std::max<std::int64_t>(y.extent(1), 1);
  return fmt::format("conv2d {} 1{}", features,
                     stride > 1 ? fmt::format(" stride={}", stride) : "");
}

Value build_residual(LayerScope& scope, Value x) {
  const std::vector<std::vector<Phrase>>& shortcut = scope.layer.branches("shortcut");
  const Value y = scope.nested(scope.layer.branches("layers")[0], x);
  const Value past = shortcut.empty() ? x : scope.nested(shortcut[0], x, "shortcut");
  if (y.type() == past.type()) {
    const Value sum = past + y;
    scope.keep_steps(past, y, sum);
    return sum;
  }
  throw ShapeError(fmt::format(
      "the layers give {}, but what is added to it is {}: {}", branch_shape(y), branch_shape(past),
      shortcut.empty() ? "let the layers keep the shape, or bring x into theirs with shortcut=(" +
                             fitting_shortcut(x, y) + ")"
                       : "the layers and the shortcut must end in the same shape"));
}

// ── parallel ─────────────────────────────────────────────────────────────────
[[noreturn]] void refuse_branch(std::size_t number, const Value& first, const Value& other,
                                const std::string& what) {
  throw ShapeError(fmt::format("branch 1 gives {}, branch {} gives {}: {}", branch_shape(first),
                               number, branch_shape(other), what));
}

bool may_concatenate(const Value& a, const Value& b) {
  Shape left = a.shape();
  Shape right = b.shape();
  left.back() = right.back() = 1;
  return a.dtype() == b.dtype() && left == right;
}

Value build_parallel(LayerScope& scope, Value x) {
  const bool add = scope.layer.word("join") == "add";
  std::vector<Value> results;
  for (const std::vector<Phrase>& branch : scope.layer.branches("branches")) {
    const std::size_t number = results.size() + 1;
    const Value y = scope.nested(branch, x, std::to_string(number));
    results.push_back(y);
    const Value& first = results.front();
    if (add && y.type() != first.type()) {
      refuse_branch(number, first, y, "branches that are added must end in the same shape");
    }
    if (!add && !may_concatenate(first, y)) {
      refuse_branch(number, first, y,
                    "branches are joined along the last axis, so all others must agree; "
                    "padding=same and equal strides keep them");
    }
  }
  if (results.size() == 1) return results[0];
  Value joined = add ? results[0] + results[1] : concatenate(results, -1);
  for (std::size_t i = 2; add && i < results.size(); ++i) joined = joined + results[i];
  for (const Value& result : results) scope.keep_steps(results[0], result, joined);
  return joined;
}

std::string text_of(const std::vector<Phrase>& layers) { return Sequential(layers).to_text(); }

}  // namespace

std::vector<LayerKind> block_layer_kinds() {
  return {
      {.rule = {"identity", {}},
       .usage = "identity",
       .meaning = "y = x: a branch that does nothing",
       .suits = Suits::kSkip,
       .build = [](LayerScope&, Value x) { return x; }},
      {.rule = {"residual",
                {{.name = "layers", .kind = OptionKind::kGroup, .positional = true},
                 {.name = "shortcut", .kind = OptionKind::kGroup, .optional = true}}},
       .usage = "residual (LAYERS) [shortcut=(LAYERS)]",
       .meaning = "y = x + what the layers make of x; the shortcut's layers, if any, change the x",
       .forward = "The layers inside say only what is to be added: {out} is {in} and their result.",
       .backward =
           "A sum passes its gradient on unchanged, so it reaches {in} by the shortcut as it "
           "came, and by way of the layers once more. That is why deep networks can learn.",
       .suits = Suits::kInside,
       .at_steps = AtSteps::kOwn,
       .build = build_residual},
      {.rule = {"parallel",
                {{.name = "branches", .kind = OptionKind::kBranches, .positional = true},
                 {.name = "join",
                  .kind = OptionKind::kWord,
                  .fallback = "concatenate",
                  .check = check_join}}},
       .usage = "parallel (LAYERS | LAYERS ...) [join=concatenate]",
       .meaning = "each branch sees x; their results are joined along the last axis, or join=add",
       .forward = "Every branch computes from {in} on its own; {out} joins what they give.",
       .backward =
           "Each branch gets its part of the gradient; at {in} the gradients of the branches "
           "are added up.",
       .suits = Suits::kInside,
       .at_steps = AtSteps::kOwn,
       .build = build_parallel},
      {.rule = {"repeat",
                {{.name = "count",
                  .kind = OptionKind::kInteger,
                  .minimum = 1,
                  .maximum = 1000,
                  .positional = true},
                 {.name = "layers", .kind = OptionKind::kGroup, .positional = true}}},
       .usage = "repeat COUNT (LAYERS)",
       .meaning = "the layers so many times in a row, each time with parameters of their own",
       .suits = Suits::kInside,
       .at_steps = AtSteps::kOwn,
       .build =
           [](LayerScope& s, Value x) {
             return s.rounds(s.layer.branches("layers")[0], s.layer.integer("count"), x);
           }},
  };
}

namespace layers {

Phrase residual(const std::vector<Phrase>& layers, const std::vector<Phrase>& shortcut) {
  return from_text(fmt::format("residual ({}){}", text_of(layers),
                               shortcut.empty() ? "" : " shortcut=(" + text_of(shortcut) + ")"));
}
Phrase parallel(const std::vector<std::vector<Phrase>>& branches, const std::string& join) {
  std::string text;
  for (const std::vector<Phrase>& branch : branches) {
    text += (text.empty() ? "" : " | ") + text_of(branch);
  }
  return from_text(fmt::format("parallel ({}) join={}", text, join));
}
Phrase repeat(std::int64_t count, const std::vector<Phrase>& layers) {
  return from_text(fmt::format("repeat {} ({})", count, text_of(layers)));
}
Phrase identity() { return from_text("identity"); }

}  // namespace layers
}  // namespace chainrule
