#include "chainrule/model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "chainrule/error.h"
#include "support/folder.h"
#include "train/non_finite.h"

using namespace chainrule;

namespace {

// price = 1000 + 300·size − 200·age, far from 0 and 1, so that units matter.
Table houses(std::int64_t rows) {
  Column size;
  Column age;
  Column price;
  size.name = "size";
  age.name = "age";
  price.name = "price";
  for (std::int64_t i = 0; i < rows; ++i) {
    size.numbers.push_back(std::sin(static_cast<double>(i)));
    age.numbers.push_back(std::cos(static_cast<double>(3 * i)));
    price.numbers.push_back(1000 + 300 * size.numbers.back() - 200 * age.numbers.back());
  }
  Table table;
  table.source = "houses";
  table.columns = {size, age, price};
  return table;
}

TrainingData encoded(const Table& table, const std::string& target) {
  TrainingData data;
  data.source = table.source;
  data.encoder = Encoder::fit(table, all_rows(table.rows()), {.target = target});
  data.train = data.encoder.encode(table, all_rows(table.rows()));
  return data;
}

}  // namespace

TEST_CASE("a model is trained, saved, loaded and asked") {
  const Folder folder;
  Model model("linear 16, tanh, linear 3");
  const FitResult result = model.fit(open_data("iris"), {.epochs = 60, .lr = 0.01});
  CHECK(result.validation.rows == 30);
  CHECK(result.validation.accuracy > 0.9);
  CHECK(model.training.at("data") == "iris");
  CHECK(model.training.at("epochs") == "60");
  CHECK(model.training.at("test").starts_with("accuracy "));
  CHECK(model.summary().find("tanh") != std::string::npos);
  model.save(folder / "iris.safetensors");

  const Model loaded = Model::load(folder / "iris.safetensors");
  const Table flowers = builtin("iris");
  const Answers answers = loaded.predict(flowers);
  CHECK(answers.classes == model.predict(flowers).classes);
  CHECK(answers.values.empty());
  REQUIRE(answers.probabilities.shape() == Shape{150, 3});
  const std::vector<std::string>& species = flowers.columns.back().texts;
  std::int64_t right = 0;
  for (std::size_t i = 0; i < species.size(); ++i)
    right += answers.classes[i] == species[i] ? 1 : 0;
  const Metrics metrics = loaded.evaluate(flowers);
  CHECK(metrics.rows == 150);
  CHECK(metrics.accuracy == doctest::Approx(static_cast<double>(right) / 150));
  CHECK(metrics.accuracy > 0.9);
}

TEST_CASE("numbers are answered and measured in the target's own units") {
  const Table table = houses(200);
  const TrainingData data = encoded(table, "price");
  Model model("linear 1");
  const FitResult result = model.fit(data, {.epochs = 200, .batch = 20, .lr = 0.02});
  CHECK(result.validation.rows == 0);
  const Answers answers = model.predict(table);
  CHECK(answers.classes.empty());
  REQUIRE(answers.values.size() == 200);
  double squares = 0;
  for (std::size_t i = 0; i < 200; ++i) {
    const double price = table.columns[2].numbers[i];
    CHECK(answers.values[i] == doctest::Approx(price).epsilon(1e-3));
    squares += std::pow(answers.values[i] - price, 2);
  }
  CHECK(model.evaluate(table).rmse == doctest::Approx(std::sqrt(squares / 200)).epsilon(1e-3));

  // Without a step between, the error is the deviation of the prices, which standardised is 1.
  Model untrained("linear 1 init=zeros");
  untrained.prepare(data);
  CHECK(in_own_units({.rows = 1, .rmse = 1}, untrained.encoder).rmse ==
        doctest::Approx(untrained.evaluate(table).rmse).epsilon(1e-3));
}

TEST_CASE("a model without layers gets some that suit the data") {
  Model model;
  const FitOptions how = model.prepare(open_data("iris"));
  CHECK(model.network.to_text() == "linear 32, relu, linear 3");
  CHECK(how.batch == suggested_batch(120));
  CHECK(how.epochs == suggested_epochs(120, how.batch));
  CHECK(how.lr == Optimizer::parse("adam").usual_rate());
  CHECK(model.parameters.size() == 4);
  Model wrong("linear 4");
  CHECK_THROWS_WITH_AS(wrong.prepare(open_data("iris")),
                       doctest::Contains("the target has 3 classes"), ShapeError);
  CHECK_THROWS_WITH_AS(Model("linear 4, rellu"), doctest::Contains("rellu"), UsageError);
}

TEST_CASE("a trained model is trained on, by rows that are encoded alike") {
  const TrainingData data = open_data("iris");
  Model once("linear 3");
  once.fit(data, {.epochs = 5, .optimizer = Optimizer::parse("sgd")});
  Model twice = once;
  twice.fit(data, {.epochs = 5, .optimizer = Optimizer::parse("sgd")});
  CHECK(twice.evaluate(data.test).loss < once.evaluate(data.test).loss);
  CHECK_THROWS_WITH_AS(once.fit(open_data("iris", {.seed = 1})),
                       doctest::Contains("the model reads its rows in another way"), UsageError);
}

TEST_CASE("a training that fails leaves the last good weights") {
  Model model("linear 8, relu, linear 1");
  CHECK_THROWS_AS(
      model.fit(encoded(houses(64), "price"),
                {.epochs = 3, .batch = 16, .lr = 1e30, .optimizer = Optimizer::parse("sgd")}),
      NonFiniteError);
  REQUIRE(model.parameters.size() == 4);
  CHECK(all_finite(model.parameters));
}

TEST_CASE("threads share one model") {
  const TrainingData data = open_data("iris");
  Model model("linear 3");
  model.prepare(data);
  const Tensor alone = model(data.train.x);
  std::vector<std::thread> threads;
  std::vector<std::uint8_t> same(4);
  for (std::uint8_t& s : same) {
    threads.emplace_back([&] {
      const Tensor y = std::as_const(model)(data.train.x);
      s = std::ranges::equal(y.values<float>(), alone.values<float>()) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::ranges::count(same, 1) == 4);
}

TEST_CASE("data are read as their kind needs") {
  CHECK_THROWS_WITH_AS(open_data("irish"), doctest::Contains("iris"), UsageError);
  CHECK_THROWS_WITH_AS(open_data("iris", {.context = 2, .words = 2}),
                       doctest::Contains("give one of them"), UsageError);
  CHECK_THROWS_WITH_AS(open_data("iris", {.validation = 1}),
                       doctest::Contains("at least 0 and below 1"), UsageError);
  const TrainingData whole = open_data("iris", {.validation = 0});
  CHECK(whole.train.x.shape() == Shape{150, 4});
  CHECK(whole.source == "iris");
  const Dataset again = read_dataset(whole.encoder, "iris");
  CHECK(std::ranges::equal(again.x.values<float>(), whole.train.x.values<float>()));
  CHECK(read_features(whole.encoder, "iris").shape() == Shape{150, 4});
}
