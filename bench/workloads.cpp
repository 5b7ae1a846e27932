// The workloads by name, and multilayer perceptrons as data: the widths, the batch, the optimiser.
// Weights and batches are random but fixed, so that every run and every rival begins at the same
// numbers.
#include "workloads.h"

#include "building.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"

namespace chainrule::bench {
namespace {

struct Perceptron {
  const char* name;
  std::vector<std::int64_t> widths;  // input, hidden …, classes
  std::int64_t batch;
  std::int64_t batches;
  bool adam;
  double learning_rate;
  bool from_probabilities;  // softmax, then cross-entropy with an epsilon, as the notebook has it
};

const std::vector<Perceptron>& perceptrons() {
  static const std::vector<Perceptron> list = {
      {"notebook", {2, 3, 2}, 3, 1, false, 0.01, true},
      {"mlp-small", {784, 128, 10}, 64, 8, false, 0.1, false},
      {"mlp-large", {784, 512, 512, 10}, 128, 8, true, 1e-3, false},
  };
  return list;
}

// The forward pass; its weights are appended to `weights`.
Value forward(Workload& workload, const Perceptron& model, Numbers& numbers, Value x,
              std::vector<Value>& weights) {
  Graph& graph = *workload.graph;
  for (std::size_t layer = 1; layer < model.widths.size(); ++layer) {
    const std::int64_t in = model.widths[layer - 1];
    const std::int64_t out = model.widths[layer];
    const std::string number = std::to_string(layer);
    const Value w = graph.parameter("w" + number, {DType::kF32, {in, out}});
    const Value b = graph.parameter("b" + number, {DType::kF32, {1, out}});
    workload.parameters["w" + number] =
        numbers.uniform(w.shape(), std::sqrt(2.0 / static_cast<double>(in)));
    workload.parameters["b" + number] = Tensor(DType::kF32, b.shape());
    weights.insert(weights.end(), {w, b});
    x = matmul(x, w) + b;
    if (layer + 1 < model.widths.size()) x = relu(x);
  }
  return x;
}

void add_updates(Workload& workload, const Perceptron& model, Value loss,
                 const std::vector<Value>& weights) {
  Graph& graph = *workload.graph;
  const Value step = graph.input("step", {DType::kF32, {}});
  const Value lr = constant(graph, model.learning_rate);
  const std::vector<Value> gradients = gradient(loss, weights);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Value w = weights[i];
    if (!model.adam) {
      graph.update(w, sgd_update(w, {}, gradients[i], lr)[0]);
      continue;
    }
    const auto state = [&](const char* prefix) {
      const std::string name = prefix + w.name();
      workload.parameters[name] = Tensor(DType::kF32, w.shape());
      return graph.parameter(name, w.type());
    };
    const Value m = state("m.");
    const Value v = state("v.");
    const std::vector<Value> next = adam_update(w, m, v, gradients[i], lr, step);
    graph.update(w, next[0]);
    graph.update(m, next[1]);
    graph.update(v, next[2]);
  }
}

Workload make_perceptron(const Perceptron& model) {
  Workload workload;
  Numbers numbers;
  workload.graph = std::make_unique<Graph>(model.name);
  Graph& graph = *workload.graph;
  const Value x = graph.input("x", {DType::kF32, {model.batch, model.widths.front()}});
  const Value t = graph.input("t", {DType::kI32, {model.batch}});
  std::vector<Value> weights;
  const Value scores = forward(workload, model, numbers, x, weights);
  const std::int64_t classes = model.widths.back();
  const Value loss = model.from_probabilities ? cross_entropy(softmax(scores), one_hot(t, classes))
                                              : softmax_cross_entropy(scores, t);
  graph.output("loss", loss);
  add_updates(workload, model, loss, weights);

  workload.x = numbers.uniform({model.batches, model.batch, model.widths.front()}, 1.0);
  workload.t = numbers.labels({model.batches, model.batch}, classes);
  return workload;
}

// The workloads that are no perceptrons.
struct Model {
  const char* name;
  Workload (*make)();
};
constexpr Model kModels[] = {{"lenet", make_lenet},
                             {"resnet20", make_resnet20},
                             {"char-lstm", make_char_lstm},
                             {"gpt-small", make_gpt_small},
                             {"gpt-medium", make_gpt_medium}};

}  // namespace

std::vector<std::string> workload_names() {
  std::vector<std::string> names;
  for (const Perceptron& model : perceptrons()) names.emplace_back(model.name);
  for (const Model& model : kModels) names.emplace_back(model.name);
  return names;
}

Workload make_workload(const std::string& name) {
  for (const Perceptron& model : perceptrons()) {
    if (model.name == name) return make_perceptron(model);
  }
  for (const Model& model : kModels) {
    if (model.name == name) return model.make();
  }
  std::string known;
  for (const std::string& other : workload_names()) known += (known.empty() ? "" : ", ") + other;
  throw UsageError("no workload \"" + name + "\"; there are " + known);
}

}  // namespace chainrule::bench
