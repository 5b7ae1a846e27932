// A network's training step, checked from both ends: its gradients by differences, and what the CPU
// backend computes in float32 by the reference.
#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/gradient_check.h"
#include "chainrule/program.h"
#include "chainrule/train.h"
#include "explain/verify/network_check.h"
#include "explain/verify/numeric.h"
#include "explain/verify/rounding.h"
#include "notation/entry.h"

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

// The gradients are outputs of a graph of their own: in the step itself they may be fused away.
void check_cpu_gradients(NetworkCheck& check, Value loss, const std::vector<Value>& trained,
                         const TensorMap& feed, const NetworkCheckOptions& options) {
  std::vector<std::pair<std::string, Value>> kept{{"loss", loss}};
  for (const Value& p : trained) kept.emplace_back(p.name(), p);
  const std::unique_ptr<Graph> graph = needed_part(kept);
  std::vector<Value> wrt;
  for (const Value& p : trained) wrt.push_back(graph->find(p.name()));
  const std::vector<Value> d = gradient(graph->outputs()[0].second, wrt);
  for (std::size_t i = 0; i < d.size(); ++i) graph->output("gradient/" + trained[i].name(), d[i]);
  const Evaluation reference(*graph, feed);
  const Rounding rounding = rounding_of(*graph, feed, Precision::kFloat32);
  const CpuStep cpu(*graph, feed, options.threads);
  check.backend.push_back(compared("loss", "", output_tensor(cpu.program(), "loss", {}),
                                   reference.value(graph->outputs()[0].second),
                                   rounding.outputs.at("loss")));
  for (std::size_t i = 0; i < d.size(); ++i) {
    const std::string& name = trained[i].name();
    const std::string output = "gradient/" + name;
    check.backend.push_back(compared("gradient", name,
                                     output_tensor(cpu.program(), output, trained[i].shape()),
                                     reference.value(d[i]), rounding.outputs.at(output)));
  }
}

// Weights, and what the step updates by itself, such as running statistics.
void check_cpu_update(NetworkCheck& check, const Graph& step, const TensorMap& feed,
                      const NetworkCheckOptions& options) {
  const TensorMap after = Evaluation(step, feed).updated();
  const Rounding rounding = rounding_of(step, feed, Precision::kFloat32);
  const CpuStep cpu(step, feed, options.threads);
  for (const auto& [parameter, next] : step.updates()) {
    const std::string& name = parameter.name();
    if (is_optimizer_state(name)) continue;
    check.backend.push_back(compared("update", name, cpu.parameters().at(name), after.at(name),
                                     rounding.updates.at(name)));
  }
}

}  // namespace

BackendCheck compared(std::string what, std::string name, const Tensor& cpu,
                      const Tensor& reference, std::span<const double> rounding) {
  BackendCheck check;
  check.what = std::move(what);
  check.name = std::move(name);
  const Tensor wide = cpu.as(DType::kF64);
  const std::span<const double> c = wide.values<double>();
  const std::span<const double> r = reference.values<double>();
  std::size_t worst = 0;
  double most = -1;  // times what rounding may do
  for (std::size_t i = 0; i < r.size(); ++i) {
    const double d = std::abs(c[i] - r[i]);
    const double times = std::isfinite(d) ? d / rounding[i] : INFINITY;
    if (times <= most) continue;
    most = times;
    worst = i;
  }
  check.passed = most <= 1;
  check.where = check.name + subscript(reference.shape(), worst);
  if (r.empty()) return check;
  check.cpu = c[worst];
  check.reference = r[worst];
  const double difference = std::abs(check.cpu - check.reference);
  const double scale = largest(reference);
  const auto relative = [&](double x) { return x == 0 ? 0 : x / (scale > 0 ? scale : 1); };
  check.error = std::isfinite(difference) ? relative(difference) : INFINITY;
  check.allowed = relative(rounding[worst]);
  return check;
}

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
  check_cpu_gradients(check, loss, trained, feed, options);
  check_cpu_update(check, *step, feed, options);
  return check;
}

}  // namespace chainrule
