// Training on sequences: whole numbers in, one label a step out.
#include <doctest/doctest.h>

#include <cmath>

#include "chainrule/error.h"
#include "chainrule/train.h"

using namespace chainrule;

namespace {

constexpr std::int64_t kSteps = 8;
constexpr std::int64_t kLetters = 4;

// Random letters; the label of a step is the letter two steps before, 0 at the start. Only a
// network that remembers can know it.
Dataset delayed_letters(std::int64_t rows) {
  Dataset data;
  data.x = Tensor(DType::kI32, {rows, kSteps});
  data.labels = Tensor(DType::kI32, {rows, kSteps});
  data.classes = {"a", "b", "c", "d"};
  const auto x = data.x.values<std::int32_t>();
  const auto labels = data.labels.values<std::int32_t>();
  std::uint32_t random = 1;
  for (std::size_t i = 0; i < x.size(); ++i) {
    random = random * 1664525 + 1013904223;
    x[i] = static_cast<std::int32_t>(random >> 30);
    labels[i] = i % kSteps < 2 ? 0 : x[i - 2];
  }
  return data;
}

}  // namespace

TEST_CASE("a recurrent network learns to remember, with one label a step") {
  const Dataset train = delayed_letters(230);
  const Dataset test = delayed_letters(40);
  for (const char* cell : {"rnn 24", "lstm 24", "gru 24"}) {
    CAPTURE(cell);
    const Sequential model =
        Sequential::parse("embedding 6 vocabulary=4, " + std::string(cell) + " sequence, linear 4");
    FitOptions options;
    options.epochs = 25;
    options.lr = 0.01;
    options.seed = 1;
    const FitResult result = fit(model, std::make_shared<Parameters>(), train, &test, options);
    CHECK(result.validation.rows == 40);
    CHECK(result.validation.accuracy > 0.97);
    CHECK(result.training.accuracy <= 1);
    CHECK(result.training.accuracy > 0.97);
  }
}

TEST_CASE("the loss and the count of a step are over all its labels") {
  const Dataset data = delayed_letters(5);
  const Sequential model = Sequential::parse("embedding 3 vocabulary=4, linear 4");
  auto parameters = std::make_shared<Parameters>();
  const auto step = training_step(model, {5, kSteps}, kLetters);
  declare_parameters(*parameters, *step, initialize(model, {kSteps}, 7));
  Predictor predict(model, {kSteps}, parameters);
  const Tensor outputs = predict(data.x);
  REQUIRE(outputs.shape() == Shape{5, kSteps, kLetters});
  const Metrics metrics = measure(model, outputs, data);

  Program program(*step, parameters, {nullptr, "loss"});
  std::ranges::copy(data.x.values<std::int32_t>(), program.input<std::int32_t>("x").begin());
  std::ranges::copy(data.labels.values<std::int32_t>(),
                    program.input<std::int32_t>("target").begin());
  REQUIRE(program.run());
  CHECK(program.output<float>("loss")[0] == doctest::Approx(metrics.loss).epsilon(1e-5));
  CHECK(program.output<float>("correct")[0] == doctest::Approx(metrics.accuracy * 5 * kSteps));
  CHECK(metrics.rows == 5);
}

TEST_CASE("labels and outputs that do not match are told apart") {
  const Dataset data = delayed_letters(6);
  auto parameters = std::make_shared<Parameters>();
  CHECK_THROWS_WITH_AS(
      fit(Sequential::parse("embedding 3 vocabulary=4, gru 5, linear 4"), parameters, data),
      "the network gives [4] for an example, but an example has labels [8]; a recurrent layer with "
      "\"sequence\" gives one output a step, without it one a sequence",
      ShapeError);
  CHECK_THROWS_WITH_AS(fit(Sequential::parse("linear 4"), parameters, data),
                       "the network takes f32 numbers, but the data are i32", ShapeError);
  CHECK_THROWS_WITH_AS(
      fit(Sequential::parse("embedding 3 vocabulary=4, linear 5"), parameters, data),
      "the network gives 5 numbers a place, but the target has 4 classes: end it with \"linear 4\"",
      ShapeError);
  CHECK_THROWS_AS(measure(Sequential::parse("linear 4"), Tensor(DType::kF32, {6, 4}), data),
                  ShapeError);
}
