// Attention with its projections, and encodings of position: layers on sequences [B, T, C].
#include "chainrule/attention.h"

#include <cmath>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"
#include "ops/activations.h"

namespace chainrule {
namespace {

void need_sequence(const Value& x) {
  if (x.dtype() == DType::kF32 && x.shape().size() == 3) return;
  bad_input("[B, T, C]", x);
}

// ── attention ────────────────────────────────────────────────────────────────
// x·W + b over the last axis.  [B, T, inputs] → [B, T, units]
Value project(LayerScope& scope, Value x, const std::string& name, std::int64_t units,
              const std::string& init) {
  Graph& graph = x.graph();
  const std::int64_t inputs = x.extent(2);
  const Value w =
      scope.weight(graph, name + ".weight", {inputs, units}, inputs, units, init, "xavier_uniform");
  Value y = matmul(reshape(x, {-1, inputs}), w);
  if (scope.layer.flag("bias")) y = y + scope.parameter(graph, name + ".bias", {units});
  return reshape(y, {x.extent(0), x.extent(1), units});
}

// 1 where a row may be read, 0 behind the end of its sequence.  lengths: i32[B] → [B, 1, steps]
Value length_mask(Value lengths, std::int64_t steps) {
  const Shape shape{lengths.extent(0), 1, steps};
  const Value place = reshape(arange(lengths.graph(), steps), {1, 1, steps});
  const Value last = reshape(to_float(lengths), {lengths.extent(0), 1, 1}) - 1;
  return less_equal(broadcast_to(place, shape), broadcast_to(last, shape));
}

// [B, T, C] → [B, heads, T, C/heads] and back
Value split_heads(Value x, std::int64_t heads) {
  return transpose(reshape(x, {x.extent(0), x.extent(1), heads, x.extent(2) / heads}),
                   {0, 2, 1, 3});
}
Value join_heads(Value x) {
  return reshape(transpose(x, {0, 2, 1, 3}), {x.extent(0), x.extent(2), -1});
}

Value rotated(Value x, std::int64_t heads) { return join_heads(rotary(split_heads(x, heads))); }

// The same as attention() with dropped weights, which need to be there: [B, heads, T, S].
Value dropping_attention(const LayerScope& scope, Value q, Value k, Value v,
                         const AttentionOptions& options) {
  constexpr double kMasked = -1e30;
  const std::int64_t features = q.extent(2) / options.heads;
  const double scale = 1 / std::sqrt(static_cast<double>(features));
  Value scores =
      matmul(split_heads(scale * q, options.heads), transpose(split_heads(k, options.heads)));
  const Shape& shape = scores.shape();
  const Value never = constant(q.graph(), kMasked, shape);
  const auto keep = [&](Value mask) { scores = where(broadcast_to(mask, shape), scores, never); };
  if (options.causal) {
    const Value t = reshape(arange(q.graph(), shape[2]), {1, 1, shape[2], 1});
    const Value s = reshape(arange(q.graph(), shape[3]), {1, 1, 1, shape[3]});
    keep(less_equal(broadcast_to(s, shape), broadcast_to(t, shape)));
  }
  const Value mask = options.mask ? reshape(options.mask, {shape[0], 1, 1, shape[3]}) : Value();
  if (mask) keep(mask);
  Value weights = softmax(scores);
  // A row that may read nothing has weights 0, not equal ones.
  if (mask) weights = weights * broadcast_to(mask, shape);
  weights = scope.drop(weights, scope.layer.real("dropout"));
  return join_heads(matmul(weights, split_heads(v, options.heads)));
}

// What is read, and how long each of its rows is.
struct Source {
  Value rows;     // [B, S, C]
  Value lengths;  // i32[B], or none
};

Source source_of(const LayerScope& scope, Value x) {
  if (!scope.layer.flag("memory")) return {x, scope.lengths_of(x)};
  if (scope.options.memory) {
    const Value& memory = scope.options.memory;
    if (memory.shape().size() == 3 && memory.extent(0) == x.extent(0)) {
      return {memory, scope.options.memory_lengths};
    }
    throw ShapeError(fmt::format("expected a memory [{}, S, C], got {}", x.extent(0),
                                 to_string(memory.shape())));
  }
  if (scope.trial) return {constant(x.graph(), 0.0, {x.extent(0), 1, x.extent(2)}), {}};
  throw UsageError(fmt::format("layer {} ({}): reads a memory, but BuildOptions::memory is empty",
                               scope.number, scope.layer.text));
}

Value build_attention(LayerScope& scope, Value x) {
  need_sequence(x);
  const std::int64_t units = x.extent(2);
  const std::int64_t heads = scope.layer.integer("heads");
  if (units % heads != 0) {
    throw ShapeError(fmt::format("{} heads do not divide the {} features that come", heads, units));
  }
  const bool rotary = scope.layer.flag("rotary");
  if (rotary && units / heads % 2 != 0) {
    throw ShapeError(
        fmt::format("rotary turns pairs of features, but {} heads of {} features have {} each",
                    heads, units, units / heads));
  }
  const Source source = source_of(scope, x);
  const std::string init = scope.layer.word("init");
  Value q = project(scope, x, "query", units, init);
  Value k = project(scope, source.rows, "key", units, init);
  const Value v = project(scope, source.rows, "value", units, init);
  if (rotary) {
    q = rotated(q, heads);
    k = rotated(k, heads);
  }
  AttentionOptions options{.heads = heads, .causal = scope.layer.flag("causal"), .mask = {}};
  if (source.lengths) options.mask = length_mask(source.lengths, k.extent(1));
  const bool drops = scope.options.mode == Mode::kTrain && scope.layer.real("dropout") > 0;
  const Value y = drops ? dropping_attention(scope, q, k, v, options) : attention(q, k, v, options);
  const std::string& last = scope.layer.word("output_init");
  return project(scope, y, "output", units, last.empty() ? init : last);
}

LayerKind attention_kind() {
  return {
      .rule = {"attention",
               {{.name = "heads",
                 .kind = OptionKind::kInteger,
                 .fallback = "1",
                 .minimum = 1,
                 .maximum = 1e4},
                {.name = "causal", .kind = OptionKind::kFlag, .fallback = "false"},
                {.name = "rotary", .kind = OptionKind::kFlag, .fallback = "false"},
                {.name = "memory", .kind = OptionKind::kFlag, .fallback = "false"},
                {.name = "dropout", .fallback = "0", .minimum = 0, .maximum = 0.999},
                {.name = "bias", .kind = OptionKind::kFlag, .fallback = "true"},
                {.name = "init",
                 .kind = OptionKind::kWord,
                 .optional = true,
                 .check = check_initializer},
                {.name = "output_init",
                 .kind = OptionKind::kWord,
                 .optional = true,
                 .check = check_initializer}}},
      .usage = "attention [heads=1] [...]",
      .meaning =
          "each step of [B, T, C] reads the others; also causal, rotary, memory, dropout=0, "
          "bias=false, init=NAME, output_init=NAME (Vaswani et al., 2017); rotary turns feature i "
          "of a head's first half with feature i of its second",
      .forward =
          "Every step asks with a query how well it matches the keys of the others, and reads "
          "their values by so much.",
      .backward =
          "A value's gradient comes from every step that read it. Queries and keys learn to match "
          "where reading more would have lowered the loss.",
      .build = build_attention,
  };
}

// ── positions ────────────────────────────────────────────────────────────────
void check_positions(std::string_view word) {
  if (word != "learned" && word != "sinusoidal") {
    throw UsageError(fmt::format("expected learned or sinusoidal, got \"{}\"", word));
  }
}

Value build_positions(LayerScope& scope, Value x) {
  need_sequence(x);
  const std::int64_t steps = x.extent(1);
  const std::int64_t features = x.extent(2);
  if (scope.layer.word("kind") == "sinusoidal") {
    return x + sinusoidal_positions(x.graph(), steps, features);
  }
  if (scope.layer.word("length").empty()) {
    throw UsageError(fmt::format(
        "layer {} ({}): needs the largest number of steps, as in \"positions learned length={}\"",
        scope.number, scope.layer.text, steps));
  }
  const std::int64_t length = scope.layer.integer("length");
  if (steps > length) {
    throw ShapeError(fmt::format("knows {} positions, but a sequence has {} steps", length, steps));
  }
  const Value table = scope.weight(x.graph(), "weight", {length, features}, length, features,
                                   scope.layer.word("init"), "normal:0.02");
  return x + (steps < length ? slice(table, {0, 0}, {steps, features}) : table);
}

LayerKind positions_kind() {
  return {
      .rule = {"positions",
               {{.name = "kind",
                 .kind = OptionKind::kWord,
                 .positional = true,
                 .check = check_positions},
                {.name = "length",
                 .kind = OptionKind::kInteger,
                 .minimum = 1,
                 .maximum = 1e7,
                 .optional = true},
                {.name = "init",
                 .kind = OptionKind::kWord,
                 .optional = true,
                 .check = check_initializer}}},
      .usage = "positions learned length=N | positions sinusoidal",
      .meaning =
          "adds to each step of [B, T, C] a row that says where it is; sinusoidal: sines in its "
          "first half, cosines in its second",
      .forward = "To every step a row is added that belongs to its place in the sequence.",
      .backward =
          "The gradient passes on unchanged; a learned row also takes the gradients of its place "
          "in all sequences.",
      .build = build_positions,
  };
}

// ── transformer blocks ───────────────────────────────────────────────────────
void check_norm(std::string_view word) {
  if (word != "pre" && word != "post") {
    throw UsageError(fmt::format("norm must be pre or post, got \"{}\"", word));
  }
}

void check_activation(std::string_view word) { find_activation(word); }

// One block in the words of the model text, which is all that it is.
class BlockText {
 public:
  BlockText(const LayerScope& scope, std::int64_t features, bool decoder)
      : layer_(scope.layer), features_(features), decoder_(decoder) {
    const std::string& own = layer_.word("init");
    if (!own.empty()) {
      init_ = last_ = own;
    } else if (!scope.options.init) {
      // GPT-2's: what is added to the sum becomes smaller, the more there is of it.
      const double parts = static_cast<double>(layer_.integer("layers") * (decoder ? 3 : 2));
      init_ = "normal:0.02";
      last_ = fmt::format("normal:{:.3g}", 0.02 / std::sqrt(parts));
    }
  }

  std::string text() const {
    const bool causal = decoder_ || layer_.flag("causal");
    std::string block = added(attention(causal ? " causal" : "", layer_.flag("rotary")));
    if (decoder_) block += ", " + added(attention(" memory", false));
    return block + ", " + added(perceptron());
  }

 private:
  std::string bias() const { return layer_.flag("bias") ? "" : " bias=false"; }
  std::string dropout() const {
    return layer_.real("dropout") > 0 ? ", dropout " + layer_.word("dropout") : "";
  }
  static std::string stated(const char* key, const std::string& init) {
    return init.empty() ? "" : fmt::format(" {}={}", key, init);
  }

  std::string attention(const char* kind, bool rotary) const {
    const std::string& rate = layer_.word("dropout");
    return fmt::format("attention heads={}{}{}{}{}{}{}{}", layer_.integer("heads"), kind,
                       rotary ? " rotary" : "",
                       layer_.real("dropout") > 0 ? " dropout=" + rate : "", bias(),
                       stated("init", init_), stated("output_init", last_), dropout());
  }
  std::string perceptron() const {
    const std::string& hidden = layer_.word("hidden");
    return fmt::format("linear {}{}{}, {}, linear {}{}{}{}",
                       hidden.empty() ? std::to_string(4 * features_) : hidden, bias(),
                       stated("init", init_), layer_.word("activation"), features_, bias(),
                       stated("init", last_), dropout());
  }
  std::string added(const std::string& layers) const {
    return layer_.word("norm") == "pre" ? fmt::format("residual (layer_norm, {})", layers)
                                        : fmt::format("residual ({}), layer_norm", layers);
  }

  const Phrase& layer_;
  std::int64_t features_;
  bool decoder_;
  std::string init_;
  std::string last_;  // of what is added
};

template <bool decoder>
Value build_transformer(LayerScope& scope, Value x) {
  need_sequence(x);
  const std::string text = BlockText(scope, x.extent(2), decoder).text();
  return scope.rounds(Sequential::parse(text).layers(), scope.layer.integer("layers"), x);
}

std::vector<OptionRule> transformer_options(bool decoder) {
  std::vector<OptionRule> options{
      {.name = "heads", .kind = OptionKind::kInteger, .minimum = 1, .maximum = 1e4},
      {.name = "layers",
       .kind = OptionKind::kInteger,
       .fallback = "1",
       .minimum = 1,
       .maximum = 1000}};
  if (!decoder) {
    options.push_back({.name = "causal", .kind = OptionKind::kFlag, .fallback = "false"});
  }
  const std::vector<OptionRule> more{
      {.name = "rotary", .kind = OptionKind::kFlag, .fallback = "false"},
      {.name = "hidden",
       .kind = OptionKind::kInteger,
       .minimum = 1,
       .maximum = 1e6,
       .optional = true},
      {.name = "activation",
       .kind = OptionKind::kWord,
       .fallback = "gelu",
       .check = check_activation},
      {.name = "norm", .kind = OptionKind::kWord, .fallback = "pre", .check = check_norm},
      {.name = "dropout", .fallback = "0", .minimum = 0, .maximum = 0.999},
      {.name = "bias", .kind = OptionKind::kFlag, .fallback = "true"},
      {.name = "init", .kind = OptionKind::kWord, .optional = true, .check = check_initializer}};
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

std::string common_text(std::int64_t heads, const layers::TransformerLayer& o) {
  return fmt::format("heads={} layers={}{}{} activation={} norm={} dropout={} bias={}", heads,
                     o.layers, o.rotary ? " rotary" : "",
                     o.hidden > 0 ? fmt::format(" hidden={}", o.hidden) : "", o.activation, o.norm,
                     o.dropout, o.bias);
}

}  // namespace

std::vector<LayerKind> attention_layer_kinds() {
  return {
      attention_kind(),
      positions_kind(),
      {.rule = {"transformer", transformer_options(false), "transformer_encoder"},
       .usage = "transformer heads=N [layers=1] [...]",
       .meaning =
           "blocks of attention and two linear layers, each added to its input; also causal, "
           "rotary, hidden=4C, activation=gelu, norm=pre|post, dropout=0, bias=false, init=NAME",
       .forward =
           "In every block each step first reads the others, then two linear layers work on it "
           "alone; both add to what was there.",
       .backward =
           "The sums pass the gradient straight through all blocks; attention carries it from step "
           "to step on the way.",
       .at_steps = AtSteps::kOwn,
       .build = build_transformer<false>},
      {.rule = {"transformer_decoder", transformer_options(true)},
       .usage = "transformer_decoder heads=N [layers=1] [...]",
       .meaning =
           "the same, causal, and between the two reading a memory that C++ gives; options as "
           "transformer's",
       .at_steps = AtSteps::kOwn,
       .build = build_transformer<true>},
  };
}

namespace layers {

Phrase attention(std::int64_t heads, const AttentionLayer& o) {
  return from_text(fmt::format("attention heads={}{}{}{} dropout={} bias={}", heads,
                               o.causal ? " causal" : "", o.rotary ? " rotary" : "",
                               o.memory ? " memory" : "", o.dropout, o.bias));
}
Phrase positions(std::int64_t length) {
  return from_text(fmt::format("positions learned length={}", length));
}
Phrase sinusoidal_positions() { return from_text("positions sinusoidal"); }
Phrase transformer(std::int64_t heads, const TransformerLayer& options) {
  return from_text(fmt::format("transformer {}{}", common_text(heads, options),
                               options.causal ? " causal" : ""));
}
Phrase transformer_decoder(std::int64_t heads, const TransformerLayer& options) {
  return from_text("transformer_decoder " + common_text(heads, options));
}

}  // namespace layers
}  // namespace chainrule
