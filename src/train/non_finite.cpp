// The search for the first bad number: a failed step is run again by the reference interpreter,
// which keeps every intermediate value.
#include "train/non_finite.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/format.h"
#include "chainrule/error.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// "layer 2 (relu)" for a node that the layer or its gradient made, else "".
std::string layer_of(const Graph& graph, const Node& node) {
  constexpr std::string_view kGradient = "grad of ";
  if (node.note.starts_with("layer ")) return node.note;
  if (!node.note.starts_with(kGradient)) return {};
  const std::string origin = node.note.substr(kGradient.size());
  for (const Node& candidate : graph.nodes()) {
    if (&candidate == &node) return {};
    for (std::size_t i = 0; i < candidate.types.size(); ++i) {
      if (text_name(candidate.output(i)) == origin) return layer_of(graph, candidate);
    }
  }
  return {};
}

std::string place_of(const Graph& graph, const Value& value) {
  const std::string layer = layer_of(graph, value.node());
  const bool backward = value.node().note.starts_with("grad of ");
  return fmt::format("{} {}{}{}", value.node().op->name, text_name(value),
                     backward ? ", in the gradient" : "", layer.empty() ? "" : " of " + layer);
}

// The largest magnitude; infinity where NaN is among the numbers. Whole numbers are indices, which
// are never too large.
double largest(const Tensor& tensor) {
  double most = 0;
  if (tensor.dtype() != DType::kF32) return most;
  for (const float v : tensor.values<float>()) {
    most = std::isfinite(v) ? std::max(most, std::fabs(static_cast<double>(v)))
                            : std::numeric_limits<double>::infinity();
    if (std::isinf(most)) break;
  }
  return most;
}

std::optional<NonFiniteNode> search(const Graph& graph, const TensorMap& feed,
                                    Precision precision) {
  const Evaluation run(graph, feed, precision);
  for (const Node& node : graph.nodes()) {
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      if (node.types[i].dtype != DType::kF32) continue;
      const Tensor value = run.value(node.output(i));
      NonFiniteNode found;
      for (const double v : value.values<double>()) {
        found.nans += std::isnan(v) ? 1 : 0;
        found.infs += std::isinf(v) ? 1 : 0;
      }
      if (found.nans + found.infs == 0) continue;
      found.name = text_name(node.output(i));
      found.place = place_of(graph, node.output(i));
      return found;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<NonFiniteNode> first_non_finite(const Graph& graph, const TensorMap& feed) {
  const std::optional<NonFiniteNode> found = search(graph, feed, Precision::kFloat32);
  return found ? found : search(graph, feed, Precision::kFloat64);
}

std::string cause_before_training(const Tensor& x, const Tensor& target, const TensorMap& weights) {
  const double inputs = largest(x);
  const double targets = largest(target);
  double first_weights = 0;
  for (const auto& [name, tensor] : weights) {
    first_weights = std::max(first_weights, largest(tensor));
  }
  if (!std::isfinite(inputs) || !std::isfinite(targets)) {
    return fmt::format("the {} hold NaN or infinity in these rows: leave such rows out",
                       std::isfinite(inputs) ? "targets" : "inputs");
  }
  if (first_weights > std::max(inputs, targets)) {
    return fmt::format("the first weights reach {:.3g}: give a smaller --init", first_weights);
  }
  return fmt::format(
      "the {} reach {:.3g} in these rows: scale the data, or leave such rows or columns out",
      inputs >= targets ? "inputs" : "targets", std::max(inputs, targets));
}

Metrics measured(const Sequential& model, const Tensor& outputs, const Dataset& data,
                 const std::string& which, std::int64_t step) {
  try {
    return measure(model, outputs, data);
  } catch (const DataError& error) {
    throw NonFiniteError(
        fmt::format("step {}: {} {}; the inputs of these rows reach {:.3g}: scale the data, or "
                    "lower the learning rate (--lr)",
                    step, which, error.what(), largest(data.x)),
        step, "", 0, 0);
  }
}

bool all_finite(const TensorMap& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const auto& entry) {
    if (entry.second.dtype() != DType::kF32) return true;
    const std::span<const float> values = entry.second.template values<float>();
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  });
}

}  // namespace chainrule
