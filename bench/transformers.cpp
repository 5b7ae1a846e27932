// Language models on characters in GPT-2's form: tokens and places embedded, blocks of attention
// and a wider layer around which the signal passes, all behind layer norms.
#include "building.h"
#include "chainrule/attention.h"
#include "chainrule/ops.h"
#include "chainrule/optim.h"
#include "workloads.h"

namespace chainrule::bench {
namespace {

struct Gpt {
  std::int64_t layers, heads, width, steps, batch;
};

constexpr std::int64_t kVocabulary = 65;
constexpr std::int64_t kBatches = 4;

class Builder {
 public:
  Builder(const std::string& name, const Gpt& gpt) : gpt_(gpt) {
    workload.graph = std::make_unique<Graph>(name);
    x_ = workload.graph->input("x", {DType::kI32, {gpt.batch, gpt.steps}});
    t_ = workload.graph->input("t", {DType::kI32, {gpt.batch, gpt.steps}});
  }

  Workload build() {
    const std::int64_t width = gpt_.width;
    const Value places =
        broadcast_to(weight("places", {gpt_.steps, width}), {gpt_.batch, gpt_.steps, width});
    Value h = rows(gather(weight("tokens", {kVocabulary, width}), x_) + places);
    for (std::int64_t i = 0; i < gpt_.layers; ++i) {
      layer_ = std::to_string(i) + ".";
      h = h + linear("project", attend(norm("norm1", h)), width);
      h = h + linear("narrow", gelu(linear("widen", norm("norm2", h), 4 * width)), width);
    }
    layer_ = "";
    const Value scores = linear("scores", norm("norm", h), kVocabulary);
    return finish(reshape(scores, {gpt_.batch, gpt_.steps, kVocabulary}));
  }

  Workload workload;

 private:
  // [B, T, C] as [B·T, C]: the same numbers.
  static Value rows(Value v) { return reshape(v, {-1, v.extent(-1)}); }

  Value attend(Value h) {
    const auto part = [&](const char* name) {
      return reshape(linear(name, h, gpt_.width), {gpt_.batch, gpt_.steps, gpt_.width});
    };
    const Value query = part("query");
    const Value key = part("key");
    return rows(attention(query, key, part("value"), {.heads = gpt_.heads, .causal = true}));
  }
  Value linear(const std::string& name, Value from, std::int64_t units) {
    const Value w = weight(name + ".w", {from.extent(1), units});
    return matmul(from, w) + start(name + ".b", units, 0);
  }
  Value norm(const std::string& name, Value from) {
    const Value gain = start(name + ".g", from.extent(1), 1);
    return layer_norm(from, gain, start(name + ".b", from.extent(1), 0));
  }
  Value weight(const std::string& name, const Shape& shape) {
    workload.parameters[layer_ + name] = numbers_.uniform(shape, 0.02);
    return weights_.emplace_back(workload.graph->parameter(layer_ + name, {DType::kF32, shape}));
  }
  Value start(const std::string& name, std::int64_t units, float value) {
    Tensor tensor(DType::kF32, {units});
    std::ranges::fill(tensor.values<float>(), value);
    workload.parameters[layer_ + name] = tensor;
    return weights_.emplace_back(workload.graph->parameter(layer_ + name, {DType::kF32, {units}}));
  }

  Workload finish(Value scores) {
    Graph& graph = *workload.graph;
    const Value loss = softmax_cross_entropy(scores, t_);
    graph.output("loss", loss);
    const Value step = graph.input("step", {DType::kF32, {}});
    apply(Optimizer::parse("adamw weight_decay=0.1"), loss, weights_, constant(graph, 1e-3), step,
          {});
    for (const Value& p : graph.parameters()) {  // the moments
      workload.parameters.try_emplace(p.name(), p.dtype(), p.shape());
    }
    workload.x = numbers_.labels({kBatches, gpt_.batch, gpt_.steps}, kVocabulary);
    workload.t = numbers_.labels({kBatches, gpt_.batch, gpt_.steps}, kVocabulary);
    return std::move(workload);
  }

  Gpt gpt_;
  Numbers numbers_;
  Value x_, t_;
  std::vector<Value> weights_;
  std::string layer_;  // in front of the names of its parameters
};

}  // namespace

Workload make_gpt_small() {
  return Builder("gpt-small", {.layers = 4, .heads = 4, .width = 128, .steps = 64, .batch = 12})
      .build();
}

Workload make_gpt_medium() {
  return Builder("gpt-medium", {.layers = 6, .heads = 6, .width = 384, .steps = 256, .batch = 8})
      .build();
}

}  // namespace chainrule::bench
