// Attention, positions and transformer blocks: against PyTorch's numbers in
// tests/golden/transformer.json (made by tests/nn/make_transformer_golden.py), and against the same
// in other layers' words.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "chainrule/attention.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/nn.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "support/fixed_numbers.h"
#include "support/places.h"

using namespace chainrule;
using nlohmann::json;

namespace {

Value sequence(Graph& graph, const std::string& name, Shape shape) {
  return graph.input(name, {DType::kF32, std::move(shape)});
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double most = 0;
  for (std::size_t i = 0; i < a.values<double>().size(); ++i) {
    most = std::max(most, std::abs(a.values<double>()[i] - b.values<double>()[i]));
  }
  return most;
}

Tensor tensor_of(const json& array) {
  return Tensor::of<double>(array.at("shape").get<Shape>(),
                            array.at("values").get<std::vector<double>>());
}

// A case of the golden file as a graph: y, and the gradients of Σ cotangent ⊙ y.
struct GoldenCase {
  explicit GoldenCase(const json& golden) {
    x = input("x", golden.at("x"));
    BuildOptions options;
    if (golden.contains("memory")) {
      options.memory = input("memory", golden.at("memory"));
      options.memory_lengths = lengths("memory_lengths", golden.at("memory_lengths"));
    }
    if (!golden.at("lengths").is_null()) options.lengths = lengths("lengths", golden["lengths"]);
    const Value y =
        Sequential::parse(golden.at("model").get<std::string>()).build(x, options).output;
    for (const auto& [name, array] : golden.at("parameters").items()) {
      feed[name] = tensor_of(array);
    }
    const Value loss = sum(y * input("cotangent", golden.at("cotangent")));
    graph.output("loss", loss);
    expect("y", y, golden.at("y"));
    std::vector<Value> sources;
    for (const auto& [name, array] : golden.at("gradients").items()) {
      sources.push_back(graph.find(name));
    }
    const std::vector<Value> gradients = gradient(loss, sources);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      expect("d" + sources[i].name(), gradients[i], golden["gradients"][sources[i].name()]);
    }
  }
  Value input(const std::string& name, const json& array) {
    feed[name] = tensor_of(array);
    return graph.input(name, {DType::kF32, feed[name].shape()});
  }
  Value lengths(const std::string& name, const json& numbers) {
    const auto values = numbers.get<std::vector<std::int32_t>>();
    feed[name] = Tensor::of<std::int32_t>({static_cast<std::int64_t>(values.size())}, values);
    return graph.input(name, {DType::kI32, feed[name].shape()});
  }
  void expect(const std::string& name, Value value, const json& array) {
    graph.output(name, value);
    expected[name] = tensor_of(array);
    outputs.emplace_back(name, value);
  }

  Graph graph{"case"};
  Value x;
  TensorMap feed;
  TensorMap expected;
  std::vector<std::pair<std::string, Value>> outputs;
};

std::string initializer_of(const Sequential& model, const std::string& name,
                           std::optional<Initializer> init = {}) {
  for (const ParameterInfo& info : model.parameters({3, 8}, init)) {
    if (info.name == name) return info.initializer.to_text();
  }
  return "no such parameter";
}

}  // namespace

TEST_CASE("transformer blocks and their gradients are PyTorch's") {
  std::ifstream file(source_path("tests/golden/transformer.json"));
  const json cases = json::parse(file);
  REQUIRE(cases.size() == 5);
  for (const json& golden : cases) {
    CAPTURE(golden.at("model").get<std::string>());
    GoldenCase c(golden);
    const Evaluation run(c.graph, c.feed);
    for (const auto& output : c.outputs) {
      const auto& name = output.first;
      CAPTURE(name);
      CHECK(largest_difference(run.value(output.second), c.expected[name]) < 1e-9);
    }
    // The same on the CPU, in float32.
    auto parameters = std::make_shared<Parameters>();
    for (const Value& p : c.graph.parameters()) {
      parameters->set(p.name(), c.feed.at(p.name()).as(DType::kF32));
    }
    Program program(c.graph, parameters);
    for (const Value& in : c.graph.inputs()) {
      if (in.dtype() == DType::kI32) {
        const auto from = c.feed.at(in.name()).values<std::int32_t>();
        std::copy(from.begin(), from.end(), program.input<std::int32_t>(in.name()).begin());
      } else {
        const Tensor narrow = c.feed.at(in.name()).as(DType::kF32);
        const auto from = narrow.values<float>();
        std::copy(from.begin(), from.end(), program.input<float>(in.name()).begin());
      }
    }
    program.run();
    for (const auto& output : c.outputs) {
      const auto& name = output.first;
      CAPTURE(name);
      const auto mine = program.output<float>(name);
      const auto theirs = c.expected[name].values<double>();
      double worst = 0;
      for (std::size_t i = 0; i < mine.size(); ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(mine[i]) - theirs[i]));
      }
      CHECK(worst < 1e-4);
    }
  }
}

TEST_CASE("a transformer is its parts in the model's own words") {
  const auto shapes = [](const char* text) {
    std::vector<std::pair<std::string, Shape>> all;
    for (const ParameterInfo& info : Sequential::parse(text).parameters({3, 8})) {
      all.emplace_back(info.name, info.shape);
    }
    return all;
  };
  CHECK(shapes("transformer heads=2 layers=2 causal bias=false") ==
        shapes("repeat 2 (residual (layer_norm, attention heads=2 causal bias=false), "
               "residual (layer_norm, linear 32 bias=false, gelu, linear 8 bias=false))"));
  CHECK(shapes("transformer heads=2 norm=post hidden=5") ==
        shapes("repeat 1 (residual (attention heads=2), layer_norm, "
               "residual (linear 5, gelu, linear 8), layer_norm)"));
  CHECK(shapes("transformer_decoder heads=2") ==
        shapes("repeat 1 (residual (layer_norm, attention heads=2 causal), "
               "residual (layer_norm, attention heads=2 memory), "
               "residual (layer_norm, linear 32, gelu, linear 8))"));
  CHECK(Sequential::parse("transformer_encoder heads=2").to_text() == "transformer heads=2");
}

TEST_CASE("attention's options") {
  Graph graph;
  const Value x = sequence(graph, "x", {2, 3, 8});
  const Value step = graph.input("step", {DType::kF32, {}});
  const auto build = [&](const char* text, const BuildOptions& options) {
    return Sequential::parse(text).build(x, options).output;
  };
  SUBCASE("rotary turns each head's queries and keys") {
    const Value y = build("attention heads=2 rotary bias=false", {});
    const auto part = [&](const char* name) {
      return reshape(matmul(reshape(x, {6, 8}), graph.find(name)), {2, 3, 8});
    };
    const auto turned = [&](Value v) {
      return concatenate(
          {rotary(slice(v, {0, 0, 0}, {2, 3, 4})), rotary(slice(v, {0, 0, 4}, {2, 3, 8}))}, 2);
    };
    const Value read = attention(turned(part("1.query.weight")), turned(part("1.key.weight")),
                                 part("1.value.weight"), {.heads = 2});
    const Value by_hand =
        reshape(matmul(reshape(read, {6, 8}), graph.find("1.output.weight")), {2, 3, 8});
    const Evaluation run(graph, numbers_for(graph));
    CHECK(largest_difference(run.value(y), run.value(by_hand)) < 1e-12);
  }
  SUBCASE("dropping almost nothing changes almost nothing") {
    const Value lengths = graph.input("lengths", {DType::kI32, {2}});
    const BuildOptions training{.mode = Mode::kTrain, .step = step, .lengths = lengths};
    const Value y = build("attention heads=2 causal dropout=1e-13", training);
    const auto part = [&](Value v, const std::string& name) {
      return reshape(matmul(reshape(v, {6, 8}), graph.find("1." + name + ".weight")), {2, 3, 8}) +
             graph.find("1." + name + ".bias");
    };
    const Value limit = broadcast_to(reshape(to_float(lengths), {2, 1, 1}), {2, 1, 3});
    const Value place = broadcast_to(reshape(arange(graph, 3), {1, 1, 3}), {2, 1, 3});
    const Value by_hand = part(attention(part(x, "query"), part(x, "key"), part(x, "value"),
                                         {.heads = 2, .causal = true, .mask = less(place, limit)}),
                               "output");
    TensorMap feed = numbers_for(graph);
    for (const std::int32_t first : {2, 0}) {  // with 0 a row reads nothing
      feed["lengths"] = Tensor::of<std::int32_t>({2}, {first, 3});
      const Evaluation run(graph, feed);
      CHECK(largest_difference(run.value(y), run.value(by_hand)) < 1e-9);
    }
  }
  SUBCASE("dropout drops weights in training only") {
    const Sequential model = Sequential::parse("attention heads=2 dropout=0.5");
    Graph without_step;
    CHECK_THROWS_AS(model.build(sequence(without_step, "x", {2, 3, 8}), {.mode = Mode::kTrain}),
                    UsageError);
    model.build(x, {.mode = Mode::kTrain, .step = step});
    CHECK(std::any_of(graph.nodes().begin(), graph.nodes().end(),
                      [](const Node& node) { return is(node, "random_uniform"); }));
  }
}

TEST_CASE("positions are added to a sequence, which may be shorter than what was learned") {
  Graph graph;
  const Value x = sequence(graph, "x", {2, 3, 4});
  const Value learned = Sequential::parse("positions learned length=5").build(x).output;
  const Value fixed = Sequential::parse("positions sinusoidal").build(x).output;
  const Value by_hand = x + slice(graph.find("1.weight"), {0, 0}, {3, 4});
  const Value waves = x + sinusoidal_positions(graph, 3, 4);
  const Evaluation run(graph, numbers_for(graph));
  CHECK(largest_difference(run.value(learned), run.value(by_hand)) == 0);
  CHECK(largest_difference(run.value(fixed), run.value(waves)) == 0);
}

TEST_CASE("a transformer's weights start as GPT-2's do, unless told") {
  const Sequential model = Sequential::parse("transformer heads=2 layers=4");
  CHECK(initializer_of(model, "1.1.1.2.query.weight") == "normal:0.02");
  CHECK(initializer_of(model, "1.4.1.2.output.weight") == "normal:0.00707");
  CHECK(initializer_of(model, "1.4.2.2.weight") == "normal:0.02");
  CHECK(initializer_of(model, "1.4.2.4.weight") == "normal:0.00707");
  const Initializer all = Initializer::parse("orthogonal");
  CHECK(initializer_of(model, "1.1.1.2.output.weight", all) == "orthogonal");
  const Sequential own = Sequential::parse("transformer heads=2 layers=4 init=he_normal");
  CHECK(initializer_of(own, "1.4.2.4.weight", all) == "he_normal");
  CHECK(initializer_of(Sequential::parse("attention heads=2"), "1.key.weight") == "xavier_uniform");
}

TEST_CASE("what attention and positions refuse") {
  const auto error = [](const char* text, const Shape& input) -> std::string {
    try {
      Sequential::parse(text).output_shape(input);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  CHECK(error("attention heads=3", {3, 8}) ==
        "layer 1 (attention heads=3): 3 heads do not divide the 8 features that come");
  CHECK(error("linear 4, attention", {8}) ==
        "layer 2 (attention): expected input [B, T, C], got [B, 4]");
  CHECK(error("attention heads=8 rotary", {3, 8})
            .starts_with("layer 1 (attention heads=8 rotary): "));
  CHECK(error("transformer heads=3", {3, 8})
            .starts_with("layer 1.1.1.2 (attention heads=3 init=normal:0.02"));
  CHECK(error("transformer", {3, 8}).starts_with("column 1: transformer needs heads"));
  CHECK(error("positions learned length=2", {3, 8}) ==
        "layer 1 (positions learned length=2): knows 2 positions, but a sequence has 3 steps");
  CHECK(error("positions learned", {3, 8}).ends_with("as in \"positions learned length=3\""));
  CHECK(error("positions learnt", {3, 8}) ==
        "column 11: positions: expected learned or sinusoidal, got \"learnt\"");
  Graph graph;
  const Value x = sequence(graph, "x", {2, 3, 8});
  CHECK_THROWS_WITH_AS(Sequential::parse("attention memory").build(x),
                       "layer 1 (attention memory): reads a memory, but BuildOptions::memory is "
                       "empty",
                       UsageError);
  const Value memory = sequence(graph, "memory", {3, 3, 8});
  CHECK_THROWS_AS(Sequential::parse("attention memory").build(x, {.memory = memory}), ShapeError);
}
