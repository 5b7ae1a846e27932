// The training step as one graph, and the parameters that it needs.
#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/train.h"
#include "train/frozen.h"
#include "train/lengths.h"
#include "train/loss.h"

namespace chainrule {
namespace {

constexpr Type kScalar{DType::kF32, {}};

// How the network would have to end to give `classes` outputs.
std::string needed_end(const Sequential& model, std::int64_t classes) {
  return fmt::format("linear {}{}", classes, ends_in_softmax(model) ? ", softmax" : "");
}

// y: [B, …, classes], a row of scores for each place of an example; mostly there is one place.
Value classification_loss(const Sequential& model, Value y, std::int64_t classes,
                          const LossOptions& options) {
  if (y.shape().size() < 2 || y.extent(-1) != classes) {
    const bool places = y.shape().size() > 2;
    throw ShapeError(
        fmt::format("the network gives {} numbers a {}, but the target has {} classes: "
                    "end it with \"{}\"",
                    places ? y.extent(-1) : element_count(y.shape()) / y.extent(0),
                    places ? "place" : "row", classes, needed_end(model, classes)));
  }
  Shape places = y.shape();
  places.pop_back();
  const Value labels = y.graph().input("target", {DType::kI32, places});
  const double smoothing = options.label_smoothing;
  const Value target = options.mix ? options.mix(one_hot(labels, classes)) : labels;
  if (!ends_in_softmax(model)) {
    return softmax_cross_entropy(y, target, smoothing, options.counted);
  }
  constexpr double kEpsilon = 1e-9;
  if (smoothing == 0) return cross_entropy(y, target, kEpsilon, options.counted);
  const Value hot = options.mix ? target : one_hot(labels, classes);
  return cross_entropy(y, (1 - smoothing) * hot + smoothing / static_cast<double>(classes),
                       kEpsilon, options.counted);
}

Value regression_loss(Value y, const LossOptions& options) {
  if (y.shape().size() != 2 || y.extent(1) != 1) {
    throw ShapeError(
        fmt::format("the network gives {} numbers a row, but the target is one number: end it with "
                    "\"linear 1\"",
                    element_count(y.shape()) / y.extent(0)));
  }
  const Value target = y.graph().input("target", {DType::kF32, y.shape()});
  return mean_squared_error(y, options.mix ? options.mix(target) : target);
}

// Which places of the outputs count: y: [B, T, …, classes] → [B, T, …].
Value counted_places(const Lengths& lengths, Value y) {
  if (y.shape().size() < 3) {
    throw UsageError(
        "lengths: the steps of a row are the network's outputs, but a label needs a row of scores "
        "for each; end the network in a recurrent layer and \"linear\"");
  }
  Shape places = y.shape();
  places.pop_back();
  return lengths.counted_at(places);
}

// The parameters that an optimiser is to change.
std::vector<Value> not_frozen(const Network& network, const std::vector<std::size_t>& frozen) {
  const std::size_t layers = network.layer_outputs.size();
  for (const std::size_t layer : frozen) {
    if (layer >= 1 && layer <= layers) continue;
    throw UsageError(
        fmt::format("frozen: there is no layer {}; the network has {}", layer, layers));
  }
  std::vector<Value> trained;
  std::size_t at = 0;
  for (const ParameterInfo& info : network.parameters) {
    if (!info.trained) continue;
    const Value& value = network.trained[at++];
    if (!is_frozen(info, frozen)) trained.push_back(value);
  }
  if (trained.empty() && !network.trained.empty()) {
    throw UsageError("frozen: every layer with weights is frozen, so there is nothing to train");
  }
  return trained;
}

// Forward pass and loss.
struct Forward {
  Value loss;
  std::vector<Value> trained;
};

Forward forward_pass(const Sequential& model, Value x, Value step, std::int64_t classes,
                     const StepOptions& options) {
  if (options.label_smoothing != 0 && classes == 0) {
    throw UsageError("label smoothing needs a target of classes");
  }
  if (options.mixup && model.input_dtype() != DType::kF32) {
    throw UsageError("mixup mixes numbers, but the network takes whole ones");
  }
  if (options.mixup && options.lengths) {
    throw UsageError("mixup mixes whole rows, so rows with lengths cannot have it");
  }
  Graph& graph = x.graph();
  const Lengths lengths = options.lengths ? declare_lengths(graph, x.shape()) : Lengths{};
  LossOptions how{options.label_smoothing, {}, {}};
  if (options.mixup) {
    how.mix = {graph.input("mix", kScalar), graph.input("partner", {DType::kI32, {x.extent(0)}})};
    x = how.mix(x);
  }
  const Network network = model.build(
      x, {.mode = Mode::kTrain, .step = step, .seed = options.seed, .lengths = lengths.steps});
  // Where steps are left there is a label for each of them, else the labels are the row's.
  if (network.output_is_sequence) how.counted = counted_places(lengths, network.output);
  const Value loss = append_loss(model, network.output, classes, how).named("loss");
  graph.output("loss", loss);
  if (classes > 0) {
    const Value chosen = to_float(argmax(network.output));
    const Value right = equal(chosen, to_float(graph.find("target")));
    graph.output("correct", sum(how.counted ? how.counted * right : right));
  }
  return {loss, not_frozen(network, options.frozen)};
}

}  // namespace

bool ends_in_softmax(const Sequential& model) {
  return !model.layers().empty() && model.layers().back().name == "softmax";
}

Value Mix::operator()(Value x) const { return share * x + (1 - share) * gather(x, partner); }

Value append_loss(const Sequential& model, Value y, std::int64_t classes,
                  const LossOptions& options) {
  return classes > 0 ? classification_loss(model, y, classes, options)
                     : regression_loss(y, options);
}

std::unique_ptr<Graph> training_step(const Sequential& model, const Shape& input,
                                     std::int64_t classes, const StepOptions& options) {
  auto graph = std::make_unique<Graph>("step");
  const Value x = graph->input("x", {model.input_dtype(), input});
  const Value lr = graph->input("lr", kScalar);
  const Value step = graph->input("step", kScalar);
  const Forward forward = forward_pass(model, x, step, classes, options);
  apply(options.optimizer, forward.loss, forward.trained, lr, step, options.clip);
  return graph;
}

std::unique_ptr<Graph> gradient_step(const Sequential& model, const Shape& input,
                                     std::int64_t classes, const StepOptions& options) {
  auto graph = std::make_unique<Graph>("gradient");
  const Value x = graph->input("x", {model.input_dtype(), input});
  const Value step = graph->input("step", kScalar);
  const Forward forward = forward_pass(model, x, step, classes, options);
  const std::vector<Value> gradients = gradient(forward.loss, forward.trained);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    graph->output(gradient_name(forward.trained[i].name()), gradients[i]);
  }
  return graph;
}

std::string gradient_name(std::string_view parameter) {
  return "gradient of " + std::string(parameter);
}

TensorMap final_weights(const Sequential& model, const Shape& input, const Parameters& parameters) {
  TensorMap weights;
  for (const ParameterInfo& info : model.parameters(input)) {
    const std::string average = average_name(info.name);
    weights.emplace(info.name, parameters.at(parameters.contains(average) ? average : info.name));
  }
  return weights;
}

void declare_parameters(Parameters& parameters, const Graph& graph, const TensorMap& weights) {
  for (const Value& p : graph.parameters()) {
    if (parameters.contains(p.name())) continue;
    const auto first = weights.find(p.name());
    parameters.set(p.name(), first != weights.end() ? first->second : Tensor(p.dtype(), p.shape()));
  }
}

void reset_state(Parameters& parameters) {
  for (const auto& [name, tensor] : parameters.tensors()) {
    if (is_recurrent_state(name)) parameters.set(name, Tensor(tensor.dtype(), tensor.shape()));
  }
}

}  // namespace chainrule
