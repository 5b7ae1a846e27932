// A network's training step, checked from both ends: its gradients by differences, and what the CPU
// backend computes in float32 by the reference.
#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/gradient_check.h"
#include "chainrule/program.h"
#include "chainrule/train.h"
#include "explain/entry.h"
#include "explain/numeric.h"

namespace chainrule {
namespace {

TensorMap feed_of(const Graph& step, const TensorMap& parameters, const Dataset& batch, double lr) {
  TensorMap feed = parameters;
  feed["x"] = batch.x;
  feed["target"] = batch.classes.empty() ? batch.y : batch.labels;
  feed["lr"] = Tensor::of<float>({}, {static_cast<float>(lr)});
  feed["step"] = Tensor::of<float>({}, {1.0F});
  for (const Value& p : step.parameters()) feed.try_emplace(p.name(), DType::kF32, p.shape());
  return feed;
}

Value output_of(const Graph& graph, std::string_view name) {
  for (const auto& [key, value] : graph.outputs()) {
    if (key == name) return value;
  }
  throw Error("the step has no output " + std::string(name));
}

std::vector<Value> trained_of(const Graph& step, const Sequential& network, const Dataset& batch) {
  Shape example = batch.x.shape();
  example.erase(example.begin());
  std::vector<Value> trained;
  for (const ParameterInfo& info : network.parameters(example)) {
    if (info.trained) trained.push_back(step.find(info.name));
  }
  return trained;
}

double largest(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  double most = 0;
  for (const double x : wide.values<double>()) most = std::max(most, std::abs(x));
  return most;
}

// Float32 leaves a rounding error of its largest terms where a sum cancels to nothing, as before a
// batch norm: numbers below this share of the largest are compared as if they were that large.
constexpr double kShare = 0.01;

BackendCheck compared(std::string what, std::string name, const Tensor& cpu,
                      const Tensor& reference, double scale, double tolerance) {
  BackendCheck check;
  check.what = std::move(what);
  check.name = std::move(name);
  const Tensor wide = cpu.as(DType::kF64);
  const std::span<const double> c = wide.values<double>();
  const std::span<const double> r = reference.values<double>();
  std::size_t worst = 0;
  double difference = -1;
  for (std::size_t i = 0; i < r.size(); ++i) {
    const double d = std::abs(c[i] - r[i]);
    if (!(d <= difference)) {
      difference = d;
      worst = i;
      if (std::isnan(d)) break;
    }
  }
  check.where = check.name + subscript(reference.shape(), worst);
  check.cpu = c[worst];
  check.reference = r[worst];
  check.error = difference == 0 ? 0 : difference / std::max(largest(reference), scale);
  if (std::isnan(difference)) check.error = INFINITY;
  check.passed = check.error <= tolerance;
  return check;
}

Tensor output_tensor(const Program& program, const std::string& name, const Shape& shape) {
  return Tensor::of<float>(shape, program.output<float>(name));
}

class CpuStep {
 public:
  CpuStep(const Graph& graph, const TensorMap& feed, int threads)
      : parameters_(std::make_shared<Parameters>()),
        program_(bound(graph, feed), parameters_, {make_thread_pool(threads), "loss"}) {
    for (const Value& input : graph.inputs())
      program_.bind(input.name(), feed.at(input.name()).data());
    program_.run();
  }
  const Program& program() const { return program_; }
  const Parameters& parameters() const { return *parameters_; }

 private:
  const Graph& bound(const Graph& graph, const TensorMap& feed) {
    for (const Value& p : graph.parameters()) parameters_->set(p.name(), feed.at(p.name()));
    return graph;
  }
  std::shared_ptr<Parameters> parameters_;
  Program program_;
};

double largest_of(const std::vector<Tensor>& tensors) {
  double most = 0;
  for (const Tensor& tensor : tensors) most = std::max(most, largest(tensor));
  return most;
}

// The gradients are outputs of a graph of their own: in the step itself they may be fused away.
// Returns what the reference says they are.
std::vector<Tensor> check_cpu_gradients(NetworkCheck& check, Value loss,
                                        const std::vector<Value>& trained, const TensorMap& feed,
                                        const NetworkCheckOptions& options) {
  std::vector<std::pair<std::string, Value>> kept{{"loss", loss}};
  for (const Value& p : trained) kept.emplace_back(p.name(), p);
  const std::unique_ptr<Graph> graph = needed_part(kept);
  std::vector<Value> wrt;
  for (const Value& p : trained) wrt.push_back(graph->find(p.name()));
  const std::vector<Value> d = gradient(graph->outputs()[0].second, wrt);
  for (std::size_t i = 0; i < d.size(); ++i) graph->output("gradient/" + trained[i].name(), d[i]);
  const Evaluation reference(*graph, feed);
  const CpuStep cpu(*graph, feed, options.threads);
  check.backend.push_back(compared("loss", "", output_tensor(cpu.program(), "loss", {}),
                                   reference.value(graph->outputs()[0].second), 0,
                                   options.cpu_tolerance));
  std::vector<Tensor> gradients;
  for (const Value& v : d) gradients.push_back(reference.value(v));
  const double scale = kShare * largest_of(gradients);
  for (std::size_t i = 0; i < d.size(); ++i) {
    const std::string& name = trained[i].name();
    check.backend.push_back(compared(
        "gradient", name, output_tensor(cpu.program(), "gradient/" + name, trained[i].shape()),
        gradients[i], scale, options.cpu_tolerance));
  }
  return gradients;
}

// Adam makes a full step even of a gradient that is all rounding: such entries are left out.
Tensor where_significant(const Tensor& cpu, const Tensor& reference, const Tensor& gradient,
                         double noise) {
  Tensor result = cpu.as(DType::kF64);
  for (std::size_t i = 0; i < result.values<double>().size(); ++i) {
    if (std::abs(gradient.values<double>()[i]) <= noise) {
      result.values<double>()[i] = reference.values<double>()[i];
    }
  }
  return result;
}

// Weights, and what the step updates by itself, such as running statistics.
void check_cpu_update(NetworkCheck& check, const Graph& step, const std::vector<Value>& trained,
                      const std::vector<Tensor>& gradients, const TensorMap& feed,
                      const NetworkCheckOptions& options) {
  const TensorMap after = Evaluation(step, feed).updated();
  const CpuStep cpu(step, feed, options.threads);
  double most = 0;
  for (const auto& [name, tensor] : after) most = std::max(most, largest(tensor));
  const double noise = options.cpu_tolerance * kShare * largest_of(gradients);
  for (const auto& [parameter, next] : step.updates()) {
    const std::string& name = parameter.name();
    if (is_optimizer_state(name)) continue;
    Tensor of_cpu = cpu.parameters().at(name);
    const auto place = std::find(trained.begin(), trained.end(), parameter);
    if (place != trained.end()) {
      const Tensor& g = gradients[static_cast<std::size_t>(place - trained.begin())];
      of_cpu = where_significant(of_cpu, after.at(name), g, noise);
    }
    check.backend.push_back(
        compared("update", name, of_cpu, after.at(name), kShare * most, options.cpu_tolerance));
  }
}

}  // namespace

bool NetworkCheck::passed() const {
  const auto good = [](const auto& check) { return check.passed; };
  return std::all_of(gradients.begin(), gradients.end(), good) &&
         std::all_of(backend.begin(), backend.end(), good);
}

NetworkCheck check_network(const Sequential& network, const TensorMap& parameters,
                           const Dataset& batch, const NetworkCheckOptions& options) {
  const std::unique_ptr<Graph> step =
      training_step(network, batch.x.shape(), static_cast<std::int64_t>(batch.classes.size()),
                    {.optimizer = options.optimizer, .clip = options.clip, .seed = options.seed});
  const Value loss = output_of(*step, "loss");
  const std::vector<Value> trained = trained_of(*step, network, batch);
  const double lr = options.lr > 0 ? options.lr : options.optimizer.usual_rate();
  const TensorMap feed = feed_of(*step, parameters, batch, lr);
  NetworkCheck check;
  check.loss = Evaluation(*step, feed).scalar(loss);
  check.gradients = check_gradient(loss, trained, feed, options.gradient);
  const std::vector<Tensor> gradients = check_cpu_gradients(check, loss, trained, feed, options);
  check_cpu_update(check, *step, trained, gradients, feed, options);
  return check;
}

}  // namespace chainrule
