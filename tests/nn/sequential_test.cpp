#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "chainrule/nn.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"

using namespace chainrule;

namespace {

Value images(Graph& graph, Shape shape) {
  return graph.input("x", {DType::kF32, std::move(shape)});
}

}  // namespace

TEST_CASE("a model's text round-trips and equals the same model from C++") {
  const char* text = "linear 128 bias=false, leaky_relu 0.2, dropout 0.5, linear 10, softmax";
  const Sequential model = Sequential::parse(text);
  CHECK(model.to_text() == text);
  CHECK(Sequential({layers::linear(128, false), layers::leaky_relu(0.2), layers::dropout(0.5),
                    layers::linear(10), layers::softmax()}) == model);
  CHECK(Sequential::parse(" Linear  128,relu ,linear 10 init=normal:0.01").to_text() ==
        "linear 128, relu, linear 10 init=normal:0.01");
  CHECK(layers::reshape({8, 8, 1}).text == "reshape 8x8x1");
}

TEST_CASE("every kind of layer builds, round-trips and has a C++ call of the same name") {
  using namespace layers;
  const std::vector<Phrase> calls{linear(3),
                                  relu(),
                                  leaky_relu(),
                                  elu(),
                                  sigmoid(),
                                  layers::tanh(),
                                  softplus(),
                                  gelu(),
                                  gelu_tanh(),
                                  silu(),
                                  activation("softsign"),
                                  activation("selu"),
                                  activation("mish"),
                                  activation("hardsigmoid"),
                                  activation("hardswish"),
                                  softmax(),
                                  dropout(0.5),
                                  flatten(),
                                  reshape({2, 3}),
                                  rnn(3),
                                  lstm(3),
                                  gru(3),
                                  embedding(3, 5),
                                  conv1d(3),
                                  conv2d(3),
                                  conv2d_transpose(3),
                                  max_pool(),
                                  average_pool(),
                                  global_max_pool(),
                                  global_average_pool(),
                                  batch_norm(),
                                  layer_norm(),
                                  rms_norm(),
                                  group_norm(3),
                                  identity(),
                                  residual({relu()}),
                                  parallel({{relu()}, {linear(3)}}),
                                  repeat(2, {linear(3)}),
                                  attention(1),
                                  positions(5),
                                  transformer(1),
                                  transformer_decoder(1)};
  CHECK(calls.size() == layer_kinds().size());
  for (const LayerKind& kind : layer_kinds()) {
    CAPTURE(kind.rule.name);
    CHECK(std::any_of(calls.begin(), calls.end(),
                      [&](const Phrase& call) { return call.name == kind.rule.name; }));
    CHECK(kind.usage.substr(0, kind.rule.name.size()) == kind.rule.name);
    CHECK(!kind.meaning.empty());
  }
  for (const Phrase& call : calls) {
    CHECK(Sequential::parse(call.text).layers()[0] == call);
    const Shape input = call.name.starts_with("conv2d") ? Shape{2, 2, 3} : Shape{2, 3};
    CHECK(!Sequential({call}).output_shape(input).empty());
  }
}

TEST_CASE("sizes come from the input and parameters are named by layer") {
  const Sequential model = Sequential::parse("flatten, linear 128, relu, linear 10");
  const std::vector<ParameterInfo> p = model.parameters({28, 28, 1});
  REQUIRE(p.size() == 4);
  CHECK(p[0].name == "2.weight");
  CHECK(p[0].shape == Shape{784, 128});
  CHECK(p[1].name == "2.bias");
  CHECK(p[3].name == "4.bias");
  CHECK(p[3].shape == Shape{10});
  CHECK(model.output_shape({28, 28, 1}) == Shape{10});
  // Axes between the batch and the last are kept.
  CHECK(Sequential::parse("linear 4").output_shape({7, 3}) == Shape{7, 4});
}

TEST_CASE("the summary lists layers, shapes and parameter counts") {
  CHECK(Sequential::parse("linear 128, relu, linear 10").summary({784}) ==
        "      layer       output      parameters\n"
        "   1  linear 128  [B, 128]       100,480\n"
        "   2  relu        [B, 128]             0\n"
        "   3  linear 10   [B, 10]          1,290\n"
        "      total                      101,770\n");
}

TEST_CASE("a linear layer computes x·W + b") {
  Graph graph;
  const Network network = Sequential::parse("linear 2").build(images(graph, {2, 3}));
  const Evaluation run(graph, {{"x", Tensor::of<double>({2, 3}, {1, 2, 3, 4, 5, 6})},
                               {"1.weight", Tensor::of<double>({3, 2}, {1, 0, 0, 1, 1, 1})},
                               {"1.bias", Tensor::of<double>({2}, {10, 20})}});
  const Tensor y = run.value(network.output);
  CHECK(y.values<double>()[0] == 14);
  CHECK(y.values<double>()[1] == 25);
  CHECK(y.values<double>()[2] == 20);
  CHECK(y.values<double>()[3] == 31);
}

TEST_CASE("dropout drops in training and does nothing in prediction") {
  const Sequential model = Sequential::parse("dropout 0.25");
  Graph graph;
  const Value x = images(graph, {100, 40});
  const Value step = graph.input("step", {DType::kF32, {}});
  CHECK(model.build(x).output == x);
  CHECK_THROWS_AS(model.build(x, {.mode = Mode::kTrain}), UsageError);
  const Network training = model.build(x, {.mode = Mode::kTrain, .step = step, .seed = 3});
  const Evaluation run(graph, {{"x", Tensor::of<double>({100, 40}, std::vector<double>(4000, 1.0))},
                               {"step", Tensor::of<double>({}, {1})}});
  double total = 0;
  int dropped = 0;
  const Tensor y = run.value(training.output);
  for (const double v : y.values<double>()) {
    total += v;
    dropped += v == 0 ? 1 : 0;
  }
  CHECK(dropped == doctest::Approx(1000).epsilon(0.1));
  CHECK(total == doctest::Approx(4000).epsilon(0.05));
}

TEST_CASE("errors name the layer, the place in the text and the nearest name") {
  CHECK_THROWS_WITH_AS(
      Sequential::parse("linear 128, rellu, linear 10"),
      "column 13: unknown layer \"rellu\"; did you mean \"relu\"? There are: "
      "attention, average_pool, batch_norm, conv1d, conv2d, conv2d_transpose, dropout, elu, "
      "embedding, "
      "flatten, "
      "gelu, gelu_tanh, global_average_pool, global_max_pool, group_norm, gru, hardsigmoid, "
      "hardswish, identity, "
      "layer_norm, "
      "leaky_relu, linear, lstm, max_pool, mish, parallel, positions, relu, repeat, reshape, "
      "residual, "
      "rms_norm, "
      "rnn, selu, sigmoid, silu, softmax, softplus, softsign, tanh, transformer, "
      "transformer_decoder",
      UsageError);
  CHECK_THROWS_WITH_AS(
      Sequential::parse("linear"),
      "column 1: linear needs units (a whole number, 1 to 1000000), as in \"linear ...\"",
      UsageError);
  CHECK_THROWS_WITH_AS(Sequential::parse("relu, linear 2.5"),
                       "column 14: linear: units must be a whole number, 1 to 1000000, got \"2.5\"",
                       UsageError);
  CHECK_THROWS_WITH_AS(Sequential::parse("linear 10 units=5"),
                       "column 11: linear: units is given twice", UsageError);
  CHECK_THROWS_WITH_AS(Sequential::parse("linear 32 relu, linear 3"),
                       "column 11: \"relu\" is a layer, not an option of linear; between one layer "
                       "and the next stands a comma: \"linear …, relu\"",
                       UsageError);
  CHECK_THROWS_WITH_AS(Sequential::parse("relu 5"), "column 6: relu takes no options, got \"5\"",
                       UsageError);
  CHECK_THROWS_WITH_AS(Sequential::parse("linear 4,"), "column 10: no layer given", UsageError);
  CHECK_THROWS_AS(Sequential::parse("linear 4 init=he"), UsageError);
  CHECK_THROWS_AS(Sequential::parse("reshape 8x"), UsageError);
  CHECK_THROWS_AS(Sequential::parse("dropout 1"), UsageError);

  Graph graph;
  CHECK_THROWS_WITH_AS(
      Sequential::parse("linear 64, relu, linear 10 in=128").build(images(graph, {32, 100})),
      "layer 3 (linear 10 in=128): expected input [B, 128], got [B, 64]", ShapeError);
  CHECK_THROWS_WITH_AS(Sequential::parse("reshape 8x8x1").output_shape({65}),
                       "layer 1 (reshape 8x8x1): expected input of 64 numbers an example, got "
                       "[B, 65]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(
      Sequential::parse("reshape 4x5x5581x8681x49477x384773").output_shape({4}),
      "layer 1 (reshape 4x5x5581x8681x49477x384773): shape [4, 5, 5581, 8681, 49477, 384773] has "
      "1.84e+19 elements, more than any memory holds",
      ShapeError);
}

TEST_CASE("a program adds a layer by a name and a function") {
  const Sequential model({layers::linear(4),
                          layers::layer("squared_plus_one", [](Value x) { return x * x + 1; }),
                          layers::linear(2)});
  CHECK(model.to_text() == "linear 4, squared_plus_one, linear 2");
  CHECK(Sequential::parse(model.to_text()) == model);
  CHECK(Sequential::parse("residual (squared_plus_one)").output_shape({3}) == Shape{3});
  Graph graph;
  const Network network = model.build(graph.input("x", {DType::kF32, {5, 3}}));
  CHECK(network.layers[1].output.shape() == Shape{5, 4});
  CHECK(network.parameters.size() == 4);

  // The newest function counts.
  layers::layer("squared_plus_one", [](Value x) { return sum(x * x, {1}, true); });
  CHECK(Sequential::parse("squared_plus_one").output_shape({3}) == Shape{1});

  const auto same = [](Value x) { return x; };
  CHECK_THROWS_WITH_AS(layers::layer("relu", same), doctest::Contains("of that name already"),
                       UsageError);
  for (const char* name : {"", "Upper", "two words", "1st", "a,b", "a(b)"}) {
    CAPTURE(name);
    CHECK_THROWS_WITH_AS(layers::layer(name, same), doctest::Contains("small letters"), UsageError);
  }
}

TEST_CASE("weights before an activation start as it needs") {
  const auto first = [](const std::string& activation) {
    const Sequential model({layers::linear(4), layers::activation(activation), layers::linear(2)});
    return model.parameters({3})[0].initializer;
  };
  const Initializer he = Initializer::parse("he_normal");
  for (const char* name : {"relu", "softplus", "gelu", "gelu_tanh", "silu", "mish", "hardswish"}) {
    CAPTURE(name);
    CHECK(first(name) == he);
  }
  CHECK(first("selu") == Initializer::parse("he_normal:1"));
  for (const char* name : {"sigmoid", "tanh", "softsign", "hardsigmoid"}) {
    CAPTURE(name);
    CHECK(first(name) == Initializer::parse("xavier_uniform"));
  }
  CHECK_THROWS_WITH_AS(layers::activation("mich"), doctest::Contains("did you mean \"mish\"?"),
                       UsageError);
  CHECK_THROWS_AS(layers::activation("linear 3"), UsageError);
}
