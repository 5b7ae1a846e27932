// Sequential: from one line of text to nodes. Names, shapes and initialisers are decided here; what
// a layer computes is decided in its block.
#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "base/nearest.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"

namespace chainrule {
namespace {

std::vector<PhraseRule> layer_rules() {
  std::vector<PhraseRule> rules;
  for (const LayerKind& kind : layer_kinds()) rules.push_back(kind.rule);
  for (PhraseRule& rule : own_layer_rules()) rules.push_back(std::move(rule));
  return rules;
}

// More layers are no network but a slip of the finger, or a file made to exhaust the machine.
constexpr std::size_t kMostLayers = 10000;

// A shape error that already says in which layer it was.
struct PlacedShapeError : ShapeError {
  using ShapeError::ShapeError;
};

// Notes say which layer made a node, so that a message about the node can name the layer. Of nested
// layers the innermost counts.
void note_nodes(Graph& graph, std::size_t first, const std::string& note) {
  for (std::size_t id = first; id < graph.nodes().size(); ++id) {
    if (graph.nodes()[id].note.empty()) graph.set_note(graph.nodes()[id], note);
  }
}

// Layers without numbers of their own take whatever comes.
bool takes_anything(const LayerKind& kind) {
  return kind.suits == Suits::kSkip || kind.suits == Suits::kInside;
}

void check_dtype(const LayerKind& kind, Value x) {
  if (takes_anything(kind) || x.dtype() == kind.input) return;
  throw ShapeError(kind.input == DType::kI32
                       ? "expected whole numbers (i32), got f32; it can only be the first layer"
                       : "expected f32, got i32; begin with \"embedding\"");
}

// While x is still a sequence of rows with lengths, padding would enter.
void check_steps(const LayerKind& kind, const Sequences& sequences, Value x) {
  const bool may_join = kind.at_steps == AtSteps::kJoins ||
                        (kind.at_steps == AtSteps::kFeatures && x.shape().size() == 2);
  if (may_join && sequences.contains(x)) refuse_joined_steps();
}

bool keeps_steps(const LayerKind& kind) {
  return kind.at_steps == AtSteps::kEach || kind.at_steps == AtSteps::kFeatures;
}

// What the first of these layers that cares is.
const LayerKind* first_kind(std::span<const Phrase> layers) {
  for (const Phrase& layer : layers) {
    const LayerKind& kind = kind_of(layer);
    if (!takes_anything(kind)) return &kind;
    for (const auto& [option, branches] : layer.groups) {
      for (const std::vector<Phrase>& branch : branches) {
        if (const LayerKind* inner = first_kind(branch)) return inner;
      }
    }
  }
  return nullptr;
}

Network build_network(const std::vector<Phrase>& layers, Value x, const BuildOptions& options,
                      bool trial) {
  Network network;
  Building building{options, network, trial};
  if (options.lengths && x.shape().size() > 1) building.sequences.add(x);
  const Initializer last = Initializer::parse("xavier_uniform");
  network.output = build_layers(layers, x, "", last, building);
  network.output_is_sequence = building.sequences.contains(network.output);
  for (const BuiltLayer& layer : network.layers) {
    if (layer.depth == 0) network.layer_outputs.push_back(layer.output);
  }
  return network;
}

// A network built on a batch of one, only to see its shapes.
struct Trial {
  explicit Trial(const Sequential& model, const Shape& input, std::optional<Initializer> init = {})
      : graph("trial") {
    Shape shape = input;
    shape.insert(shape.begin(), 1);
    BuildOptions options;
    options.init = init;
    network = build_network(
        model.layers(), graph.input("x", {model.input_dtype(), std::move(shape)}), options, true);
  }
  Graph graph;
  Network network;
};

// Characters, of which "…" takes three bytes.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Some of a network's parameters, in numbers: those of the layer of that number and of the layers
// that it holds.
std::int64_t count_parameters(const Network& network, const std::string& number) {
  std::int64_t count = 0;
  for (const ParameterInfo& parameter : network.parameters) {
    if (parameter.name.starts_with(number + ".")) count += element_count(parameter.shape);
  }
  return count;
}

}  // namespace

const LayerKind& kind_of(const Phrase& layer) {
  std::vector<std::string> known;
  for (const LayerKind& kind : layer_kinds()) {
    if (kind.rule.name == layer.name) return kind;
    known.emplace_back(kind.rule.name);
  }
  if (const LayerKind* const own = own_layer_kind(layer.name)) return *own;
  throw UsageError(unknown_name("layer", layer.name, known));
}

std::optional<Initializer> suited_initializer(std::span<const Phrase> layers) {
  for (const Phrase& layer : layers) {
    switch (kind_of(layer).suits) {
      case Suits::kSkip: continue;
      case Suits::kXavier: return Initializer::parse("xavier_uniform");
      case Suits::kHe: break;
      case Suits::kInside: {
        for (const auto& [option, branches] : layer.groups) {
          for (const std::vector<Phrase>& branch : branches) {
            if (const auto inner = suited_initializer(branch)) return inner;
          }
        }
        continue;
      }
    }
    if (layer.name != "leaky_relu") {
      return Initializer{Initializer::Kind::kHeNormal, kind_of(layer).gain};
    }
    const double slope = layer.real("slope");
    return Initializer{Initializer::Kind::kHeNormal, std::sqrt(2 / (1 + slope * slope))};
  }
  return std::nullopt;
}

Value build_layers(const std::vector<Phrase>& layers, Value x, const std::string& prefix,
                   const Initializer& after, Building& building) {
  Graph& graph = x.graph();
  Network& network = building.network;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Initializer preferred =
        suited_initializer(std::span(layers).subspan(i + 1)).value_or(after);
    LayerScope scope(layers[i], prefix + std::to_string(i + 1), preferred, building);
    if (building.layers > kMostLayers) {
      throw UsageError(
          fmt::format("a network has at most {} layers, nested ones counted", kMostLayers));
    }
    const std::string heading = layers[i].heading();
    const std::string place = fmt::format("layer {} ({})", scope.number, heading);
    const std::size_t first = graph.nodes().size();
    const std::size_t entry = network.layers.size();
    network.layers.push_back({scope.number, heading, building.depth, building.again, {}});
    ++building.depth;
    try {
      check_dtype(kind_of(layers[i]), x);
      const LayerKind& kind = kind_of(layers[i]);
      check_steps(kind, building.sequences, x);
      const Value y = kind.build(scope, x);
      if (keeps_steps(kind)) scope.keep_steps(x, y);
      x = y;
    } catch (const PlacedShapeError&) {
      throw;
    } catch (const ShapeError& error) {
      throw PlacedShapeError(fmt::format("{}: {}", place, error.what()));
    }
    --building.depth;
    network.layers[entry].output = x;
    note_nodes(graph, first, place);
  }
  return x;
}

std::string batch_shape(const Shape& shape) {
  std::string text = "[B";
  for (std::size_t axis = 1; axis < shape.size(); ++axis) text += fmt::format(", {}", shape[axis]);
  return text + "]";
}

void bad_input(const std::string& expected, const Value& x) {
  throw ShapeError(fmt::format("expected input {}, got {}", expected, batch_shape(x.shape())));
}

Value LayerScope::weight(Graph& graph, const std::string& name, Shape shape, std::int64_t fan_in,
                         std::int64_t fan_out, const std::string& own, const std::string& suited) {
  ParameterInfo info;
  info.name = name;
  info.shape = std::move(shape);
  info.fan_in = fan_in;
  info.fan_out = fan_out;
  const Initializer fitting = suited.empty() ? preferred_ : Initializer::parse(suited);
  info.initializer = !own.empty() ? Initializer::parse(own) : options.init.value_or(fitting);
  return declare(graph, std::move(info));
}

Value LayerScope::parameter(Graph& graph, const std::string& name, Shape shape, double first,
                            bool trained) {
  ParameterInfo info;
  info.name = name;
  info.shape = std::move(shape);
  info.initializer = {Initializer::Kind::kConstant, first};
  info.trained = trained;
  return declare(graph, std::move(info));
}

Value LayerScope::bias(Graph& graph, const std::string& name, std::int64_t units,
                       std::vector<double> parts) {
  ParameterInfo info;
  info.name = name;
  info.shape = {units * static_cast<std::int64_t>(parts.size())};
  const bool plain = std::all_of(parts.begin(), parts.end(), [](double v) { return v == 0; });
  if (!plain) info.parts = std::move(parts);
  return declare(graph, std::move(info));
}

Value LayerScope::state(Graph& graph, const std::string& name, Shape shape) const {
  const std::string full = fmt::format("{}{}.state.{}.{}", options.prefix, number, shape[0], name);
  return graph.parameter(full, {DType::kF32, std::move(shape)});
}

Value LayerScope::drop(Value x, double rate, std::int64_t part) const {
  if (options.mode == Mode::kPredict || rate == 0) return x;
  if (!options.step) throw UsageError("dropout needs the training step to draw from");
  constexpr std::int64_t kStreamsAPart = 1 << 16;
  return dropout(x, rate, options.step, options.seed,
                 static_cast<std::int64_t>(place_) + part * kStreamsAPart);
}

bool Sequences::contains(Value x) const {
  return std::find(values_.rbegin(), values_.rend(), x) != values_.rend();
}

void refuse_joined_steps() {
  throw ShapeError(
      "it joins the steps of a sequence and does not know where rows end, so their padding would "
      "count; put a recurrent layer before it, or train without lengths");
}

void LayerScope::need_rows(Value x, std::int64_t least, const std::string& why) {
  building_.network.least_batch = std::max(building_.network.least_batch, least);
  if (options.mode == Mode::kPredict || x.extent(0) >= least) return;
  throw ShapeError(fmt::format("{}; train on batches of at least {} rows", why, least));
}

Value LayerScope::lengths_of(Value x) const {
  return building_.sequences.contains(x) ? options.lengths : Value();
}

void LayerScope::keep_steps(Value x, Value y) {
  if (building_.sequences.contains(x)) building_.sequences.add(y);
}

void LayerScope::keep_steps(Value x, Value y, Value z) {
  const bool steps = building_.sequences.contains(x);
  if (steps != building_.sequences.contains(y)) {
    throw ShapeError(
        "one of the parts that it joins still has the steps of the sequence and another has used "
        "them up, so the padding behind a row's end would count; let all keep them, as recurrent "
        "layers with \"sequence\" do, or none");
  }
  if (steps) building_.sequences.add(z);
}

Value LayerScope::nested(const std::vector<Phrase>& layers, Value x, const std::string& part,
                         const std::vector<Phrase>& next) {
  const Initializer after = suited_initializer(next).value_or(preferred_);
  const std::string prefix = part.empty() ? number + "." : fmt::format("{}.{}.", number, part);
  return build_layers(layers, x, prefix, after, building_);
}

Value LayerScope::rounds(const std::vector<Phrase>& layers, std::int64_t count, Value x) {
  const bool was_again = building_.again;
  for (std::int64_t round = 1; round <= count; ++round) {
    building_.again = was_again || round > 1;
    x = nested(layers, x, std::to_string(round), round < count ? layers : std::vector<Phrase>{});
  }
  building_.again = was_again;
  return x;
}

Value LayerScope::declare(Graph& graph, ParameterInfo info) {
  info.name = fmt::format("{}{}.{}", options.prefix, number, info.name);
  info.layer = std::stoul(number);
  const Value value = graph.parameter(info.name, {DType::kF32, info.shape});
  Network& network = building_.network;
  if (info.trained) network.trained.push_back(value);
  network.parameters.push_back(std::move(info));
  return value;
}

Sequential Sequential::parse(std::string_view text) {
  return Sequential(parse_phrases(text, "layer", layer_rules()));
}

std::string Sequential::to_text() const {
  std::string text;
  for (const Phrase& layer : layers_) text += (text.empty() ? "" : ", ") + layer.text;
  return text;
}

DType Sequential::input_dtype() const {
  const LayerKind* const first = first_kind(layers_);
  return first == nullptr ? DType::kF32 : first->input;
}

Network Sequential::build(Value x, const BuildOptions& options) const {
  return build_network(layers_, x, options, false);
}

std::vector<ParameterInfo> Sequential::parameters(const Shape& input,
                                                  std::optional<Initializer> init) const {
  return Trial(*this, input, init).network.parameters;
}

Shape Sequential::output_shape(const Shape& input) const {
  const Trial trial(*this, input);
  Shape shape = trial.network.output.shape();
  shape.erase(shape.begin());
  return shape;
}

std::int64_t Sequential::least_batch(const Shape& input) const {
  return Trial(*this, input).network.least_batch;
}

std::string Sequential::summary(const Shape& input) const {
  const Trial trial(*this, input);
  struct Row {
    std::string number, layer, shape, count;
  };
  std::vector<Row> rows{{"", "layer", "output", "parameters"}};
  for (const BuiltLayer& layer : trial.network.layers) {
    const std::string indent(2 * layer.depth, ' ');
    if (!layer.again) {
      rows.push_back({layer.number, indent + layer.text, batch_shape(layer.output.shape()),
                      grouped(count_parameters(trial.network, layer.number))});
    } else if (rows.back().number != "…") {
      rows.push_back({"…", indent + "the same again", "", ""});
    }
  }
  std::int64_t total = 0;
  for (const ParameterInfo& info : trial.network.parameters) total += element_count(info.shape);
  rows.push_back({"", "total", "", grouped(total)});
  std::size_t numbers = 4;
  std::size_t layers = 7;
  std::size_t shapes = 8;
  for (const Row& row : rows) {
    numbers = std::max(numbers, width_of(row.number));
    layers = std::max(layers, width_of(row.layer));
    shapes = std::max(shapes, row.shape.size());
  }
  std::string table;
  for (const Row& row : rows) {
    table += fmt::format("{:>{}}  {:<{}}  {:<{}}  {:>12}\n", row.number, numbers, row.layer, layers,
                         row.shape, shapes, row.count);
  }
  return table;
}

bool is_recurrent_state(std::string_view parameter) {
  // Behind a layer's number, and before a number of rows.
  const std::size_t at = parameter.rfind(".state.");
  constexpr std::string_view kDigits = "0123456789";
  constexpr std::size_t kLength = std::string_view(".state.").size();
  return at != std::string_view::npos && at > 0 && at + kLength < parameter.size() &&
         kDigits.find(parameter[at - 1]) != std::string_view::npos &&
         kDigits.find(parameter[at + kLength]) != std::string_view::npos;
}

std::string layer_reference() {
  std::size_t width = 0;
  for (const LayerKind& kind : layer_kinds()) width = std::max(width, kind.usage.size());
  std::string text;
  for (const LayerKind& kind : layer_kinds()) {
    text += fmt::format("  {:<{}}  {}\n", kind.usage, width, kind.meaning);
  }
  return text;
}

}  // namespace chainrule
