// L-BFGS in training.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "chainrule/error.h"
#include "chainrule/train.h"

using namespace chainrule;

namespace {

Dataset iris() {
  const Table table = builtin("iris");
  const std::vector<std::int64_t> rows = all_rows(table.rows());
  return Encoder::fit(table, rows, {.target = "species"}).encode(table, rows);
}

FitOptions lbfgs(const char* text = "lbfgs") {
  FitOptions options;
  options.epochs = 60;
  options.optimizer = Optimizer::parse(text);
  return options;
}

}  // namespace

TEST_CASE("lbfgs finds the minimum of a logistic regression, where the gradient is 0") {
  const Dataset data = iris();
  const Sequential model = Sequential::parse("linear 3");
  auto parameters = std::make_shared<Parameters>();
  FitOptions options = lbfgs("lbfgs weight_decay=0.1");
  std::int64_t reports = 0;
  double before = 2;
  const FitResult result =
      fit(model, parameters, data, &data, options, [&](const Progress& progress) {
        CHECK(progress.step == ++reports);
        CHECK(progress.training.loss < before + 0.05);
        before = progress.training.loss;
      });
  CHECK(result.steps == reports);
  CHECK(result.steps < 60);
  CHECK(result.validation.loss == doctest::Approx(result.training.loss));
  CHECK(result.training.accuracy > 0.8);

  // At the minimum the gradient of the loss is minus that of the decay.
  const auto graph = gradient_step(model, {150, 4}, 3);
  Program program(*graph, parameters, {nullptr, "loss"});
  program.bind("x", data.x.data());
  program.bind("target", data.labels.data());
  REQUIRE(program.run());
  for (const char* name : {"1.weight", "1.bias"}) {
    CAPTURE(name);
    const std::span<const float> w = parameters->at(name).values<float>();
    const std::span<const float> d = program.output<float>(gradient_name(name));
    for (std::size_t i = 0; i < w.size(); ++i) {
      CHECK(static_cast<double>(d[i]) + 0.1 * static_cast<double>(w[i]) ==
            doctest::Approx(0).epsilon(1e-3));
    }
  }
}

TEST_CASE("lbfgs sees all rows of a larger table, on any number of threads alike") {
  const Table table = builtin("digits");
  const std::vector<std::int64_t> rows = all_rows(600);  // two pieces and a short one
  const Encoder encoder = Encoder::fit(table, rows, {.target = "digit"});
  const Dataset data = encoder.encode(table, rows);
  const Sequential model = Sequential::parse("linear 16, tanh, linear 10");
  std::vector<TensorMap> ends;
  for (const int threads : {1, 5}) {
    auto parameters = std::make_shared<Parameters>();
    FitOptions options = lbfgs();
    options.epochs = 40;
    options.threads = threads;
    const FitResult result = fit(model, parameters, data, nullptr, options);
    CHECK(result.training.accuracy > 0.99);
    CHECK(result.training.rows == 600);
    ends.push_back(parameters->tensors());
  }
  for (const auto& [name, tensor] : ends[0]) {
    CHECK(std::memcmp(tensor.data(), ends[1].at(name).data(), tensor.bytes()) == 0);
  }
}

TEST_CASE("what lbfgs cannot do is refused") {
  const Dataset data = iris();
  const auto refusal = [&](const char* model, const FitOptions& options) -> std::string {
    try {
      fit(Sequential::parse(model), std::make_shared<Parameters>(), data, nullptr, options);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "accepted";
  };
  CHECK(refusal("linear 4, dropout 0.1, linear 3", lbfgs()) ==
        "lbfgs: the loss must be the same each time it is asked for, but layer 2 (dropout 0.1) "
        "draws random numbers");
  FitOptions options = lbfgs();
  options.mixup = 0.1;
  CHECK(refusal("linear 3", options).starts_with("lbfgs: leave mixup out"));
  options = lbfgs();
  options.clip.norm = 1;
  CHECK(refusal("linear 3", options).starts_with("lbfgs: leave clipping out"));
  options = lbfgs();
  options.schedule = Schedule::parse("cosine");
  CHECK(refusal("linear 3", options) ==
        "lbfgs: leave the schedule out: the line search finds the length of each step");
}

TEST_CASE("running statistics that overflow end the training with those before") {
  Dataset data = iris();
  for (float& v : data.x.values<float>()) v *= 1e20F;
  auto parameters = std::make_shared<Parameters>();
  try {
    fit(Sequential::parse("batch_norm, linear 3"), parameters, data, nullptr, lbfgs());
    FAIL("no error");
  } catch (const NonFiniteError& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(message.find("the inputs reach ") != std::string::npos);
  }
  for (const auto& entry : parameters->tensors()) {
    CAPTURE(entry.first);
    for (const float v : entry.second.values<float>()) CHECK(std::isfinite(v));
  }
}

TEST_CASE("a loss that is infinite where it begins keeps the initial weights") {
  Dataset data = iris();
  data.x.values<float>()[7] = std::numeric_limits<float>::infinity();
  auto parameters = std::make_shared<Parameters>();
  CHECK_THROWS_AS(fit(Sequential::parse("linear 3"), parameters, data, nullptr, lbfgs()),
                  NonFiniteError);
  const TensorMap first = initialize(Sequential::parse("linear 3"), {4}, 0);
  CHECK(std::memcmp(first.at("1.weight").data(), parameters->at("1.weight").data(),
                    first.at("1.weight").bytes()) == 0);
}
