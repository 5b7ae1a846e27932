// Language models on characters, one label a step: an LSTM, and GPTs.
#include <fmt/format.h>

#include "building.h"
#include "chainrule/nn.h"
#include "chainrule/ops.h"
#include "chainrule/optim.h"
#include "chainrule/recurrent.h"
#include "workloads.h"

namespace chainrule::bench {

Workload make_char_lstm() {
  constexpr std::int64_t kVocabulary = 65;
  constexpr std::int64_t kEmbedding = 64;
  constexpr std::int64_t kUnits = 256;
  constexpr std::int64_t kSteps = 64;
  constexpr std::int64_t kBatch = 32;
  constexpr std::int64_t kBatches = 4;
  Workload workload;
  Numbers numbers;
  workload.graph = std::make_unique<Graph>("char-lstm");
  Graph& graph = *workload.graph;
  std::vector<Value> weights;
  const auto weight = [&](const std::string& name, Shape shape, double deviation) {
    workload.parameters[name] = numbers.uniform(shape, deviation);
    return weights.emplace_back(graph.parameter(name, {DType::kF32, std::move(shape)}));
  };
  const double small = 1 / std::sqrt(3.0 * kUnits);
  const Value x = graph.input("x", {DType::kI32, {kBatch, kSteps}});
  const Value t = graph.input("t", {DType::kI32, {kBatch, kSteps}});
  const Value table = weight("w1", {kVocabulary, kEmbedding}, 1);
  const Value wx = weight("w2", {kEmbedding, 4 * kUnits}, small);
  const Value wh = weight("w3", {kUnits, 4 * kUnits}, small);
  const Value b = weight("b3", {4 * kUnits}, small);
  const Value w = weight("w4", {kUnits, kVocabulary}, small);
  const Value end = weight("b4", {kVocabulary}, small);

  const Value zero = constant(graph, 0.0, {kBatch, kUnits});
  const Value y = lstm(gather(table, x), zero, zero, wx, wh, b).y;
  const Value scores =
      reshape(matmul(reshape(y, {-1, kUnits}), w) + end, {kBatch, kSteps, kVocabulary});
  const Value loss = softmax_cross_entropy(scores, t);
  graph.output("loss", loss);
  const Value lr = constant(graph, 1e-3);
  const Value step = graph.input("step", {DType::kF32, {}});
  apply(Optimizer::parse("adam"), loss, weights, lr, step, {.norm = 1.0});
  for (const Value& p : graph.parameters()) {  // the moments
    workload.parameters.try_emplace(p.name(), p.dtype(), p.shape());
  }
  workload.x = numbers.labels({kBatches, kBatch, kSteps}, kVocabulary);
  workload.t = numbers.labels({kBatches, kBatch, kSteps}, kVocabulary);
  return workload;
}

namespace {

struct Gpt {
  const char* name;
  std::int64_t layers, heads, width, block, batch;
};

Workload make_gpt(const Gpt& gpt) {
  constexpr std::int64_t kVocabulary = 65;
  constexpr std::int64_t kBatches = 4;
  const Sequential model = Sequential::parse(
      fmt::format("embedding {0} vocabulary={1} init=normal:0.02, positions learned length={2}, "
                  "transformer heads={3} layers={4} causal bias=false, layer_norm, "
                  "linear {1} bias=false init=normal:0.02",
                  gpt.width, kVocabulary, gpt.block, gpt.heads, gpt.layers));
  Workload workload;
  workload.graph = std::make_unique<Graph>(gpt.name);
  Graph& graph = *workload.graph;
  const Value x = graph.input("x", {DType::kI32, {gpt.batch, gpt.block}});
  const Value t = graph.input("t", {DType::kI32, {gpt.batch, gpt.block}});
  const Value step = graph.input("step", {DType::kF32, {}});
  const Network network = model.build(x, {.mode = Mode::kTrain, .step = step});
  const Value loss = softmax_cross_entropy(network.output, t);
  graph.output("loss", loss);
  apply(Optimizer::parse("adamw weight_decay=0.1"), loss, network.trained, constant(graph, 1e-3),
        step, {});
  workload.parameters = initialize(model, {gpt.block}, 1);
  for (const Value& p : graph.parameters()) {  // the moments
    workload.parameters.try_emplace(p.name(), p.dtype(), p.shape());
  }
  Numbers numbers;
  workload.x = numbers.labels({kBatches, gpt.batch, gpt.block}, kVocabulary);
  workload.t = numbers.labels({kBatches, gpt.batch, gpt.block}, kVocabulary);
  return workload;
}

}  // namespace

Workload make_gpt_small() { return make_gpt({"gpt-small", 4, 4, 128, 64, 12}); }
Workload make_gpt_medium() { return make_gpt({"gpt-medium", 6, 6, 384, 256, 8}); }

}  // namespace chainrule::bench
