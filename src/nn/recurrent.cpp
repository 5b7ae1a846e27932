// The recurrent layers: several cells one above the other, in one or two directions, on top of the
// ops that walk along a sequence.
#include "chainrule/recurrent.h"
#include "base/format.h"

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"

namespace chainrule {
namespace {

void check_activation(std::string_view word) {
  if (word != "tanh" && word != "relu") {
    throw UsageError(fmt::format("expected tanh or relu, got \"{}\"", word));
  }
}

// What a layer does with one direction of one of its levels.
struct Cell {
  std::vector<double> gates;  // initial values of the bias's parts, one for each gate
  bool recurrent_bias = false;
  bool has_cell = false;  // a second state
};

Cell cell_of(const Phrase& layer) {
  if (layer.name == "lstm") return {{0, layer.real("forget_bias"), 0, 0}, false, true};
  if (layer.name == "gru") return {{0, 0, 0}, true, false};
  return {{0}, false, false};
}

// "weight" of level 0 and "level2.backward.weight": a layer of one level keeps the short names.
std::string prefix(std::int64_t level, bool backward) {
  return (level == 0 ? "" : fmt::format("level{}.", level + 1)) + (backward ? "backward." : "");
}

// A state that is zero at the start of each batch or, of a stateful layer, goes on from the last.
class State {
 public:
  State(LayerScope& scope, Graph& graph, const std::string& name, const Shape& shape) {
    const bool carried =
        scope.layer.flag("stateful") && (scope.options.mode == Mode::kTrain || scope.options.carry);
    first = carried ? scope.state(graph, name, shape) : constant(graph, 0.0, shape);
    carried_ = carried;
  }
  void finish(Value last) const {
    if (carried_) last.graph().update(first, last);
  }
  Value first;  // [B, H]

 private:
  bool carried_ = false;
};

Recurrence run_cell(LayerScope& scope, const Cell& cell, Value x, Value lengths,
                    const std::string& before, bool backward) {
  Graph& graph = x.graph();
  const std::int64_t units = scope.layer.integer("units");
  const std::int64_t inputs = x.extent(2);
  const std::int64_t columns = units * static_cast<std::int64_t>(cell.gates.size());
  const Value wx = scope.weight(graph, before + "weight", {inputs, columns}, inputs, units,
                                scope.layer.word("init"), "xavier_uniform");
  const Value wh = scope.weight(graph, before + "recurrent", {units, columns}, units, units,
                                scope.layer.word("recurrent_init"), "orthogonal");
  const Value b = scope.bias(graph, before + "bias", units, cell.gates);
  const RecurrentOptions options{.lengths = lengths, .reverse = backward};
  const State h(scope, graph, before + "h", {x.extent(0), units});
  Recurrence result;
  if (cell.has_cell) {
    const State c(scope, graph, before + "c", {x.extent(0), units});
    result = lstm(x, h.first, c.first, wx, wh, b, options);
    c.finish(result.c);
  } else if (cell.recurrent_bias) {
    const Value bh = scope.bias(graph, before + "recurrent_bias", units, cell.gates);
    result = gru(x, h.first, wx, wh, b, bh, options);
  } else {
    const bool is_relu = scope.layer.word("activation") == "relu";
    result =
        rnn(x, h.first, wx, wh, b, is_relu ? RnnActivation::kRelu : RnnActivation::kTanh, options);
  }
  h.finish(result.h);
  return result;
}

// [B, T, inputs] → [B, T, units] or [B, units], twice the units when bidirectional.
Value build_recurrent(LayerScope& scope, Value x) {
  if (x.dtype() != DType::kF32 || x.shape().size() != 3) bad_input("[B, T, inputs]", x);
  const Cell cell = cell_of(scope.layer);
  const bool both = scope.layer.flag("bidirectional");
  if (both && scope.layer.flag("stateful")) {
    throw UsageError(scope.layer.name +
                     ": a backward direction begins at the end of its sequence, "
                     "so stateful and bidirectional exclude each other");
  }
  const std::int64_t levels = scope.layer.integer("layers");
  const Value input = x;
  const Value lengths = scope.lengths_of(input);
  Value last;
  for (std::int64_t level = 0; level < levels; ++level) {
    if (level > 0) x = scope.drop(x, scope.layer.real("dropout"), level);
    const Recurrence forward = run_cell(scope, cell, x, lengths, prefix(level, false), false);
    if (both) {
      const Recurrence backward = run_cell(scope, cell, x, lengths, prefix(level, true), true);
      x = concatenate({forward.y, backward.y}, 2);
      last = concatenate({forward.h, backward.h}, 1);
    } else {
      x = forward.y;
      last = forward.h;
    }
  }
  if (!scope.layer.flag("sequence")) return last;
  scope.keep_steps(input, x);
  return x;
}

LayerKind kind(std::string_view name, std::string_view usage, std::string_view meaning,
               std::vector<OptionRule> own) {
  LayerKind made{.rule = {name,
                          {{.name = "units",
                            .kind = OptionKind::kInteger,
                            .minimum = 1,
                            .maximum = 1e6,
                            .positional = true}}},
                 .usage = usage,
                 .meaning = meaning,
                 .at_steps = AtSteps::kOwn,
                 .build = build_recurrent};
  std::vector<OptionRule>& options = made.rule.options;
  options.insert(options.end(), own.begin(), own.end());
  const std::vector<OptionRule> common{
      {.name = "layers",
       .kind = OptionKind::kInteger,
       .fallback = "1",
       .minimum = 1,
       .maximum = 100},
      {.name = "bidirectional", .kind = OptionKind::kFlag, .fallback = "false"},
      {.name = "sequence", .kind = OptionKind::kFlag, .fallback = "false"},
      {.name = "dropout", .fallback = "0", .minimum = 0, .maximum = 0.999},
      {.name = "stateful", .kind = OptionKind::kFlag, .fallback = "false"},
      {.name = "init", .kind = OptionKind::kWord, .optional = true, .check = check_initializer},
      {.name = "recurrent_init",
       .kind = OptionKind::kWord,
       .optional = true,
       .check = check_initializer}};
  options.insert(options.end(), common.begin(), common.end());
  return made;
}

std::string common_text(const layers::RecurrentLayer& options) {
  std::string text;
  if (options.layers != 1) text += fmt::format(" layers={}", options.layers);
  if (options.bidirectional) text += " bidirectional";
  if (options.sequence) text += " sequence";
  if (options.dropout != 0) text += fmt::format(" dropout={}", options.dropout);
  if (options.stateful) text += " stateful";
  return text;
}

}  // namespace

std::vector<LayerKind> recurrent_layer_kinds() {
  return {
      kind("gru", "gru UNITS [...]", "gated recurrent units; options as for rnn", {}),
      kind("lstm", "lstm UNITS [...]",
           "long short-term memory; options as for rnn, and forget_bias=1",
           {{.name = "forget_bias", .fallback = "1"}}),
      kind("rnn", "rnn UNITS [...]",
           "[B, T, …] to the last state [B, UNITS]; also sequence (all states), layers=1, "
           "bidirectional, dropout=0, stateful, activation=tanh",
           {{.name = "activation",
             .kind = OptionKind::kWord,
             .fallback = "tanh",
             .check = check_activation}}),
  };
}

namespace layers {

Phrase rnn(std::int64_t units, const RecurrentLayer& options, const std::string& activation) {
  return from_text(fmt::format("rnn {}{}{}", units,
                               activation == "tanh" ? "" : " activation=" + activation,
                               common_text(options)));
}
Phrase lstm(std::int64_t units, const RecurrentLayer& options) {
  return from_text(fmt::format("lstm {}{}", units, common_text(options)));
}
Phrase gru(std::int64_t units, const RecurrentLayer& options) {
  return from_text(fmt::format("gru {}{}", units, common_text(options)));
}

}  // namespace layers
}  // namespace chainrule
