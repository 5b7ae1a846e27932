// Sequential: from one line of text to nodes. Names, shapes and initialisers are decided here; what
// a layer computes is decided in layers.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/nearest.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"

namespace chainrule {
namespace {

std::vector<PhraseRule> layer_rules() {
  std::vector<PhraseRule> rules;
  for (const LayerKind& kind : layer_kinds()) rules.push_back(kind.rule);
  return rules;
}

const LayerKind& kind_of(const Phrase& layer) {
  std::vector<std::string> known;
  for (const LayerKind& kind : layer_kinds()) {
    if (kind.rule.name == layer.name) return kind;
    known.emplace_back(kind.rule.name);
  }
  throw UsageError(unknown_name("layer", layer.name, known));
}

// The initialiser that suits what follows layer `index`.
Initializer preferred_initializer(const std::vector<Phrase>& layers, std::size_t index) {
  for (std::size_t next = index + 1; next < layers.size(); ++next) {
    switch (kind_of(layers[next]).suits) {
      case Suits::kSkip: continue;
      case Suits::kXavier: return Initializer::parse("xavier_uniform");
      case Suits::kHe: break;
    }
    if (layers[next].name != "leaky_relu") return Initializer::parse("he_normal");
    const double slope = layers[next].real("slope");
    return {Initializer::Kind::kHeNormal, std::sqrt(2 / (1 + slope * slope))};
  }
  return Initializer::parse("xavier_uniform");
}

std::string place_of(std::size_t number, const Phrase& layer) {
  return fmt::format("layer {} ({})", number, layer.text);
}

// Notes say which layer made a node, so that a message about the node can name the layer.
void note_nodes(Graph& graph, std::size_t first, const std::string& note) {
  for (std::size_t id = first; id < graph.nodes().size(); ++id) {
    graph.set_note(graph.nodes()[id], note);
  }
}

void check_dtype(const LayerKind& kind, Value x) {
  if (kind.suits == Suits::kSkip || x.dtype() == kind.input) return;
  throw ShapeError(kind.input == DType::kI32
                       ? "expected whole numbers (i32), got f32; it can only be the first layer"
                       : "expected f32, got i32; begin with \"embedding\"");
}

// A network built on a batch of one, only to see its shapes.
struct Trial {
  explicit Trial(const Sequential& model, const Shape& input, std::optional<Initializer> init = {})
      : graph("trial") {
    Shape shape = input;
    shape.insert(shape.begin(), 1);
    BuildOptions options;
    options.init = init;
    network = model.build(graph.input("x", {model.input_dtype(), std::move(shape)}), options);
  }
  Graph graph;
  Network network;
};

std::string with_commas(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return text;
}

}  // namespace

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
  const std::string full = fmt::format("{}.state.{}.{}", number, shape[0], name);
  return graph.parameter(full, {DType::kF32, std::move(shape)});
}

Value LayerScope::drop(Value x, double rate, std::int64_t part) const {
  if (options.mode == Mode::kPredict || rate == 0) return x;
  if (!options.step) throw UsageError("dropout needs the training step to draw from");
  constexpr std::int64_t kMostLayers = 1 << 16;
  return dropout(x, rate, options.step, options.seed,
                 static_cast<std::int64_t>(number) + part * kMostLayers);
}

Value LayerScope::declare(Graph& graph, ParameterInfo info) {
  info.name = fmt::format("{}.{}", number, info.name);
  info.layer = number;
  const Value value = graph.parameter(info.name, {DType::kF32, info.shape});
  if (info.trained) network_.trained.push_back(value);
  network_.parameters.push_back(std::move(info));
  return value;
}

Sequential Sequential::parse(std::string_view text) {
  const std::vector<PhraseRule> rules = layer_rules();
  std::vector<Phrase> layers;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    layers.push_back(parse_phrase(text.substr(at, end - at), at + 1, "layer", rules));
    at = end + 1;
  }
  return Sequential(std::move(layers));
}

std::string Sequential::to_text() const {
  std::string text;
  for (const Phrase& layer : layers_) text += (text.empty() ? "" : ", ") + layer.text;
  return text;
}

DType Sequential::input_dtype() const {
  for (const Phrase& layer : layers_) {
    const LayerKind& kind = kind_of(layer);
    if (kind.suits != Suits::kSkip) return kind.input;
  }
  return DType::kF32;
}

Network Sequential::build(Value x, const BuildOptions& options) const {
  Network network;
  network.output = x;
  Graph& graph = x.graph();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Initializer preferred = preferred_initializer(layers_, i);
    LayerScope scope(layers_[i], i + 1, preferred, options, network);
    const std::size_t first = graph.nodes().size();
    try {
      check_dtype(kind_of(layers_[i]), network.output);
      network.output = kind_of(layers_[i]).build(scope, network.output);
    } catch (const ShapeError& error) {
      throw ShapeError(fmt::format("{}: {}", place_of(i + 1, layers_[i]), error.what()));
    }
    note_nodes(graph, first, place_of(i + 1, layers_[i]));
    network.layer_outputs.push_back(network.output);
  }
  return network;
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

std::string Sequential::summary(const Shape& input) const {
  const Trial trial(*this, input);
  std::vector<std::int64_t> counts(layers_.size(), 0);
  std::int64_t total = 0;
  for (const ParameterInfo& parameter : trial.network.parameters) {
    counts[parameter.layer - 1] += element_count(parameter.shape);
    total += element_count(parameter.shape);
  }
  std::size_t layer_width = 7;
  std::size_t shape_width = 8;
  std::vector<std::string> shapes;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    shapes.push_back(batch_shape(trial.network.layer_outputs[i].shape()));
    layer_width = std::max(layer_width, layers_[i].text.size());
    shape_width = std::max(shape_width, shapes[i].size());
  }
  std::string table;
  const auto row = [&](const std::string& number, const std::string& layer,
                       const std::string& shape, const std::string& count) {
    table += fmt::format("{:>4}  {:<{}}  {:<{}}  {:>12}\n", number, layer, layer_width, shape,
                         shape_width, count);
  };
  row("", "layer", "output", "parameters");
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    row(std::to_string(i + 1), layers_[i].text, shapes[i], with_commas(counts[i]));
  }
  row("", "total", "", with_commas(total));
  return table;
}

bool is_recurrent_state(std::string_view parameter) {
  const std::size_t dot = parameter.find('.');
  return dot != std::string_view::npos && parameter.substr(dot).starts_with(".state.");
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
