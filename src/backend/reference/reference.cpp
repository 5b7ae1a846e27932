// The float64 interpreter. A macro op is run by way of its expansion, so its meaning is stated
// once.
#include "chainrule/reference.h"

#include <limits>

#include "backend/reference/lazy.h"
#include "chainrule/error.h"
#include "graph/op.h"

namespace chainrule {
namespace {

using Arrays = std::vector<Array>;

std::vector<double> numbers(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  const std::span<const double> values = wide.values<double>();
  return {values.begin(), values.end()};
}

// The nodes of a graph that have no values yet, in turn. source_value(node) gives the array of an
// input or parameter.
template <typename F>
void run_rest(const Graph& graph, Precision precision, std::vector<Arrays>& values,
              F source_value) {
  for (std::size_t i = values.size(); i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    Arrays out;
    if (node.op->source) {
      out = {source_value(node)};
    } else {
      std::vector<const Array*> in;
      for (const Value& input : node.inputs) {
        in.push_back(&values[static_cast<std::size_t>(input.node().id)][input.index()]);
      }
      out = computed_by(node, in);
    }
    if (precision == Precision::kFloat32) {
      for (Array& array : out) {
        for (double& x : array.data) x = static_cast<double>(static_cast<float>(x));
      }
    }
    values.push_back(std::move(out));
  }
}

// The expansion of a macro node, in a graph of its own.
Arrays run_expansion(const Node& node, std::span<const Array* const> in) {
  Graph graph("expansion");
  std::vector<Value> inputs;
  for (const Value& input : node.inputs) {
    const std::string name = "x" + std::to_string(inputs.size());
    inputs.push_back(graph.input(name, input.type()));
  }
  const std::vector<Value> results = expand_onto(node, inputs);
  std::vector<Arrays> values;
  run_rest(graph, Precision::kFloat64, values,
           [&](const Node& source) { return *in[static_cast<std::size_t>(source.id)]; });
  Arrays out;
  for (const Value& result : results) {
    out.push_back(values[static_cast<std::size_t>(result.node().id)][result.index()]);
  }
  return out;
}

}  // namespace

Array fed(const Node& node, const TensorMap& feed) {
  const std::string& name = node.names[0];
  const auto found = feed.find(name);
  if (found == feed.end()) {
    throw UsageError("graph " + node.graph->name() + ": nothing given for \"" + name + "\"");
  }
  if (found->second.shape() != node.types[0].shape) {
    throw ShapeError(name + ": expected " + to_string(node.types[0].shape) + ", got " +
                     to_string(found->second.shape()));
  }
  return {node.types[0].shape, numbers(found->second)};
}

std::vector<Array> computed_by(const Node& node, std::span<const Array* const> in) {
  if (node.op->expand != nullptr) return run_expansion(node, in);
  Arrays out;
  for (const Type& type : node.types) {
    const auto count = static_cast<std::size_t>(element_count(type.shape));
    out.push_back(
        {type.shape, std::vector<double>(count, std::numeric_limits<double>::quiet_NaN())});
  }
  node.op->eval({node, in, out});
  return out;
}

struct Evaluation::Values {
  std::vector<Arrays> of_node;  // [node][output]
  const Array& at(Value v) const {
    return of_node[static_cast<std::size_t>(v.node().id)][v.index()];
  }
};

Evaluation::Evaluation(const Graph& graph, const TensorMap& feed, Precision precision)
    : graph_(graph), precision_(precision), values_(std::make_unique<Values>()) {
  extend(feed);
}

Evaluation::Evaluation(Evaluation&&) noexcept = default;
Evaluation::~Evaluation() = default;

void Evaluation::extend(const TensorMap& feed) {
  run_rest(graph_, precision_, values_->of_node,
           [&](const Node& source) { return fed(source, feed); });
}

Tensor Evaluation::value(Value v) const {
  const Tensor tensor = Tensor::of<double>(v.shape(), values_->at(v).data);
  return v.dtype() == DType::kI32 ? tensor.as(DType::kI32) : tensor;
}

double Evaluation::scalar(Value v) const { return values_->at(v).data.front(); }

TensorMap Evaluation::outputs() const {
  TensorMap outputs;
  for (const auto& [name, v] : graph_.outputs()) outputs.insert_or_assign(name, value(v));
  return outputs;
}

TensorMap Evaluation::updated() const {
  TensorMap parameters;
  for (const Value& p : graph_.parameters()) parameters.insert_or_assign(p.name(), value(p));
  for (const auto& [p, next] : graph_.updates()) {
    parameters.insert_or_assign(p.name(), value(next));
  }
  return parameters;
}

}  // namespace chainrule
