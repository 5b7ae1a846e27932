// The search for the first bad number: a failed step is run again by the reference interpreter,
// which keeps every intermediate value.
#include "train/non_finite.h"

#include <algorithm>
#include <cmath>

#include "base/format.h"
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

bool all_finite(const TensorMap& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const auto& entry) {
    if (entry.second.dtype() != DType::kF32) return true;
    const std::span<const float> values = entry.second.template values<float>();
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  });
}

}  // namespace chainrule
