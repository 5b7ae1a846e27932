#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "chainrule/error.h"
#include "chainrule/train.h"
#include "train/non_finite.h"

using namespace chainrule;

namespace {

Dataset builtin_rows(const std::string& name, std::int64_t first, std::int64_t count) {
  const Table table = builtin(name);
  const std::vector<std::int64_t> all = all_rows(table.rows());
  const Encoder encoder = Encoder::fit(table, all, {.target = table.columns.back().name});
  return encoder.encode(table, std::span(all).subspan(static_cast<std::size_t>(first),
                                                      static_cast<std::size_t>(count)));
}

// y = sin of the sum of the inputs, as a data set for regression.
Dataset sines(std::int64_t rows, std::int64_t features) {
  Dataset data;
  data.x = Tensor(DType::kF32, {rows, features});
  data.y = Tensor(DType::kF32, {rows, 1});
  for (std::int64_t r = 0; r < rows; ++r) {
    float total = 0;
    for (std::int64_t f = 0; f < features; ++f) {
      const float v = static_cast<float>(std::sin(static_cast<double>(7 * r + 3 * f)));
      data.x.values<float>()[static_cast<std::size_t>(r * features + f)] = v;
      total += v;
    }
    data.y.values<float>()[static_cast<std::size_t>(r)] = std::sin(total);
  }
  return data;
}

bool same_bits(const TensorMap& a, const TensorMap& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& p, const auto& q) {
           return p.first == q.first && p.second.bytes() == q.second.bytes() &&
                  std::memcmp(p.second.data(), q.second.data(), p.second.bytes()) == 0;
         });
}

TensorMap weights_after(const Dataset& data, const char* model, int threads) {
  auto parameters = std::make_shared<Parameters>();
  FitOptions options;
  options.epochs = 4;
  options.batch = 50;
  options.threads = threads;
  options.seed = 9;
  fit(Sequential::parse(model), parameters, data, nullptr, options);
  return parameters->tensors();
}

}  // namespace

TEST_CASE("batch norm trains although a single row is left over") {
  const Sequential model = Sequential::parse("linear 4, batch_norm, tanh, linear 1");
  const Dataset data = sines(33, 3);
  FitOptions options;
  options.epochs = 3;
  options.batch = 8;
  std::int64_t rows = 0;
  const FitResult result =
      fit(model, std::make_shared<Parameters>(), data, nullptr, options,
          [&](const Progress& progress) { rows = std::max(rows, progress.training.rows); });
  CHECK(result.steps == 3 * 4);  // three batches of 8 and one of 9
  CHECK(rows == 33);
  options.batch = 1;
  CHECK_THROWS_WITH_AS(fit(model, std::make_shared<Parameters>(), data, nullptr, options),
                       doctest::Contains("layer 2 (batch_norm): a batch of one row"), ShapeError);
  // Other networks take the rows as they come.
  CHECK(fit(Sequential::parse("linear 4, tanh, linear 1"), std::make_shared<Parameters>(), data,
            nullptr, options)
            .steps == 3 * 33);
  options.batch = 8;
  options.optimizer = Optimizer::parse("lbfgs");
  CHECK(std::isfinite(
      fit(model, std::make_shared<Parameters>(), sines(257, 3), nullptr, options).training.loss));
}

TEST_CASE("iris is learned") {
  const Dataset data = builtin_rows("iris", 0, 150);
  auto parameters = std::make_shared<Parameters>();
  FitOptions options;
  options.epochs = 60;
  options.batch = 32;
  std::int64_t reports = 0;
  const FitResult result = fit(Sequential::parse("linear 16, tanh, linear 3"), parameters, data,
                               &data, options, [&](const Progress& progress) {
                                 ++reports;
                                 CHECK(progress.step == reports);
                                 CHECK(progress.epoch_done == (progress.step % 5 == 0));
                                 CHECK((progress.validation.rows > 0) == progress.epoch_done);
                               });
  CHECK(result.steps == 300);  // 150 rows are four batches of 32 and one of 22
  CHECK(reports == 300);
  CHECK(result.validation.rows == 150);
  CHECK(result.validation.accuracy > 0.95);
  CHECK(result.validation.loss < 0.2);
}

TEST_CASE("a regression is learned") {
  const Dataset data = sines(400, 2);
  auto parameters = std::make_shared<Parameters>();
  FitOptions options;
  options.epochs = 60;
  const FitResult result = fit(Sequential::parse("linear 32, relu, linear 32, relu, linear 1"),
                               parameters, data, &data, options);
  CHECK(result.validation.r2 > 0.98);
  CHECK(result.validation.rmse == doctest::Approx(std::sqrt(result.validation.loss)));
}

TEST_CASE("the same seed gives the same bits on 1, 2 and 5 threads, and another seed does not") {
  const Dataset data = builtin_rows("digits", 0, 330);
  const char* model = "linear 96, relu, dropout 0.2, linear 10";
  const TensorMap one = weights_after(data, model, 1);
  CHECK(same_bits(one, weights_after(data, model, 2)));
  CHECK(same_bits(one, weights_after(data, model, 5)));
  CHECK(same_bits(one, weights_after(data, model, 1)));
}

TEST_CASE("a compiled training step does what the reference interpreter does") {
  struct Case {
    const char* model;
    const char* optimizer;
    Clip clip;
  };
  for (const Case& c :
       {Case{"linear 7, relu, linear 3", "sgd momentum=0.9 nesterov", {}},
        Case{"linear 7, gelu, dropout 0.3, linear 5, tanh, linear 3", "adam", {.norm = 0.1}},
        Case{"linear 9, elu, linear 6, silu, linear 4, softplus, linear 3",
             "rmsprop centered momentum=0.5",
             {.value = 0.02}},
        Case{"linear 3, softmax", "adamw", {}},
        Case{"linear 7, tanh, linear 3", "adamw amsgrad weight_decay=0.1 ema=0.9", {}},
        Case{"linear 7, tanh, linear 3", "nadam weight_decay=0.1", {.value = 0.02}},
        Case{"linear 7, tanh, linear 3", "adagrad l1=0.01 ema=0.5", {}},
        Case{"linear 7, tanh, linear 3", "adadelta epsilon=0.001", {.norm = 0.1}},
        Case{"linear 7, tanh, linear 3", "lion ema=0.9", {}},
        Case{"linear 20, tanh, linear 3", "muon ema=0.9", {}}}) {
    CAPTURE(c.model);
    const Sequential model = Sequential::parse(c.model);
    const Dataset data = builtin_rows("iris", 40, 70);
    const auto graph = training_step(
        model, {70, 4}, 3, {.optimizer = Optimizer::parse(c.optimizer), .clip = c.clip, .seed = 4});
    auto parameters = std::make_shared<Parameters>();
    declare_parameters(*parameters, *graph, initialize(model, {4}, 1));
    TensorMap feed = parameters->tensors();
    Program program(*graph, parameters, {.threads = make_thread_pool(2), .guard = "loss"});
    program.bind("x", data.x.data());
    program.bind("target", data.labels.data());
    feed.insert_or_assign("x", data.x);
    feed.insert_or_assign("target", data.labels);
    for (int step = 1; step <= 3; ++step) {
      program.input<float>("lr")[0] = 0.01F;
      program.input<float>("step")[0] = static_cast<float>(step);
      REQUIRE(program.run());
      feed.insert_or_assign("lr", Tensor::of<float>({}, {0.01F}));
      feed.insert_or_assign("step", Tensor::of<float>({}, {static_cast<float>(step)}));
      const Evaluation expected(*graph, feed);
      const double loss = expected.outputs().at("loss").values<double>()[0];
      CHECK(static_cast<double>(program.output<float>("loss")[0]) ==
            doctest::Approx(loss).epsilon(1e-5));
      for (auto& [name, value] : expected.updated()) feed.insert_or_assign(name, value);
    }
    for (const Value& p : graph->parameters()) {
      CAPTURE(p.name());
      const std::span<const float> got = parameters->at(p.name()).values<float>();
      const Tensor& want = feed.at(p.name());
      double worst = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - want.values<double>()[i]));
      }
      CHECK(worst < 2e-5);
    }
  }
}

TEST_CASE("a predictor gives what the reference interpreter gives, for any number of rows") {
  for (const char* text : {"linear 4", "linear 8, relu, linear 4",
                           "linear 8, relu, linear 8, relu, "
                           "linear 1",
                           "linear 16, tanh, linear 8, gelu, linear 8, relu, linear 2"}) {
    CAPTURE(text);
    const Sequential model = Sequential::parse(text);
    auto parameters = std::make_shared<Parameters>();
    for (const auto& [name, tensor] : initialize(model, {6}, 2)) parameters->set(name, tensor);
    Predictor predict(model, {6}, parameters);
    for (const std::int64_t rows : {1, 256, 300}) {
      const Tensor x = sines(rows, 6).x;
      const Tensor y = predict(x);
      Graph graph("reference");
      const Value out = model.build(graph.input("x", {DType::kF32, {rows, 6}})).output;
      TensorMap feed = parameters->tensors();
      feed.insert_or_assign("x", x);
      const Tensor want = Evaluation(graph, feed).value(out);
      REQUIRE(y.shape() == want.shape());
      double worst = 0;
      for (std::size_t i = 0; i < y.values<float>().size(); ++i) {
        worst = std::max(
            worst, std::fabs(static_cast<double>(y.values<float>()[i]) - want.values<double>()[i]));
      }
      CHECK(worst < 1e-5);
    }
    CHECK_THROWS_WITH_AS(predict(Tensor(DType::kF32, {3, 5})),
                         "the network was built for examples [6], got a batch [3, 5]", ShapeError);
  }
}

TEST_CASE("metrics are what their formulas say") {
  Dataset data;
  data.x = Tensor(DType::kF32, {2, 1});
  data.classes = {"a", "b"};
  data.labels = Tensor::of<std::int32_t>({2}, {0, 1});
  const Sequential ends_in_softmax = Sequential::parse("linear 2, softmax");
  const Metrics m =
      measure(ends_in_softmax, Tensor::of<float>({2, 2}, {0.75F, 0.25F, 0.5F, 0.5F}), data);
  CHECK(m.accuracy == 0.5);  // of equals the first is taken
  CHECK(m.loss == doctest::Approx(-(std::log(0.75) + std::log(0.5)) / 2));
  const Metrics logits = measure(Sequential::parse("linear 2"),
                                 Tensor::of<float>({2, 2}, {std::log(3.0F), 0, 100, 100}), data);
  CHECK(logits.loss == doctest::Approx(m.loss));

  Dataset numbers;
  numbers.x = Tensor(DType::kF32, {4, 1});
  numbers.y = Tensor::of<float>({4, 1}, {1, 2, 3, 4});
  const Metrics r =
      measure(Sequential::parse("linear 1"), Tensor::of<float>({4, 1}, {1, 2, 3, 6}), numbers);
  CHECK(r.loss == 1);
  CHECK(r.rmse == 1);
  CHECK(r.r2 == doctest::Approx(1 - 4.0 / 5));
}

TEST_CASE("a loss that is not finite stops training, names the node and keeps the last weights") {
  const Dataset data = builtin_rows("iris", 0, 150);
  auto parameters = std::make_shared<Parameters>();
  FitOptions options;
  options.lr = 1e30;
  options.optimizer = Optimizer::parse("sgd");
  try {
    fit(Sequential::parse("linear 8, relu, linear 3"), parameters, data, nullptr, options);
    FAIL("no error");
  } catch (const NonFiniteError& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(error.step == 2);
    CHECK(error.nan_count + error.inf_count > 0);
    CHECK(message.starts_with("step 2: the loss is not finite: "));
    CHECK(message.find(error.node) != std::string::npos);
    CHECK(message.find(" of layer ") != std::string::npos);
    CHECK(message.find("the weights of step 1 are kept") != std::string::npos);
    CHECK(message.find("lower the learning rate (--lr)") != std::string::npos);
    CHECK(all_finite(parameters->tensors()));
    CHECK(parameters->at("1.weight").values<float>()[0] != 0);
  }
}

TEST_CASE("a gradient that overflows behind a finite loss is found by running the epoch again") {
  // The loss is (1e18)² = 1e36; its gradient is 1e21 · 2e18.
  Dataset data;
  data.x = Tensor(DType::kF32, {64, 1});
  data.y = Tensor(DType::kF32, {64, 1});
  data.x.values<float>()[40] = 1e21F;
  auto parameters = std::make_shared<Parameters>();
  parameters->set("1.weight", Tensor::of<float>({1, 1}, {1e-3F}));
  FitOptions options;
  options.batch = 1;
  options.epochs = 3;
  options.optimizer = Optimizer::parse("sgd");
  try {
    fit(Sequential::parse("linear 1 bias=false"), parameters, data, nullptr, options);
    FAIL("no error");
  } catch (const NonFiniteError& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CHECK(error.step >= 1);
    CHECK(error.step <= 64);
    CHECK(message.find(": the gradient is not finite: matmul ") != std::string::npos);
    CHECK(message.find(", in the gradient of layer 1 (linear 1 bias=false)") != std::string::npos);
    CHECK(message.find("the inputs reach 1e+21 in these rows") != std::string::npos);
    CHECK(message.find("learning rate") == std::string::npos);
    CHECK(parameters->at("1.weight").values<float>()[0] == 1e-3F);
  }
}

TEST_CASE("what is too large before the first step is named, not the learning rate") {
  const auto refusal = [](const Dataset& data, const FitOptions& options,
                          const Dataset* validation = nullptr) -> std::string {
    auto parameters = std::make_shared<Parameters>();
    try {
      fit(Sequential::parse("linear 1"), parameters, data, validation, options);
    } catch (const NonFiniteError& error) {
      CHECK(all_finite(parameters->tensors()));
      return error.what();
    }
    return "no error";
  };
  const auto says = [](const std::string& message, const char* part) {
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
    CHECK(message.find("--lr") == std::string::npos);
  };
  Dataset data = sines(40, 3);
  data.x.values<float>()[7] = 1e30F;
  FitOptions options;
  options.epochs = 2;
  options.batch = 40;
  says(refusal(data, options), "step 1: the loss is not finite: ");
  says(refusal(data, options), "the initial weights are kept; the inputs reach 1e+30");
  data.x.values<float>()[7] = std::numeric_limits<float>::quiet_NaN();
  says(refusal(data, options), "the inputs hold NaN or infinity in these rows");
  data = sines(40, 3);
  data.y.values<float>()[7] = 1e25F;
  says(refusal(data, options), "the targets reach 1e+25 in these rows");
  data = sines(40, 3);
  options.init = Initializer::parse("normal:1e25");
  says(refusal(data, options), "give a smaller --init");

  // Rows that only the validation sees.
  options.init.reset();
  Dataset large = sines(10, 3);
  large.x.values<float>()[3 * 4] = 3e38F;
  large.x.values<float>()[3 * 4 + 1] = 3e38F;
  large.x.values<float>()[3 * 4 + 2] = 3e38F;
  options.init = Initializer::parse("constant:2");
  const std::string message = refusal(data, options, &large);
  CAPTURE(message);
  CHECK(message.starts_with("step 1: validation row 5: the network's output is not finite"));
  CHECK(message.find("the inputs of these rows reach 3e+38") != std::string::npos);
}

TEST_CASE("a measure of outputs that are not finite is refused by row") {
  Dataset numbers;
  numbers.x = Tensor(DType::kF32, {3, 1});
  numbers.y = Tensor(DType::kF32, {3, 1});
  const Sequential model = Sequential::parse("linear 1");
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    CHECK_THROWS_WITH_AS(measure(model, Tensor::of<float>({3, 1}, {0, bad, bad}), numbers),
                         "row 2: the network's output is not finite", DataError);
  }
  Dataset classes;
  classes.x = Tensor(DType::kF32, {2, 1});
  classes.labels = Tensor::of<std::int32_t>({2}, {0, 1});
  classes.classes = {"a", "b"};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS(
      measure(Sequential::parse("linear 2"), Tensor::of<float>({2, 2}, {1, 2, nan, 1}), classes),
      "row 2: the network's output is not finite", DataError);
}

TEST_CASE("a network that does not fit the data says how it should end") {
  CHECK_THROWS_WITH_AS(training_step(Sequential::parse("linear 8, relu, linear 10"), {4, 4}, 3),
                       "the network gives 10 numbers a row, but the target has 3 classes: end it "
                       "with \"linear 3\"",
                       ShapeError);
  CHECK_THROWS_WITH_AS(training_step(Sequential::parse("linear 2"), {4, 4}, 0),
                       "the network gives 2 numbers a row, but the target is one number: end it "
                       "with \"linear 1\"",
                       ShapeError);
}

TEST_CASE("options out of range and empty data are refused") {
  const Dataset data = builtin_rows("iris", 0, 150);
  auto parameters = std::make_shared<Parameters>();
  const Sequential model = Sequential::parse("linear 3");
  FitOptions options;
  options.epochs = -1;
  CHECK_THROWS_AS(fit(model, parameters, data, nullptr, options), UsageError);
  options = {};
  options.batch = -1;
  CHECK_THROWS_AS(fit(model, parameters, data, nullptr, options), UsageError);
  options = {};
  options.lr = -1;
  CHECK_THROWS_AS(fit(model, parameters, data, nullptr, options), UsageError);
  Dataset empty;
  empty.x = Tensor(DType::kF32, {0, 4});
  CHECK_THROWS_AS(fit(model, parameters, empty), DataError);
}

TEST_CASE("frozen layers keep their weights, and the others are trained") {
  const Sequential model = Sequential::parse("linear 6, tanh, residual (linear 6, tanh), linear 1");
  const Dataset data = sines(60, 3);
  const TensorMap first = initialize(model, {3}, 5);
  for (const char* optimizer : {"adam", "sgd momentum=0.9", "lbfgs"}) {
    CAPTURE(optimizer);
    FitOptions options;
    options.epochs = 3;
    options.seed = 5;
    options.optimizer = Optimizer::parse(optimizer);
    options.frozen = {1, 3};
    auto parameters = std::make_shared<Parameters>();
    fit(model, parameters, data, nullptr, options);
    for (const auto& entry : first) {
      const std::string& name = entry.first;
      CAPTURE(name);
      const bool stays = std::ranges::equal(std::as_const(*parameters).at(name).values<float>(),
                                            entry.second.values<float>());
      CHECK(stays == (name.starts_with("1.") || name.starts_with("3.")));
    }
  }
  FitOptions options;
  const auto refused = [&](std::vector<std::size_t> layers, const char* why) {
    options.frozen = std::move(layers);
    CHECK_THROWS_WITH_AS(fit(model, std::make_shared<Parameters>(), data, nullptr, options),
                         doctest::Contains(why), UsageError);
  };
  refused({5}, "there is no layer 5; the network has 4");
  refused({0}, "there is no layer 0");
  refused({1, 3, 4}, "nothing to train");
}
