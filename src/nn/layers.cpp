// The layers, one block each. A block is all there is to a layer: add one here and the parser, the
// summary, the initial values, the errors and the reference know it.
#include <algorithm>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"
#include "ops/activations.h"

namespace chainrule {
namespace {

// "8x8x1" as {8, 8, 1}.
Shape extents_of(std::string_view word) {
  Shape extents;
  std::size_t at = 0;
  while (at <= word.size()) {
    const std::size_t end = std::min(word.find('x', at), word.size());
    double extent = 0;
    if (!parse_number(word.substr(at, end - at), extent) || extent < 1 || extent > 0x1p31 ||
        extent != static_cast<double>(static_cast<std::int64_t>(extent))) {
      throw UsageError(fmt::format("expected extents such as 8x8x1, got \"{}\"", word));
    }
    extents.push_back(static_cast<std::int64_t>(extent));
    at = end + 1;
  }
  return extents;
}

void check_extents(std::string_view word) { extents_of(word); }

// ── linear ───────────────────────────────────────────────────────────────────
// [B, …, inputs] → [B, …, units]; axes in between are folded into the batch for the product.
Value build_linear(LayerScope& scope, Value x) {
  const std::int64_t units = scope.layer.integer("units");
  const auto stated = scope.layer.word("in").empty() ? -1 : scope.layer.integer("in");
  Shape shape = x.shape();
  if (shape.size() < 2) bad_input("[B, …, inputs]", x);
  const std::int64_t inputs = shape.back();
  if (stated >= 0 && stated != inputs) {
    Shape expected = shape;
    expected.back() = stated;
    bad_input(batch_shape(expected), x);
  }
  Graph& graph = x.graph();
  const Value w =
      scope.weight(graph, "weight", {inputs, units}, inputs, units, scope.layer.word("init"));
  const bool folded = shape.size() > 2;
  Value y = matmul(folded ? reshape(x, {-1, inputs}) : x, w);
  if (scope.layer.flag("bias")) y = y + scope.parameter(graph, "bias", {units});
  shape.back() = units;
  return folded ? reshape(y, shape) : y;
}

const LayerKind kLinear{
    .rule = {"linear",
             {{.name = "units",
               .kind = OptionKind::kInteger,
               .minimum = 1,
               .maximum = 1e6,
               .positional = true},
              {.name = "bias", .kind = OptionKind::kFlag, .fallback = "true"},
              {.name = "in",
               .kind = OptionKind::kInteger,
               .minimum = 1,
               .maximum = 1e9,
               .optional = true},
              {.name = "init",
               .kind = OptionKind::kWord,
               .optional = true,
               .check = check_initializer}}},
    .usage = "linear UNITS [...]",
    .meaning = "y = x·W + b; also bias=false, in=INPUTS, init=NAME",
    .forward =
        "Each unit of {out} adds up the numbers of {in}, every one times a weight of its own, "
        "and adds its bias.",
    .backward =
        "A weight's gradient is the input it multiplied times the gradient of the unit it "
        "feeds, added up over the rows of the batch. Through the same weights, read the other "
        "way, the gradient goes on to {in}.",
    .at_steps = AtSteps::kFeatures,
    .build = build_linear,
};

// ── embedding ────────────────────────────────────────────────────────────────
const LayerKind kEmbedding{
    .rule = {"embedding",
             {{.name = "units",
               .kind = OptionKind::kInteger,
               .minimum = 1,
               .maximum = 1e6,
               .positional = true},
              {.name = "vocabulary", .kind = OptionKind::kInteger, .minimum = 1, .maximum = 1e9},
              {.name = "init",
               .kind = OptionKind::kWord,
               .optional = true,
               .check = check_initializer}}},
    .usage = "embedding UNITS vocabulary=N",
    .meaning = "whole numbers 0 … N−1 to rows of a table: [B, …] to [B, …, UNITS]",
    .input = DType::kI32,
    .build =
        [](LayerScope& s, Value x) {
          const std::int64_t units = s.layer.integer("units");
          const std::int64_t rows = s.layer.integer("vocabulary");
          return gather(s.weight(x.graph(), "weight", {rows, units}, rows, units,
                                 s.layer.word("init"), "normal:1"),
                        x);
        },
};

// ── activations with options ─────────────────────────────────────────────────
const LayerKind kLeakyRelu{
    .rule =
        {"leaky_relu",
         {{.name = "slope", .fallback = "0.01", .minimum = 0, .maximum = 1, .positional = true}}},
    .usage = "leaky_relu [SLOPE=0.01]",
    .meaning = "y = x where x > 0, else slope·x",
    .forward = "What is positive passes unchanged; what is negative is made small.",
    .backward =
        "Where {in} was positive the gradient passes unchanged; elsewhere it is made small by "
        "the same slope.",
    .suits = Suits::kHe,
    .build = [](LayerScope& s, Value x) { return leaky_relu(x, s.layer.real("slope")); },
};

const LayerKind kElu{
    .rule = {"elu", {{.name = "alpha", .fallback = "1", .minimum = 0, .positional = true}}},
    .usage = "elu [ALPHA=1]",
    .meaning = "y = x where x > 0, else alpha·(eˣ − 1)",
    .forward = "What is positive passes unchanged; what is negative bends smoothly towards −alpha.",
    .backward =
        "Where {in} was positive the gradient passes unchanged; elsewhere it is multiplied by "
        "the slope of the bend.",
    .suits = Suits::kHe,
    .build = [](LayerScope& s, Value x) { return elu(x, s.layer.real("alpha")); },
};

const LayerKind kSoftmax{
    .rule = {"softmax", {}},
    .usage = "softmax",
    .meaning = "y = eˣ/Σeˣ over the last axis",
    .forward = "The numbers of a row become probabilities: all positive, and together 1.",
    .backward =
        "What one probability gains the others lose, so the gradient of one number depends on "
        "the whole row.",
    .at_steps = AtSteps::kFeatures,
    .build = [](LayerScope&, Value x) { return softmax(x); },
};

// ── activations without options ──────────────────────────────────────────────
LayerKind kind_of(const Activation& activation) {
  LayerKind kind;
  kind.rule.name = activation.name;
  kind.usage = activation.name;
  kind.meaning = activation.meaning;
  kind.forward = activation.forward;
  kind.backward = activation.backward;
  kind.suits = activation.gain > 0 ? Suits::kHe : Suits::kXavier;
  kind.gain = activation.gain;
  kind.build = [function = activation.function](LayerScope&, Value x) { return function(x); };
  return kind;
}

// ── dropout ──────────────────────────────────────────────────────────────────
const LayerKind kDropout{
    .rule = {"dropout", {{.name = "rate", .minimum = 0, .maximum = 0.999, .positional = true}}},
    .usage = "dropout RATE",
    .meaning = "in training, sets that share of the elements to 0",
    .forward =
        "Some numbers, drawn by lot, become 0; the others grow a little to make up for them.",
    .backward =
        "The gradient takes the same ways: it passes where the number was kept, scaled alike.",
    .suits = Suits::kSkip,
    .build = [](LayerScope& s, Value x) { return s.drop(x, s.layer.real("rate")); },
};

// ── shape ────────────────────────────────────────────────────────────────────
// Rows are laid out step after step, so axis 1 is what it was exactly when it is as long as it was.
Value reshaped(LayerScope& scope, Value x, Shape shape) {
  const Value y = reshape(x, std::move(shape));
  const bool same = x.shape().size() > 1 && y.shape().size() > 1 && x.extent(1) == y.extent(1);
  if (!same && scope.lengths_of(x)) refuse_joined_steps();
  scope.keep_steps(x, y);
  return y;
}

const LayerKind kFlatten{
    .rule = {"flatten", {}},
    .usage = "flatten",
    .meaning = "[B, …] becomes [B, the product of the rest]",
    .forward = "The same numbers, in one row for each example.",
    .backward = "The same gradients, put back into the old shape.",
    .suits = Suits::kSkip,
    .at_steps = AtSteps::kOwn,
    .build =
        [](LayerScope& s, Value x) {
          return reshaped(s, x, {x.extent(0), -1});
        },
};

const LayerKind kReshape{
    .rule = {"reshape",
             {{.name = "extents",
               .kind = OptionKind::kWord,
               .positional = true,
               .check = check_extents}}},
    .usage = "reshape EXTENTS",
    .meaning = "the same elements as [B, extents…], written 8x8x1",
    .forward = "The same numbers in another shape.",
    .backward = "The same gradients, put back into the old shape.",
    .suits = Suits::kSkip,
    .at_steps = AtSteps::kOwn,
    .build =
        [](LayerScope& s, Value x) {
          Shape shape = extents_of(s.layer.word("extents"));
          const std::int64_t numbers = element_count(shape);
          shape.insert(shape.begin(), x.extent(0));
          if (element_count(shape) != element_count(x.shape())) {
            bad_input("of " + std::to_string(numbers) + " numbers an example", x);
          }
          return reshaped(s, x, std::move(shape));
        },
};

}  // namespace

void check_initializer(std::string_view word) { Initializer::parse(word); }

const std::vector<LayerKind>& layer_kinds() {
  static const std::vector<LayerKind> kinds = [] {
    std::vector<LayerKind> all{kDropout, kElu,     kEmbedding, kFlatten,
                               kLinear,  kReshape, kSoftmax,   kLeakyRelu};
    for (const Activation& activation : activations()) all.push_back(kind_of(activation));
    for (const auto& more : {recurrent_layer_kinds(), image_layer_kinds(), norm_layer_kinds(),
                             block_layer_kinds(), attention_layer_kinds()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    std::sort(all.begin(), all.end(),
              [](const LayerKind& a, const LayerKind& b) { return a.rule.name < b.rule.name; });
    return all;
  }();
  return kinds;
}

// ── the same from C++ ────────────────────────────────────────────────────────

namespace layers {

Phrase linear(std::int64_t units, bool bias, std::optional<Initializer> init) {
  return from_text(fmt::format("linear {}{}{}", units, bias ? "" : " bias=false",
                               init ? " init=" + init->to_text() : ""));
}
Phrase embedding(std::int64_t units, std::int64_t vocabulary) {
  return from_text(fmt::format("embedding {} vocabulary={}", units, vocabulary));
}
Phrase relu() { return from_text("relu"); }
Phrase leaky_relu(double slope) { return from_text(fmt::format("leaky_relu {}", slope)); }
Phrase elu(double alpha) { return from_text(fmt::format("elu {}", alpha)); }
Phrase sigmoid() { return from_text("sigmoid"); }
Phrase tanh() { return from_text("tanh"); }
Phrase softplus() { return from_text("softplus"); }
Phrase gelu() { return from_text("gelu"); }
Phrase gelu_tanh() { return from_text("gelu_tanh"); }
Phrase silu() { return from_text("silu"); }
Phrase softmax() { return from_text("softmax"); }
Phrase activation(const std::string& name) {
  return from_text(std::string(find_activation(name).name));
}
Phrase dropout(double rate) { return from_text(fmt::format("dropout {}", rate)); }
Phrase flatten() { return from_text("flatten"); }
Phrase reshape(const Shape& extents) {
  return from_text(fmt::format("reshape {}", joined(extents, "x")));
}

namespace {

std::string pixels_text(const Pixels& p) {
  return p.down == p.across ? std::to_string(p.down) : fmt::format("{}x{}", p.down, p.across);
}

std::string options_text(const ConvolutionLayer& o) {
  const std::string padding = o.padding.down == kSame    ? "same"
                              : o.padding.down == kValid ? "valid"
                                                         : pixels_text(o.padding);
  return fmt::format("kernel={} stride={} padding={} dilation={} groups={} bias={}",
                     pixels_text(o.kernel), pixels_text(o.stride), padding, pixels_text(o.dilation),
                     o.groups, o.bias);
}

}  // namespace

Phrase conv2d(std::int64_t units, const ConvolutionLayer& options) {
  return from_text(fmt::format("conv2d {} {}", units, options_text(options)));
}
Phrase conv1d(std::int64_t units, const ConvolutionLayer& options) {
  return from_text(fmt::format("conv1d {} {}", units, options_text(options)));
}
Phrase conv2d_transpose(std::int64_t units, std::int64_t kernel, std::int64_t stride) {
  return from_text(fmt::format("conv2d_transpose {} {} stride={}", units, kernel, stride));
}
Phrase max_pool(std::int64_t kernel) { return from_text(fmt::format("max_pool {}", kernel)); }
Phrase average_pool(std::int64_t kernel) {
  return from_text(fmt::format("average_pool {}", kernel));
}
Phrase global_max_pool() { return from_text("global_max_pool"); }
Phrase global_average_pool() { return from_text("global_average_pool"); }
Phrase batch_norm(double momentum) {
  return from_text(fmt::format("batch_norm momentum={}", momentum));
}
Phrase layer_norm() { return from_text("layer_norm"); }
Phrase rms_norm() { return from_text("rms_norm"); }
Phrase group_norm(std::int64_t groups) { return from_text(fmt::format("group_norm {}", groups)); }

}  // namespace layers
}  // namespace chainrule
