#include "support/gradient_check.h"

#include <cmath>
#include <numeric>

#include "chainrule/gradient.h"

namespace chainrule {
namespace {

constexpr double kStep =
    1e-5;  // error of the difference ~ h² ≈ 1e-10, of rounding ~ 1e-16/h ≈ 1e-11

std::vector<double> numbers(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

std::vector<double> evaluate(const Graph& graph, const TensorMap& feed, Value y) {
  return numbers(Evaluation(graph, feed).value(y));
}

TensorMap moved(TensorMap feed, Value x, const std::vector<double>& direction, double distance) {
  Tensor tensor = feed.at(x.name()).as(DType::kF64);
  for (std::size_t i = 0; i < direction.size(); ++i) {
    tensor.values<double>()[i] += distance * direction[i];
  }
  feed.insert_or_assign(x.name(), std::move(tensor));
  return feed;
}

void record(GradientReport& report, double analytic, double numeric, const std::string& where) {
  const double error = std::abs(analytic - numeric) / (1 + std::abs(numeric));
  report.norm = std::hypot(report.norm, analytic);
  if (!(error <= report.worst_error)) {  // NaN counts as worst
    report.worst_error = std::isnan(error) ? INFINITY : error;
    report.where =
        where + ": analytic " + std::to_string(analytic) + ", numeric " + std::to_string(numeric);
  }
}

}  // namespace

std::vector<Value> real_inputs(Value y) {
  const Graph& graph = y.graph();
  std::vector<bool> needed(graph.nodes().size(), false);
  needed[static_cast<std::size_t>(y.node().id)] = true;
  std::vector<Value> inputs;
  for (std::int64_t id = y.node().id; id >= 0; --id) {
    const auto i = static_cast<std::size_t>(id);
    if (!needed[i]) continue;
    const Node& node = graph.nodes()[i];
    if (node.op->source && node.types[0].dtype == DType::kF32) inputs.push_back(node.output());
    for (const Value& input : node.inputs) needed[static_cast<std::size_t>(input.node().id)] = true;
  }
  return inputs;
}

GradientReport check_jacobian(Samples& samples, Value y, Value x) {
  Graph& graph = samples.graph();
  const Value dy = samples.random_like(y);
  const Value dx = gradient(y, {x}, dy)[0];
  const auto inputs = static_cast<std::size_t>(element_count(x.shape()));
  const auto outputs = static_cast<std::size_t>(element_count(y.shape()));

  std::vector<std::vector<double>> rows;  // [output][input]
  for (std::size_t i = 0; i < outputs; ++i) {
    std::vector<double> unit(outputs, 0.0);
    unit[i] = 1;
    TensorMap feed = samples.feed;
    feed.insert_or_assign(dy.name(), Tensor::of<double>(y.shape(), unit));
    rows.push_back(evaluate(graph, feed, dx));
  }
  GradientReport report;
  for (std::size_t j = 0; j < inputs; ++j) {
    std::vector<double> unit(inputs, 0.0);
    unit[j] = 1;
    const auto above = evaluate(graph, moved(samples.feed, x, unit, kStep), y);
    const auto below = evaluate(graph, moved(samples.feed, x, unit, -kStep), y);
    for (std::size_t i = 0; i < outputs; ++i) {
      record(report, rows[i][j], (above[i] - below[i]) / (2 * kStep),
             "d output[" + std::to_string(i) + "] / d " + x.name() + "[" + std::to_string(j) + "]");
    }
  }
  return report;
}

GradientReport check_direction(Samples& samples, Value y, const std::vector<Value>& x) {
  Graph& graph = samples.graph();
  const Value dy = samples.random_like(y);
  const std::vector<double> cotangent = numbers(samples.feed.at(dy.name()));
  const std::vector<Value> dx = gradient(y, x, dy);
  const Evaluation evaluation(graph, samples.feed);

  TensorMap above = samples.feed;
  TensorMap below = samples.feed;
  double analytic = 0;
  GradientReport report;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const Value v = samples.random_like(x[k]);
    const std::vector<double> direction = numbers(samples.feed.at(v.name()));
    above = moved(above, x[k], direction, kStep);
    below = moved(below, x[k], direction, -kStep);
    const std::vector<double> d = numbers(evaluation.value(dx[k]));
    analytic = std::inner_product(d.begin(), d.end(), direction.begin(), analytic);
  }
  for (const auto& [name, tensor] : samples.feed) {  // the directions are inputs too, made last
    above.try_emplace(name, tensor);
    below.try_emplace(name, tensor);
  }
  const std::vector<double> y1 = evaluate(graph, above, y);
  const std::vector<double> y0 = evaluate(graph, below, y);
  double numeric = 0;
  for (std::size_t i = 0; i < y1.size(); ++i)
    numeric += cotangent[i] * (y1[i] - y0[i]) / (2 * kStep);
  record(report, analytic, numeric, "directional derivative");
  return report;
}

}  // namespace chainrule
