// Layers on images and norms: shapes, what training and prediction do with statistics, errors in
// the user's words, and a whole step on the CPU against the reference.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "chainrule/convolution.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/nn.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "chainrule/train.h"

using namespace chainrule;

namespace {

Tensor numbers(const Shape& shape, unsigned seed) {
  std::mt19937 random(seed);
  Tensor tensor(DType::kF32, shape);
  for (float& x : tensor.values<float>()) x = std::normal_distribution<float>(1, 2)(random);
  return tensor;
}

// The network's output and its parameters after one run, from the weights of seed 1.
struct Run {
  Tensor y;
  TensorMap updated;
  Run(const char* text, const Tensor& x, Mode mode) {
    const Sequential model = Sequential::parse(text);
    Graph graph;
    const Network network = model.build(graph.input("x", {DType::kF32, x.shape()}), {.mode = mode});
    graph.output("y", network.output);
    TensorMap feed = initialize(model, Shape(x.shape().begin() + 1, x.shape().end()), 1);
    feed["x"] = x;
    const Evaluation evaluation(graph, feed);
    y = evaluation.value(network.output);
    updated = evaluation.updated();
  }
};

}  // namespace

TEST_CASE("convolutions and pooling give the sizes that padding and stride say") {
  const auto shape = [](const char* text, const Shape& input) {
    return Sequential::parse(text).output_shape(input);
  };
  CHECK(shape("conv2d 5", {7, 9, 3}) == Shape{7, 9, 5});
  CHECK(shape("conv2d 5 stride=2", {7, 9, 3}) == Shape{4, 5, 5});
  CHECK(shape("conv2d 5 3x1 padding=valid", {7, 9, 3}) == Shape{5, 9, 5});
  CHECK(shape("conv2d 5 padding=2 dilation=2", {7, 9, 3}) == Shape{7, 9, 5});
  CHECK(shape("conv2d 6 groups=3", {7, 9, 3}) == Shape{7, 9, 6});
  CHECK(shape("conv2d_transpose 2", {4, 5, 3}) == Shape{8, 10, 2});
  CHECK(shape("conv1d 4 5 padding=valid", {9, 3}) == Shape{5, 4});
  CHECK(shape("max_pool", {7, 9, 3}) == Shape{3, 4, 3});
  CHECK(shape("average_pool 3 stride=2 padding=same", {7, 9, 3}) == Shape{4, 5, 3});
  CHECK(shape("max_pool 2", {9, 3}) == Shape{4, 3});
  CHECK(shape("global_average_pool", {7, 9, 3}) == Shape{3});
  CHECK(Sequential::parse("conv2d 6 groups=3").parameters({7, 9, 3})[0].shape == Shape{3, 3, 1, 6});
}

TEST_CASE("norms give mean 0 and variance 1 where they say") {
  const Tensor x = numbers({4, 3, 3, 6}, 3);
  // Mean and variance of the elements i with i / inner % groups_of == 0, a first group of each
  // kind.
  const auto check = [](const Tensor& y, auto belongs) {
    double sum = 0;
    double squares = 0;
    double count = 0;
    for (std::int64_t i = 0; i < y.size(); ++i) {
      if (!belongs(i)) continue;
      const double v = y.values<double>()[static_cast<std::size_t>(i)];
      sum += v;
      squares += v * v;
      count += 1;
    }
    CHECK(std::abs(sum / count) < 1e-12);
    CHECK(squares / count == doctest::Approx(1).epsilon(1e-4));
  };
  check(Run("batch_norm", x, Mode::kTrain).y, [](std::int64_t i) { return i % 6 == 2; });
  check(Run("layer_norm", x, Mode::kTrain).y, [](std::int64_t i) { return i / 6 == 5; });
  check(Run("group_norm 2", x, Mode::kTrain).y,
        [](std::int64_t i) { return i / 54 == 1 && i % 6 < 3; });
  const Tensor y = Run("rms_norm", x, Mode::kTrain).y;
  double squares = 0;
  for (std::size_t i = 0; i < 6; ++i) squares += y.values<double>()[i] * y.values<double>()[i];
  CHECK(squares / 6 == doctest::Approx(1).epsilon(1e-4));
}

TEST_CASE("batch norm follows the batch's statistics in training and uses them in prediction") {
  const Tensor x = numbers({50, 2}, 4);
  double mean = 0;
  for (std::size_t i = 0; i < 50; ++i) mean += static_cast<double>(x.values<float>()[2 * i]) / 50;
  double variance = 0;
  for (std::size_t i = 0; i < 50; ++i) {
    variance += std::pow(static_cast<double>(x.values<float>()[2 * i]) - mean, 2) / 49;
  }
  const TensorMap after = Run("batch_norm momentum=0.25", x, Mode::kTrain).updated;
  CHECK(after.at("1.running_mean").values<double>()[0] == doctest::Approx(0.25 * mean));
  CHECK(after.at("1.running_variance").values<double>()[0] ==
        doctest::Approx(0.75 + 0.25 * variance));
  // From running mean 0 and variance 1 prediction changes nothing but by epsilon.
  const Tensor y = Run("batch_norm", x, Mode::kPredict).y;
  CHECK(y.values<double>()[7] ==
        doctest::Approx(static_cast<double>(x.values<float>()[7])).epsilon(1e-4));
}

TEST_CASE("batch norm does not train on one number of each feature") {
  const auto build = [](const char* text, Shape batch) {
    Graph graph;
    Sequential::parse(text).build(graph.input("x", {DType::kF32, std::move(batch)}),
                                  {.mode = Mode::kTrain});
  };
  CHECK_THROWS_WITH_AS(build("linear 4, batch_norm", {1, 3}),
                       "layer 2 (batch_norm): a batch of one row has one number of each feature "
                       "and so no variance; train on batches of at least 2 rows",
                       ShapeError);
  CHECK_THROWS_AS(build("residual (batch_norm)", {1, 1, 1, 3}), ShapeError);
  CHECK_NOTHROW(build("batch_norm", {2, 3}));
  CHECK_NOTHROW(build("batch_norm", {1, 2, 1, 3}));  // an image of two pixels
  CHECK(Sequential::parse("linear 4, batch_norm").least_batch({3}) == 2);
  CHECK(Sequential::parse("conv2d 4, batch_norm").least_batch({5, 5, 1}) == 1);
  CHECK(Sequential::parse("linear 4, layer_norm").least_batch({3}) == 1);
}

TEST_CASE("a convolutional network's step agrees with the reference, whatever is moved and fused") {
  const Sequential model = Sequential::parse(
      "conv2d 5 stride=2, batch_norm, relu, conv2d 18 2x3 padding=1, relu, max_pool, "
      "conv2d 4 dilation=2, relu, max_pool 3 stride=1 padding=1, flatten, linear 3");
  const std::unique_ptr<Graph> graph =
      training_step(model, {3, 11, 9, 2}, 3, {.optimizer = Optimizer::parse("adam")});
  TensorMap feed;
  feed["x"] = numbers({3, 11, 9, 2}, 8);
  feed["target"] = Tensor::of<std::int32_t>({3}, {2, 0, 1});
  feed["lr"] = Tensor::of<float>({}, {0.01F});
  feed["step"] = Tensor::of<float>({}, {1});
  auto parameters = std::make_shared<Parameters>();
  declare_parameters(*parameters, *graph, initialize(model, {11, 9, 2}, 2));
  for (const auto& [name, tensor] : parameters->tensors()) feed[name] = tensor;
  const Evaluation reference(*graph, feed);
  for (const int threads : {1, 3}) {
    auto own = std::make_shared<Parameters>();
    for (const auto& [name, tensor] : parameters->tensors()) own->set(name, tensor);
    Program program(*graph, own, {make_thread_pool(threads), "loss"});
    std::ranges::copy(feed["x"].values<float>(), program.input<float>("x").begin());
    std::ranges::copy(feed["target"].values<std::int32_t>(),
                      program.input<std::int32_t>("target").begin());
    program.input<float>("lr")[0] = 0.01F;
    program.input<float>("step")[0] = 1;
    REQUIRE(program.run());
    CHECK(static_cast<double>(program.output<float>("loss")[0]) ==
          doctest::Approx(reference.outputs().at("loss").values<double>()[0]).epsilon(1e-5));
    double worst = 0;
    for (const auto& [name, expected] : reference.updated()) {
      // After one step of Adam the first moment is a tenth of the gradient.
      if (name.find("adam") == std::string::npos && name.find(".m") == std::string::npos) continue;
      const Tensor got = own->at(name).as(DType::kF64);
      for (std::size_t i = 0; i < got.values<double>().size(); ++i) {
        worst = std::max(worst, std::abs(got.values<double>()[i] - expected.values<double>()[i]));
      }
    }
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("relu before max pooling is computed after it, in both directions") {
  Graph graph;
  const Value x = graph.input("x", {DType::kF32, {2, 6, 6, 20}});
  const Value z = x * 0.5;
  const Value y = max_pool2d(relu(z), {.kernel = {2, 2}, .stride = {2, 2}});
  const Value dy = graph.input("dy", {DType::kF32, y.shape()});
  graph.output("y", y);
  graph.output("dx", gradient(y, {x}, dy)[0]);
  Program program(graph, std::make_shared<Parameters>());
  CHECK(program.to_text().find("max_pool2d(relu") == std::string::npos);
  const Tensor x_in = numbers({2, 6, 6, 20}, 12);
  const Tensor dy_in = numbers(y.shape(), 13);
  std::ranges::copy(x_in.values<float>(), program.input<float>("x").begin());
  std::ranges::copy(dy_in.values<float>(), program.input<float>("dy").begin());
  REQUIRE(program.run());
  const Evaluation reference(graph, {{"x", x_in}, {"dy", dy_in}});
  for (const char* name : {"y", "dx"}) {
    const Tensor expected = reference.outputs().at(name);
    double norm = 0;
    for (std::size_t i = 0; i < expected.values<double>().size(); ++i) {
      const auto got = static_cast<double>(program.output<float>(name)[i]);
      norm += std::abs(got);
      CHECK(std::abs(got - expected.values<double>()[i]) < 1e-5);
    }
    CHECK(norm > 1);
  }
}

TEST_CASE("image layers say what they expected") {
  const auto build = [](const char* text, const Shape& input) {
    return Sequential::parse(text).output_shape(input);
  };
  CHECK_THROWS_WITH_AS(
      build("conv2d 5", {64}),
      "layer 1 (conv2d 5): expected input [B, H, W, C], got [B, 64]; a layer such as "
      "\"reshape 8x8x1\" before it makes an image of a row",
      ShapeError);
  CHECK_THROWS_WITH_AS(build("relu, conv2d 4 groups=2", {5, 5, 3}),
                       "layer 2 (conv2d 4 groups=2): groups=2 must divide both the 3 channels that "
                       "come and the 4 that go",
                       ShapeError);
  CHECK_THROWS_WITH_AS(Sequential::parse("conv2d 4 padding=some"),
                       doctest::Contains("expected same, valid or a number of pixels"), UsageError);
  CHECK_THROWS_AS(build("max_pool 9", {5, 5, 3}), ShapeError);
  CHECK_THROWS_WITH_AS(
      build("max_pool 2 padding=2", {4, 4, 1}),
      "layer 1 (max_pool padding=2): max_pool2d: a window of 2 pixels lies in the padding alone, "
      "where there is no largest pixel; use a padding smaller than the window",
      ShapeError);
  CHECK_THROWS_AS(build("max_pool 2 padding=0x2", {4, 4, 1}), ShapeError);
  CHECK_THROWS_AS(build("max_pool 3 padding=3", {9, 2}), ShapeError);  // a sequence
  CHECK(build("max_pool 2 padding=1", {4, 4, 1}) == Shape{3, 3, 1});
  CHECK(build("max_pool 3 stride=1 padding=same", {1, 1, 1}) == Shape{1, 1, 1});
  CHECK(build("average_pool 2 padding=2", {4, 4, 1}) == Shape{4, 4, 1});  // there the mean is 0
}

TEST_CASE("convolutions are written with numbers") {
  using namespace chainrule::layers;
  CHECK(conv2d(16).text == "conv2d 16");
  CHECK(conv2d(16, {.kernel = {3, 5}, .stride = 2, .padding = kValid}) ==
        Sequential::parse("conv2d 16 3x5 stride=2 padding=valid").layers()[0]);
  CHECK(conv2d(16, {.padding = {0, 1}, .dilation = {1, 2}, .groups = 4, .bias = false}) ==
        Sequential::parse("conv2d 16 padding=0x1 dilation=1x2 groups=4 bias=false").layers()[0]);
  CHECK(conv1d(8, {.kernel = 5}) == Sequential::parse("conv1d 8 5").layers()[0]);
  CHECK_THROWS_AS(conv2d(16, {.kernel = 0}), UsageError);
  CHECK_THROWS_AS(conv2d(16, {.padding = -3}), UsageError);
}
