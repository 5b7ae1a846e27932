// A training step made to be read: the graph is built with a textbook's names, macro ops whose
// formula is an expression are written out, what several formulas share gets a name, and the
// float64 interpreter supplies the numbers.
#include "chainrule/trace.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/simplify.h"
#include "compiler/passes.h"
#include "explain/trace/unroll.h"
#include "graph/copy.h"
#include "graph/op.h"
#include "notation/notation.h"
#include "train/loss.h"

namespace chainrule {
namespace {

constexpr Type kScalar{DType::kF32, {}};

// ── names ────────────────────────────────────────────────────────────────────

// Gives each value the name that it has in a textbook, and remembers what it stands for.
class Namer {
 public:
  void layer(const Phrase& phrase, std::size_t number, Network& network) {
    bool has_weights = false;
    for (const ParameterInfo& info : network.parameters) {
      if (info.layer == number) has_weights = true;
    }
    if (has_weights) ++count_;
    TraceLayer layer{number, phrase.text, previous_, "", {}};
    for (const ParameterInfo& info : network.parameters) {
      if (info.layer != number) continue;
      layer.parameters.push_back(parameter(info, network));
    }
    const Value output = network.layer_outputs[number - 1];
    const bool recurrent = output.node().types.size() > 1;
    if (output.name().empty()) output.named(free_name(phrase, has_weights, recurrent));
    layer.output = output.name();
    previous_ = layer.output;
    layer_of[layer.output] = number;
    layers.push_back(std::move(layer));
  }

  std::map<std::string, std::string> real_name;  // of a parameter: W1 → 1.weight
  std::map<std::string, std::size_t> layer_of;
  std::map<std::string, std::string> cuts;  // X_2 → X[:, 2, :]
  std::vector<TraceLayer> layers;

 private:
  std::string parameter(const ParameterInfo& info, const Network& network) {
    std::string name = display_name(info.name.substr(info.name.find('.') + 1));
    Graph& graph = network.output.graph();
    graph.set_name(graph.find(info.name), name);
    taken_.insert(name);
    real_name[name] = info.name;
    layer_of[name] = info.layer;
    return name;
  }

  // "weight" → "W1", "level2.backward.weight" → "W1_level2_backward".
  std::string display_name(const std::string& base) const {
    static const std::map<std::string, std::string> kLetters{
        {"weight", "W"}, {"bias", "b"}, {"recurrent", "U"}, {"recurrent_bias", "bU"}};
    const std::size_t dot = base.rfind('.');
    const std::string last = dot == std::string::npos ? base : base.substr(dot + 1);
    const auto letter = kLetters.find(last);
    std::string where = dot == std::string::npos ? "" : "_" + base.substr(0, dot);
    std::replace(where.begin(), where.end(), '.', '_');
    return fmt::format("{}{}{}", letter != kLetters.end() ? letter->second : last, count_, where);
  }

  // Z1 for what weights give, H1 for a recurrent state, A1 for the activation after it, then the
  // layer's initial, as in D1.
  std::string free_name(const Phrase& phrase, bool has_weights, bool recurrent) {
    const char initial =
        static_cast<char>(std::toupper(static_cast<unsigned char>(phrase.name[0])));
    std::string name = fmt::format("{}{}", recurrent ? 'H' : has_weights ? 'Z' : 'A', count_);
    if (taken_.contains(name)) name = fmt::format("{}{}", initial, count_);
    while (taken_.contains(name)) name += "b";
    taken_.insert(name);
    return name;
  }

  std::size_t count_ = 0;  // of layers with weights so far
  std::string previous_ = "X";
  std::set<std::string> taken_{"X", "Y", "P"};
};

// "adam.m/W1" → "mW1".
std::string state_name(const std::string& parameter) {
  const std::size_t slash = parameter.find('/');
  const std::size_t dot = parameter.find('.');
  return parameter.substr(dot + 1, slash - dot - 1) + parameter.substr(slash + 1);
}

// ── the step as a graph ──────────────────────────────────────────────────────

struct Step {
  std::unique_ptr<Graph> graph;
  Namer names;
  std::string output;
  std::map<std::string, std::string> gradients;  // Z1 → the name of the value that is its gradient
  std::vector<std::string> trained;
  std::vector<TraceSequence> sequences;
};

Value output_of(const Graph& graph, const std::string& name) {
  for (const auto& [known, value] : graph.outputs()) {
    if (known == name) return value;
  }
  return {};
}

Binding binding_of(const Node& node) {
  const Binding stated = node.op->binding;
  return stated != Binding::kAtom ? stated : node.op->formula.of(node).binding;
}

bool is_zero(const Value& v) { return constant_value(v) == 0; }

// What is multiplied by a constant 0, such as the state before the first time step, is left out.
// The compiler must not do this, since 0·∞ is no 0; a reader is glad of it.
GraphPtr without_zeros(const Graph& graph) {
  return rewrite(graph, [](Graph& target) -> Rule {
    return [&target](const Node& node,
                     const std::vector<Value>& inputs) -> std::optional<std::vector<Value>> {
      if (!is(node, "matmul") && !is(node, "mul")) return std::nullopt;
      if (std::none_of(inputs.begin(), inputs.end(), is_zero)) return std::nullopt;
      return std::vector<Value>{constant(target, 0.0, node.types[0].shape)};
    };
  });
}

// A transposed matrix is written where it is used, and needs no name even when it is used twice.
GraphPtr own_transposes(const Graph& graph) {
  return drop_unused(*rewrite(graph, [](Graph& target) -> Rule {
    return [&target](const Node& node,
                     std::vector<Value> inputs) -> std::optional<std::vector<Value>> {
      for (Value& input : inputs) {
        if (!is(input, "transpose") || !input.name().empty()) continue;
        const Node& copied = input.node();
        input = copy_node(copied, target, copied.inputs)[0];
      }
      return copy_node(node, target, inputs);
    };
  }));
}

// Named functions such as softmax stay; a macro op whose formula is an expression becomes that
// expression, so that its parts can be named and shared. Updates have short formulas too.
GraphPtr for_reading(const Graph& graph) {
  const GraphPtr plain = simplify(graph);
  const GraphPtr written_out = expand_macros(*plain, [](const Node& node) {
    return binding_of(node) == Binding::kAtom && !node.op->update;
  });
  return own_transposes(*simplify(*without_zeros(*written_out)));
}

// The gradients of layers' outputs, of states along a sequence and of weights.
void append_gradients(Step& step, const std::vector<Value>& weights) {
  std::vector<std::string> names;
  std::vector<Value> of;
  const auto add = [&](const std::string& name, Value value) {
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    names.push_back(name);
    of.push_back(value);
  };
  for (const TraceSequence& sequence : step.sequences) {
    for (const std::string& state : sequence.states) add(state, output_of(*step.graph, state));
  }
  for (const TraceLayer& layer : step.names.layers) {
    add(layer.output, output_of(*step.graph, layer.output));
  }
  for (const Value& weight : weights) add(weight.name(), weight);
  const std::vector<Value> gradients = gradient(output_of(*step.graph, "loss"), of);
  for (std::size_t i = 0; i < of.size(); ++i) {
    if (is(gradients[i], "constant")) continue;
    step.graph->output("d" + names[i], gradients[i]);
    step.gradients[names[i]] = "d" + names[i];
  }
}

void rename_states(Graph& graph, Namer& names) {
  for (const Value& state : graph.parameters()) {
    if (!is_optimizer_state(state.name())) continue;
    const std::string& full = state.name();
    const std::string parameter = full.substr(full.find('/') + 1);
    const std::string name = state_name(full);
    names.real_name[name] = full.substr(0, full.find('/') + 1) + names.real_name.at(parameter);
    names.layer_of[name] = names.layer_of.at(parameter);
    graph.set_name(state, name);
  }
}

// The forward pass and the loss; every value that is shown is an output.
Step build_forward(const Sequential& model, const Dataset& batch, const TraceOptions& options) {
  Step step;
  step.graph = std::make_unique<Graph>("step");
  Graph& graph = *step.graph;
  const auto classes = static_cast<std::int64_t>(batch.classes.size());
  const Value x = graph.input("X", {model.input_dtype(), batch.x.shape()});
  graph.input("lr", kScalar);
  const Value count = graph.input("step", kScalar);
  Network network = model.build(x, {.mode = Mode::kTrain, .step = count, .seed = options.seed});
  for (std::size_t i = 0; i < model.layers().size(); ++i) {
    step.names.layer(model.layers()[i], i + 1, network);
  }
  const Value loss = append_loss(model, network.output, classes).named("loss");
  step.output = network.output.name();
  if (classes == 0) {
    graph.set_name(graph.find("target"), "Y");
  } else {
    graph.output("Y", one_hot(graph.find("target"), classes).named("Y"));
    if (!ends_in_softmax(model)) {
      graph.output("P", softmax(network.output).named("P"));
      step.output = "P";
    }
  }
  for (const Value& value : network.layer_outputs) {
    if (!output_of(graph, value.name())) graph.output(value.name(), value);
  }
  graph.output("loss", loss);
  for (const Value& weight : network.trained) step.trained.push_back(weight.name());
  return step;
}

void give_layers(std::vector<TraceSequence>& sequences, Step& step) {
  for (TraceSequence& sequence : sequences) {
    for (const TraceLayer& layer : step.names.layers) {
      const std::string of = sequence.states[0].substr(1, sequence.states[0].rfind('_') - 1);
      const auto& own = layer.parameters;
      if (std::find(own.begin(), own.end(), "W" + of) != own.end()) sequence.layer = layer.number;
    }
    for (std::size_t t = 0; t < sequence.states.size(); ++t) {
      step.names.layer_of[sequence.states[t]] = sequence.layer;
      for (const char letter : std::string_view("ZCIFGORNM")) {
        step.names.layer_of[letter + sequence.states[t].substr(1)] = sequence.layer;
      }
      if (t >= sequence.inputs.size()) continue;
      const std::string& input = sequence.inputs[t];
      step.names.layer_of[input] = sequence.layer;
      step.names.cuts[input] = fmt::format("{}[:, {}, :]", input.substr(0, input.rfind('_')), t);
    }
  }
}

Step build_step(const Sequential& model, const Dataset& batch, const TraceOptions& options) {
  Step step = build_forward(model, batch, options);
  step.graph = unroll_sequences(*step.graph, step.sequences);
  give_layers(step.sequences, step);
  std::vector<Value> weights;
  for (const std::string& name : step.trained) weights.push_back(step.graph->find(name));
  append_gradients(step, weights);
  apply(options.optimizer, output_of(*step.graph, "loss"), weights, step.graph->find("lr"),
        step.graph->find("step"), options.clip);
  rename_states(*step.graph, step.names);
  step.graph = for_reading(*step.graph);
  return step;
}

// ── reading the graph ────────────────────────────────────────────────────────

// For each node: is it needed for any of `values`?
std::vector<bool> needed_for(const Graph& graph, const std::vector<Value>& values) {
  std::vector<bool> needed(graph.nodes().size(), false);
  for (const Value& value : values) needed[static_cast<std::size_t>(value.node().id)] = true;
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const Value& input : graph.nodes()[i].inputs) {
      needed[static_cast<std::size_t>(input.node().id)] = true;
    }
  }
  return needed;
}

// What several formulas need and nobody named.
void name_shared_values(Graph& graph) {
  const Writer writer(graph, Notation::kText);
  int count = 0;
  for (const Node& node : graph.nodes()) {
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      const Value value = node.output(i);
      if (!value.name().empty() || !writer.has_line(value)) continue;
      value.named(fmt::format("u{}", ++count));
    }
  }
}

void name_updates(Graph& graph) {
  for (const auto& [parameter, next] : graph.updates()) {
    if (next.name().empty()) next.named(parameter.name() + "'");
  }
}

class Reader {
 public:
  Reader(Step& step, const TensorMap& feed)
      : step_(step), graph_(*step.graph), run_(graph_, feed), writer_(graph_, Notation::kText) {
    std::vector<Value> forward;
    std::vector<Value> gradients;
    for (const auto& [name, value] : graph_.outputs()) {
      const bool is_gradient = step.gradients.contains(name.substr(1)) && name[0] == 'd';
      (is_gradient ? gradients : forward).push_back(value);
    }
    forward_ = needed_for(graph_, forward);
    gradients.insert(gradients.end(), forward.begin(), forward.end());
    backward_ = needed_for(graph_, gradients);
  }

  std::vector<TraceValue> values() {
    std::vector<TraceValue> values;
    std::set<std::string> seen;
    for (const Node& node : graph_.nodes()) {
      for (std::size_t i = 0; i < node.types.size(); ++i) {
        const Value value = node.output(i);
        if (value.name().empty() || is(node, "constant")) continue;
        values.push_back(described(value, value.name()));
        seen.insert(value.name());
        // Two names for one value, as where a gradient is passed on unchanged.
        for (const auto& [name, output] : graph_.outputs()) {
          if (output == value && name != value.name() && seen.insert(name).second) {
            values.push_back(described(value, name));
            values.back().formula = value.name();
          }
        }
      }
    }
    give_layers(values);
    return values;
  }

 private:
  TracePart part_of(const Value& value) const {
    const auto id = static_cast<std::size_t>(value.node().id);
    if (is(value, "parameter")) return TracePart::kParameter;
    if (value.node().op->source) return TracePart::kInput;
    return forward_[id]    ? TracePart::kForward
           : backward_[id] ? TracePart::kBackward
                           : TracePart::kUpdate;
  }

  TraceValue described(const Value& value, const std::string& name) {
    TraceValue v;
    v.name = name;
    v.part = part_of(value);
    v.value = value;
    v.numbers = run_.value(value);
    if (!value.node().op->source) v.formula = writer_.right_side(value);
    if (const auto cut = step_.names.cuts.find(name); cut != step_.names.cuts.end()) {
      v.formula = cut->second;
    }
    if (const auto real = step_.names.real_name.find(name); real != step_.names.real_name.end()) {
      v.parameter = real->second;
    }
    if (name[0] == 'd' && part_of(value) == TracePart::kBackward) v.of = primal(name.substr(1));
    for (const auto& [parameter, next] : graph_.updates()) {
      if (next == value && name == parameter.name() + "'") v.of = parameter.name();
    }
    const std::string& known = v.of.empty() ? v.name : v.of;
    if (const auto layer = step_.names.layer_of.find(known); layer != step_.names.layer_of.end()) {
      v.layer = layer->second;
    }
    return v;
  }

  // The name if there is a value of that name, else "".
  std::string primal(const std::string& name) const {
    if (step_.gradients.contains(name)) return name;
    for (const Node& node : graph_.nodes()) {
      if (std::find(node.names.begin(), node.names.end(), name) != node.names.end()) return name;
    }
    return "";
  }

  // A shared value belongs to the layer of the first that reads it.
  void give_layers(std::vector<TraceValue>& values) const {
    for (std::size_t i = values.size(); i-- > 0;) {
      if (values[i].layer != 0 || values[i].name[0] != 'u') continue;
      const auto reader =
          std::find_if(values.begin() + static_cast<std::ptrdiff_t>(i) + 1, values.end(),
                       [&](const TraceValue& v) { return reads(v.value.node(), values[i].value); });
      if (reader != values.end()) values[i].layer = reader->layer;
    }
  }

  // Does `node` read `value`, other than by way of a named one?
  static bool reads(const Node& node, const Value& value) {
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](const Value& input) {
      return input == value || (input.name().empty() && reads(input.node(), value));
    });
  }

  Step& step_;
  const Graph& graph_;
  Evaluation run_;
  std::vector<bool> forward_;
  std::vector<bool> backward_;
  Writer writer_;
};

TensorMap feed_of(const Step& step, const TensorMap& parameters, const Dataset& batch, double lr,
                  const TraceOptions& options) {
  TensorMap feed;
  feed["X"] = batch.x;
  feed["target"] = batch.labels;
  feed["Y"] = batch.y;
  feed["lr"] = Tensor::of<double>({}, {lr});
  feed["step"] = Tensor::of<double>({}, {static_cast<double>(options.step)});
  for (const Value& parameter : step.graph->parameters()) {
    const std::string& real = step.names.real_name.at(parameter.name());
    const auto given = parameters.find(real);
    if (given != parameters.end()) {
      feed[parameter.name()] = given->second;
    } else if (is_optimizer_state(real)) {
      feed[parameter.name()] = Tensor(DType::kF64, parameter.shape());
    } else {
      throw UsageError(
          fmt::format("the network has a parameter {}, but nothing was given for it", real));
    }
  }
  return feed;
}

}  // namespace

Trace trace(const Sequential& network, const TensorMap& parameters, const Dataset& batch,
            const TraceOptions& options) {
  const double lr = options.lr > 0 ? options.lr : options.optimizer.usual_rate();
  Step step = build_step(network, batch, options);
  name_updates(*step.graph);
  name_shared_values(*step.graph);
  TensorMap feed = feed_of(step, parameters, batch, lr, options);
  Reader reader(step, feed);

  Trace trace;
  trace.network = network.to_text();
  trace.optimizer = options.optimizer.to_text();
  trace.lr = lr;
  trace.rows = batch.x.shape().at(0);
  trace.layers = step.names.layers;
  trace.values = reader.values();
  trace.sequences = step.sequences;
  for (TraceSequence& sequence : trace.sequences) add_jacobians(*step.graph, feed, sequence);
  trace.output = step.output;
  trace.features = batch.features;
  trace.classes = batch.classes;
  trace.loss = trace.find("loss")->numbers.values<double>()[0];
  for (auto& [name, numbers] : Evaluation(*step.graph, feed).updated()) feed[name] = numbers;
  trace.loss_after = Evaluation(*step.graph, feed).outputs().at("loss").values<double>()[0];
  trace.graph = std::move(step.graph);
  return trace;
}

const TraceValue* Trace::find(std::string_view name) const {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const TraceValue& v) { return v.name == name; });
  return found != values.end() ? &*found : nullptr;
}

const TraceValue* Trace::gradient_of(std::string_view name) const {
  return find("d" + std::string(name));
}

const TraceValue* Trace::next_of(std::string_view name) const {
  return find(std::string(name) + "'");
}

}  // namespace chainrule
