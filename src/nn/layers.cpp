// The layers, one block each. A block is all there is to a layer: add one here and the parser, the
// summary, the initial values, the errors and the reference know it.
#include <fmt/format.h>

#include <algorithm>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"

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
    .meaning = "whole numbers 0 … N−1 become rows of a table: [B, …] to [B, …, UNITS]",
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

// ── activations ──────────────────────────────────────────────────────────────
const LayerKind kRelu{
    .rule = {"relu", {}},
    .usage = "relu",
    .meaning = "y = max(x, 0)",
    .suits = Suits::kHe,
    .build = [](LayerScope&, Value x) { return relu(x); },
};

const LayerKind kLeakyRelu{
    .rule =
        {"leaky_relu",
         {{.name = "slope", .fallback = "0.01", .minimum = 0, .maximum = 1, .positional = true}}},
    .usage = "leaky_relu [SLOPE=0.01]",
    .meaning = "y = x where x > 0, else slope·x",
    .suits = Suits::kHe,
    .build = [](LayerScope& s, Value x) { return leaky_relu(x, s.layer.real("slope")); },
};

const LayerKind kElu{
    .rule = {"elu", {{.name = "alpha", .fallback = "1", .minimum = 0, .positional = true}}},
    .usage = "elu [ALPHA=1]",
    .meaning = "y = x where x > 0, else alpha·(eˣ − 1)",
    .suits = Suits::kHe,
    .build = [](LayerScope& s, Value x) { return elu(x, s.layer.real("alpha")); },
};

const LayerKind kSigmoid{
    .rule = {"sigmoid", {}},
    .usage = "sigmoid",
    .meaning = "y = 1/(1 + e⁻ˣ)",
    .build = [](LayerScope&, Value x) { return sigmoid(x); },
};

const LayerKind kTanh{
    .rule = {"tanh", {}},
    .usage = "tanh",
    .meaning = "y = tanh x",
    .build = [](LayerScope&, Value x) { return tanh(x); },
};

const LayerKind kSoftplus{
    .rule = {"softplus", {}},
    .usage = "softplus",
    .meaning = "y = ln(1 + eˣ)",
    .suits = Suits::kHe,
    .build = [](LayerScope&, Value x) { return softplus(x); },
};

const LayerKind kGelu{
    .rule = {"gelu", {}},
    .usage = "gelu",
    .meaning = "y = x·Φ(x), Φ the normal distribution function",
    .suits = Suits::kHe,
    .build = [](LayerScope&, Value x) { return gelu(x); },
};

const LayerKind kGeluTanh{
    .rule = {"gelu_tanh", {}},
    .usage = "gelu_tanh",
    .meaning = "gelu by its usual approximation with tanh",
    .suits = Suits::kHe,
    .build = [](LayerScope&, Value x) { return gelu_tanh(x); },
};

const LayerKind kSilu{
    .rule = {"silu", {}},
    .usage = "silu",
    .meaning = "y = x·sigmoid(x)",
    .suits = Suits::kHe,
    .build = [](LayerScope&, Value x) { return silu(x); },
};

const LayerKind kSoftmax{
    .rule = {"softmax", {}},
    .usage = "softmax",
    .meaning = "y = eˣ/Σeˣ over the last axis",
    .build = [](LayerScope&, Value x) { return softmax(x); },
};

// ── dropout ──────────────────────────────────────────────────────────────────
const LayerKind kDropout{
    .rule = {"dropout", {{.name = "rate", .minimum = 0, .maximum = 0.999, .positional = true}}},
    .usage = "dropout RATE",
    .meaning = "in training, sets that share of the elements to 0",
    .suits = Suits::kSkip,
    .build = [](LayerScope& s, Value x) { return s.drop(x, s.layer.real("rate")); },
};

// ── shape ────────────────────────────────────────────────────────────────────
const LayerKind kFlatten{
    .rule = {"flatten", {}},
    .usage = "flatten",
    .meaning = "[B, …] becomes [B, the product of the rest]",
    .suits = Suits::kSkip,
    .build =
        [](LayerScope&, Value x) {
          return reshape(x, {x.extent(0), -1});
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
    .suits = Suits::kSkip,
    .build =
        [](LayerScope& s, Value x) {
          Shape shape = extents_of(s.layer.word("extents"));
          shape.insert(shape.begin(), x.extent(0));
          if (element_count(shape) != element_count(x.shape())) {
            bad_input(
                "of " + std::to_string(element_count(shape) / shape[0]) + " numbers an example", x);
          }
          return reshape(x, shape);
        },
};

}  // namespace

void check_initializer(std::string_view word) { Initializer::parse(word); }

const std::vector<LayerKind>& layer_kinds() {
  static const std::vector<LayerKind> kinds = [] {
    std::vector<LayerKind> all{kDropout,  kElu,       kEmbedding, kFlatten,  kGelu,
                               kGeluTanh, kLeakyRelu, kLinear,    kRelu,     kReshape,
                               kSigmoid,  kSilu,      kSoftmax,   kSoftplus, kTanh};
    for (const LayerKind& kind : recurrent_layer_kinds()) all.push_back(kind);
    std::sort(all.begin(), all.end(),
              [](const LayerKind& a, const LayerKind& b) { return a.rule.name < b.rule.name; });
    return all;
  }();
  return kinds;
}

// ── the same from C++ ────────────────────────────────────────────────────────

namespace {

Phrase layer(const std::string& text) { return Sequential::parse(text).layers().front(); }

}  // namespace

namespace layers {

Phrase linear(std::int64_t units, bool bias, std::optional<Initializer> init) {
  return layer(fmt::format("linear {}{}{}", units, bias ? "" : " bias=false",
                           init ? " init=" + init->to_text() : ""));
}
Phrase embedding(std::int64_t units, std::int64_t vocabulary) {
  return layer(fmt::format("embedding {} vocabulary={}", units, vocabulary));
}
Phrase relu() { return layer("relu"); }
Phrase leaky_relu(double slope) { return layer(fmt::format("leaky_relu {}", slope)); }
Phrase elu(double alpha) { return layer(fmt::format("elu {}", alpha)); }
Phrase sigmoid() { return layer("sigmoid"); }
Phrase tanh() { return layer("tanh"); }
Phrase softplus() { return layer("softplus"); }
Phrase gelu() { return layer("gelu"); }
Phrase gelu_tanh() { return layer("gelu_tanh"); }
Phrase silu() { return layer("silu"); }
Phrase softmax() { return layer("softmax"); }
Phrase dropout(double rate) { return layer(fmt::format("dropout {}", rate)); }
Phrase flatten() { return layer("flatten"); }
Phrase reshape(const Shape& extents) {
  return layer(fmt::format("reshape {}", fmt::join(extents, "x")));
}

}  // namespace layers
}  // namespace chainrule
