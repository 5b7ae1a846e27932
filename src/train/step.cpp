// The training step as one graph, and the parameters that it needs.
#include <fmt/format.h>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "chainrule/train.h"

namespace chainrule {
namespace {

constexpr Type kScalar{DType::kF32, {}};

bool ends_in_softmax(const Sequential& model) {
  return !model.layers().empty() && model.layers().back().name == "softmax";
}

// How the network would have to end to give `classes` outputs.
std::string needed_end(const Sequential& model, std::int64_t classes) {
  return fmt::format("linear {}{}", classes, ends_in_softmax(model) ? ", softmax" : "");
}

// y: [B, …, classes], a row of scores for each place of an example; mostly there is one place.
Value classification_loss(Graph& graph, const Sequential& model, Value y, std::int64_t classes) {
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
  const Value target = graph.input("target", {DType::kI32, places});
  graph.output("correct", sum(equal(to_float(argmax(y)), to_float(target))));
  return ends_in_softmax(model) ? cross_entropy(y, target) : softmax_cross_entropy(y, target);
}

Value regression_loss(Graph& graph, Value y) {
  if (y.shape().size() != 2 || y.extent(1) != 1) {
    throw ShapeError(
        fmt::format("the network gives {} numbers a row, but the target is one number: end it with "
                    "\"linear 1\"",
                    element_count(y.shape()) / y.extent(0)));
  }
  return mean_squared_error(y, graph.input("target", {DType::kF32, y.shape()}));
}

}  // namespace

std::unique_ptr<Graph> training_step(const Sequential& model, const Shape& input,
                                     std::int64_t classes, const StepOptions& options) {
  auto graph = std::make_unique<Graph>("step");
  const Value x = graph->input("x", {model.input_dtype(), input});
  const Value lr = graph->input("lr", kScalar);
  const Value step = graph->input("step", kScalar);
  const Network network =
      model.build(x, {.mode = Mode::kTrain, .step = step, .seed = options.seed});
  const Value loss = classes > 0 ? classification_loss(*graph, model, network.output, classes)
                                 : regression_loss(*graph, network.output);
  graph->output("loss", loss.named("loss"));
  apply(options.optimizer, loss, network.trained, lr, step, options.clip);
  return graph;
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
