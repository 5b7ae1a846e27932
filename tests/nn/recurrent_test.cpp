// The recurrent layers and the embedding: shapes, names, first values, directions, and the state
// that goes from batch to batch.
#include <doctest/doctest.h>

#include <cmath>

#include "chainrule/error.h"
#include "chainrule/nn.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "chainrule/recurrent.h"
#include "chainrule/train.h"

using namespace chainrule;

namespace {

Tensor waves(const Shape& shape, double frequency) {
  Tensor x(DType::kF32, shape);
  double i = 0;
  for (float& v : x.values<float>()) v = static_cast<float>(std::sin(frequency * ++i));
  return x;
}

std::vector<std::string> names_of(const Sequential& model, const Shape& input) {
  std::vector<std::string> names;
  for (const ParameterInfo& info : model.parameters(input)) {
    names.push_back(info.name + to_string(info.shape));
  }
  return names;
}

std::vector<double> outputs_of(const Network& network, const TensorMap& weights, const Tensor& x) {
  TensorMap feed = weights;
  feed.insert_or_assign("x", x);
  const Tensor y = Evaluation(network.output.graph(), feed).value(network.output);
  return {y.values<double>().begin(), y.values<double>().end()};
}

}  // namespace

TEST_CASE("recurrent layers give the last state or all of them, as wide as the options say") {
  const auto shape = [](const char* text) { return Sequential::parse(text).output_shape({7, 3}); };
  for (const std::string name : {"rnn", "lstm", "gru"}) {
    CAPTURE(name);
    CHECK(shape((name + " 5").c_str()) == Shape{5});
    CHECK(shape((name + " 5 sequence").c_str()) == Shape{7, 5});
    CHECK(shape((name + " 5 bidirectional layers=2").c_str()) == Shape{10});
    CHECK(shape((name + " 5 sequence bidirectional").c_str()) == Shape{7, 10});
  }
  CHECK(layers::rnn(5, {.layers = 2, .sequence = true}, "relu").text ==
        "rnn 5 activation=relu layers=2 sequence");
}

TEST_CASE("the parameters of recurrent layers are named by level and direction") {
  CHECK(names_of(Sequential::parse("lstm 5"), {7, 3}) ==
        std::vector<std::string>{"1.weight[3, 20]", "1.recurrent[5, 20]", "1.bias[20]"});
  CHECK(names_of(Sequential::parse("gru 2 layers=2 bidirectional"), {7, 3}) ==
        std::vector<std::string>{
            "1.weight[3, 6]", "1.recurrent[2, 6]", "1.bias[6]", "1.recurrent_bias[6]",
            "1.backward.weight[3, 6]", "1.backward.recurrent[2, 6]", "1.backward.bias[6]",
            "1.backward.recurrent_bias[6]", "1.level2.weight[4, 6]", "1.level2.recurrent[2, 6]",
            "1.level2.bias[6]", "1.level2.recurrent_bias[6]", "1.level2.backward.weight[4, 6]",
            "1.level2.backward.recurrent[2, 6]", "1.level2.backward.bias[6]",
            "1.level2.backward.recurrent_bias[6]"});
}

TEST_CASE("an lstm starts with open forget gates and orthogonal recurrent weights") {
  const TensorMap weights = initialize(Sequential::parse("lstm 6"), {7, 3}, 4);
  const auto bias = weights.at("1.bias").values<float>();
  for (std::size_t i = 0; i < 24; ++i) CHECK(bias[i] == (i / 6 == 1 ? 1.0F : 0.0F));
  const auto w = weights.at("1.recurrent").values<float>();
  for (std::size_t gate = 0; gate < 4; ++gate) {
    for (std::size_t a = 0; a < 6; ++a) {
      for (std::size_t b = 0; b < 6; ++b) {
        double dot = 0;
        for (std::size_t k = 0; k < 6; ++k) {
          dot += static_cast<double>(w[k * 24 + gate * 6 + a]) *
                 static_cast<double>(w[k * 24 + gate * 6 + b]);
        }
        CHECK(dot == doctest::Approx(a == b ? 1 : 0).epsilon(1e-6));
      }
    }
  }
  CHECK(w[0] != w[6]);  // each gate has its own
  const TensorMap closed = initialize(Sequential::parse("lstm 6 forget_bias=-2"), {7, 3}, 4);
  CHECK(closed.at("1.bias").values<float>()[6] == -2);
  const TensorMap stated =
      initialize(Sequential::parse("lstm 6 recurrent_init=constant:0.5"), {7, 3}, 4);
  CHECK(stated.at("1.recurrent").values<float>()[11] == 0.5F);
}

TEST_CASE("orthogonal weights that are not square have orthonormal rows or columns") {
  for (const char* text : {"linear 3 init=orthogonal:2", "linear 9 init=orthogonal:2"}) {
    CAPTURE(text);
    const Tensor w = initialize(Sequential::parse(text), {5}, 1).at("1.weight");
    const auto columns = static_cast<std::size_t>(w.shape()[1]);
    const bool tall = columns < 5;
    const auto at = [&](std::size_t vector, std::size_t i) {
      return static_cast<double>(
          w.values<float>()[tall ? i * columns + vector : vector * columns + i]);
    };
    for (std::size_t a = 0; a < std::min<std::size_t>(5, columns); ++a) {
      for (std::size_t b = 0; b <= a; ++b) {
        double dot = 0;
        for (std::size_t i = 0; i < std::max<std::size_t>(5, columns); ++i)
          dot += at(a, i) * at(b, i);
        CHECK(dot == doctest::Approx(a == b ? 4 : 0).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("two levels in two directions are the ops put together") {
  Graph graph;
  const Value x = graph.input("x", {DType::kF32, {2, 4, 3}});
  const Sequential model = Sequential::parse("lstm 5 layers=2 bidirectional sequence");
  const Network network = model.build(x);
  const Value zero = constant(graph, 0.0, {2, 5});
  const auto direction = [&](Value in, const std::string& before, bool reverse) {
    return lstm(in, zero, zero, graph.find(before + "weight"), graph.find(before + "recurrent"),
                graph.find(before + "bias"), {.lengths = {}, .reverse = reverse})
        .y;
  };
  const Value first =
      concatenate({direction(x, "1.", false), direction(x, "1.backward.", true)}, 2);
  const Value second = concatenate(
      {direction(first, "1.level2.", false), direction(first, "1.level2.backward.", true)}, 2);
  TensorMap feed = initialize(model, {4, 3}, 9);
  feed.insert_or_assign("x", waves({2, 4, 3}, 0.7));
  const Evaluation run(graph, feed);
  const Tensor got = run.value(network.output);
  const Tensor expected = run.value(second);
  REQUIRE(got.shape() == Shape{2, 4, 10});
  CHECK(std::ranges::equal(got.values<double>(), expected.values<double>()));
}

TEST_CASE("with lengths the last state is that of the last step that counts") {
  const Sequential model = Sequential::parse("gru 4");
  const TensorMap weights = initialize(model, {5, 2}, 3);
  const Tensor x = waves({2, 5, 2}, 0.9);
  Graph graph;
  const Value in = graph.input("x", {DType::kF32, {2, 5, 2}});
  const Value lengths = graph.input("lengths", {DType::kI32, {2}});
  BuildOptions options;
  options.lengths = lengths;
  TensorMap feed = weights;
  feed.insert_or_assign("lengths", Tensor::of<std::int32_t>({2}, {5, 2}));
  const std::vector<double> got = outputs_of(model.build(in, options), feed, x);

  Graph shorter;  // the second row alone, cut to its two steps
  const Network cut = model.build(shorter.input("x", {DType::kF32, {1, 2, 2}}));
  const auto values = x.values<float>();
  const Tensor row = Tensor::of<float>({1, 2, 2}, {values[10], values[11], values[12], values[13]});
  const std::vector<double> expected = outputs_of(cut, weights, row);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(got[4 + i] == doctest::Approx(expected[i]).epsilon(1e-12));
}

TEST_CASE("a stateful layer goes on where the batch before ended, until it is reset") {
  for (const std::string name : {"rnn", "lstm", "gru"}) {
    CAPTURE(name);
    const Sequential model = Sequential::parse(name + " 4 stateful");
    const TensorMap weights = initialize(model, {6, 2}, 3);
    CHECK(weights.size() == model.parameters({6, 2}).size());
    const Tensor x = waves({2, 6, 2}, 0.9);

    Graph graph;
    BuildOptions options;
    options.carry = true;
    const Value in = graph.input("x", {DType::kF32, {2, 3, 2}});
    graph.output("y", model.build(in, options).output);
    auto parameters = std::make_shared<Parameters>();
    declare_parameters(*parameters, graph, weights);
    CHECK(parameters->contains("1.state.2.h"));
    CHECK(parameters->contains("1.state.2.c") == (name == "lstm"));
    CHECK(is_recurrent_state("1.state.2.h"));
    CHECK(!is_recurrent_state("1.weight"));
    Program program(graph, parameters);
    const auto run_half = [&](std::size_t half) {
      for (std::size_t row = 0; row < 2; ++row) {
        std::copy_n(x.values<float>().begin() + static_cast<std::ptrdiff_t>(row * 12 + half * 6), 6,
                    program.input<float>("x").begin() + static_cast<std::ptrdiff_t>(row * 6));
      }
      REQUIRE(program.run());
      const auto y = program.output<float>("y");
      return std::vector<double>(y.begin(), y.end());
    };
    Graph whole;
    const std::vector<double> expected =
        outputs_of(model.build(whole.input("x", {DType::kF32, {2, 6, 2}})), weights, x);

    const std::vector<double> first = run_half(0);
    const std::vector<double> second = run_half(1);
    for (std::size_t i = 0; i < 8; ++i)
      CHECK(second[i] == doctest::Approx(expected[i]).epsilon(1e-5));
    CHECK(run_half(0) != first);
    reset_state(*parameters);
    CHECK(run_half(0) == first);
  }
}

TEST_CASE("recurrent layers refuse what they cannot do") {
  CHECK_THROWS_WITH_AS(Sequential::parse("rnn 4").output_shape({8}),
                       "layer 1 (rnn 4): expected input [B, T, inputs], got [B, 8]", ShapeError);
  CHECK_THROWS_WITH_AS(Sequential::parse("rnn 4 activation=sine"),
                       "column 7: rnn: expected tanh or relu, got \"sine\"", UsageError);
  CHECK_THROWS_AS(Sequential::parse("gru 4 bidirectional stateful").output_shape({8, 2}),
                  UsageError);
  CHECK_THROWS_WITH_AS(Sequential::parse("relu, embedding 4 vocabulary=9").output_shape({8}),
                       "layer 2 (embedding 4 vocabulary=9): expected whole numbers (i32), got f32; "
                       "it can only be the first layer",
                       ShapeError);
  Graph graph;
  const Value x = graph.input("x", {DType::kI32, {2, 3}});
  CHECK_THROWS_WITH_AS(Sequential::parse("linear 4").build(x),
                       "layer 1 (linear 4): expected f32, got i32; begin with \"embedding\"",
                       ShapeError);
}

TEST_CASE("an embedding looks its rows up") {
  const Sequential model = Sequential::parse("embedding 2 vocabulary=3");
  CHECK(model.input_dtype() == DType::kI32);
  CHECK(Sequential::parse("linear 2").input_dtype() == DType::kF32);
  CHECK(model.output_shape({4}) == Shape{4, 2});
  Graph graph;
  const Network network = model.build(graph.input("x", {DType::kI32, {1, 2}}));
  const Tensor table = Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  CHECK(outputs_of(network, {{"1.weight", table}}, Tensor::of<std::int32_t>({1, 2}, {2, 0})) ==
        std::vector<double>{5, 6, 1, 2});
}
