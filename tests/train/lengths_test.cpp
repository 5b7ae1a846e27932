// Padded sequences: whatever stands behind the end of a row, nothing of it may enter the result.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "chainrule/error.h"
#include "chainrule/train.h"

using namespace chainrule;

namespace {

constexpr std::int64_t kLetters = 5;

class Random {
 public:
  explicit Random(std::uint32_t seed) : state_(seed) {}
  std::int32_t below(std::int64_t bound) {
    state_ = state_ * 1664525 + 1013904223;
    return static_cast<std::int32_t>(
        (static_cast<std::uint64_t>(state_ >> 8) * static_cast<std::uint64_t>(bound)) >> 24);
  }

 private:
  std::uint32_t state_;
};

// Sequences of letters, each with its own length and a label for each step: whether the letter has
// been there before. What is behind a row's end depends on `padding`, nothing else does.
Dataset letters(std::int64_t rows, std::int64_t steps, std::int64_t longest,
                std::uint32_t padding) {
  Dataset data;
  data.x = Tensor(DType::kI32, {rows, steps});
  data.labels = Tensor(DType::kI32, {rows, steps});
  data.lengths = Tensor(DType::kI32, {rows});
  data.classes = {"new", "old", "other"};
  Random content(1);
  Random garbage(padding);
  std::size_t at = 0;
  for (std::int32_t& length : data.lengths.values<std::int32_t>()) {
    length = 1 + content.below(longest);
    std::vector<bool> seen(kLetters);
    for (std::int64_t t = 0; t < steps; ++t, ++at) {
      const bool counts = t < length;
      const std::int32_t letter = (counts ? content : garbage).below(kLetters);
      const auto index = static_cast<std::size_t>(letter);
      data.x.values<std::int32_t>()[at] = letter;
      data.labels.values<std::int32_t>()[at] = counts ? int{seen[index]} : garbage.below(3);
      seen[index] = true;
    }
  }
  return data;
}

// The same with one label a row, that of its last step.
Dataset with_last_labels(Dataset data) {
  const std::int64_t steps = data.x.shape()[1];
  std::vector<std::int32_t> last;
  for (const std::int32_t length : data.lengths.values<std::int32_t>()) {
    const auto row = static_cast<std::int64_t>(last.size());
    last.push_back(
        data.labels.values<std::int32_t>()[static_cast<std::size_t>(row * steps + length - 1)]);
  }
  data.labels = Tensor::of<std::int32_t>({data.x.shape()[0]}, last);
  return data;
}

Sequential network(const std::string& cell) {
  return Sequential::parse("embedding 4 vocabulary=5, " + cell + ", linear 3");
}

struct Trained {
  TensorMap parameters;
  FitResult result;
};

Trained trained(const Sequential& model, const Dataset& data, FitOptions options) {
  options.epochs = 2;
  options.batch = 16;
  auto parameters = std::make_shared<Parameters>();
  const FitResult result = fit(model, parameters, data, &data, options);
  return {parameters->tensors(), result};
}

bool same_bits(const TensorMap& a, const TensorMap& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& p, const auto& q) {
           return p.first == q.first && p.second.bytes() == q.second.bytes() &&
                  std::memcmp(p.second.data(), q.second.data(), p.second.bytes()) == 0;
         });
}

Dataset without_lengths(Dataset data) {
  data.lengths = Tensor(DType::kI32, {0});
  return data;
}

// Loss and gradients of a batch in float64.
TensorMap gradients(const Sequential& model, const Tensor& x, const Tensor& labels,
                    const Tensor& lengths) {
  const auto graph = gradient_step(model, x.shape(), 3, {.lengths = lengths.size() > 0});
  TensorMap feed = initialize(model, {x.shape()[1]}, 3);
  feed.insert_or_assign("x", x);
  feed.insert_or_assign("target", labels);
  feed.insert_or_assign("step", Tensor::of<float>({}, {1.0F}));
  if (lengths.size() > 0) feed.insert_or_assign("lengths", lengths);
  return Evaluation(*graph, feed).outputs();
}

void add(TensorMap& totals, const TensorMap& more, double factor) {
  for (const auto& [name, tensor] : more) {
    Tensor& total = totals.try_emplace(name, DType::kF64, tensor.shape()).first->second;
    for (std::size_t i = 0; i < total.values<double>().size(); ++i) {
      total.values<double>()[i] += factor * tensor.values<double>()[i];
    }
  }
}

// The first `length` steps of a row.
Tensor cut(const Tensor& values, std::int64_t row, std::int64_t length) {
  const auto from = values.values<std::int32_t>().begin() + row * values.shape()[1];
  return Tensor::of<std::int32_t>({1, length}, std::vector<std::int32_t>(from, from + length));
}

}  // namespace

TEST_CASE("padding leaves no trace in what fit() learns and measures, to the last bit") {
  const Dataset zeros = letters(70, 9, 7, 2);
  const Dataset other = letters(70, 9, 7, 3);
  REQUIRE(std::memcmp(zeros.x.data(), other.x.data(), zeros.x.bytes()) != 0);
  for (const char* cell : {"rnn 6 sequence", "lstm 6 sequence", "gru 6 sequence layers=2",
                           "lstm 5 sequence bidirectional", "rnn 6", "gru 6 bidirectional",
                           "linear 6, tanh, layer_norm"}) {
    CAPTURE(cell);
    const bool each_step = std::string_view(cell).find("sequence") != std::string_view::npos ||
                           std::string_view(cell).starts_with("linear");
    const Sequential model = network(cell);
    const Dataset a = each_step ? zeros : with_last_labels(zeros);
    const Dataset b = each_step ? other : with_last_labels(other);
    const Trained one = trained(model, a, {.threads = 1});
    const Trained two = trained(model, b, {.threads = 3});
    CHECK(same_bits(one.parameters, two.parameters));
    CHECK(one.result.training.loss == two.result.training.loss);
    CHECK(one.result.training.accuracy == two.result.training.accuracy);
    CHECK(one.result.validation.loss == two.result.validation.loss);
    CHECK(one.result.validation.accuracy == two.result.validation.accuracy);
    // Without lengths it does enter, so that the above can fail.
    CHECK(!same_bits(trained(model, without_lengths(a), {}).parameters,
                     trained(model, without_lengths(b), {}).parameters));
  }
}

TEST_CASE("a padded batch has the loss and the gradients of its rows one by one") {
  const Dataset data = letters(6, 8, 8, 5);
  for (const char* cell : {"rnn 4 sequence", "lstm 4 sequence", "gru 4 sequence bidirectional",
                           "lstm 4", "gru 4 layers=2"}) {
    CAPTURE(cell);
    const Sequential model = network(cell);
    const bool each_step = std::string_view(cell).find("sequence") != std::string_view::npos;
    const Dataset batch = each_step ? data : with_last_labels(data);
    TensorMap expected;
    double targets = 0;
    for (const std::int32_t length : data.lengths.values<std::int32_t>()) {
      targets += each_step ? length : 1;
    }
    for (std::int64_t row = 0; row < 6; ++row) {
      const std::int32_t length =
          data.lengths.values<std::int32_t>()[static_cast<std::size_t>(row)];
      const Tensor labels = each_step ? cut(data.labels, row, length)
                                      : gather_rows(batch.labels, std::vector<std::int64_t>{row});
      const TensorMap alone =
          gradients(model, cut(data.x, row, length), labels, Tensor(DType::kI32, {0}));
      add(expected, alone, (each_step ? length : 1) / targets);
    }
    const TensorMap got = gradients(model, batch.x, batch.labels, batch.lengths);
    double all_steps = 0;
    for (const std::int32_t length : data.lengths.values<std::int32_t>()) all_steps += length;
    CHECK(got.at("steps").values<double>()[0] == all_steps);
    REQUIRE(got.size() == expected.size() + 1);
    for (const auto& entry : expected) {
      const std::string& name = entry.first;
      const Tensor& tensor = entry.second;
      if (name == "correct") continue;  // a count, not a mean
      CAPTURE(name);
      for (std::size_t i = 0; i < tensor.values<double>().size(); ++i) {
        const double difference = tensor.values<double>()[i] - got.at(name).values<double>()[i];
        CHECK(std::fabs(difference) < 1e-12);
      }
    }
  }
}

TEST_CASE("what a reshape makes of a row's last state has no steps that could end") {
  struct Case {
    const char* layers;
    std::int64_t places;  // labels of a row; 0 for one, without an axis
  };
  const Dataset letters_of_rows = letters(6, 8, 8, 5);
  for (const Case c : {Case{"lstm 4, reshape 1x4", 1}, Case{"lstm 6, reshape 3x2, lstm 4", 0},
                       Case{"lstm 16, reshape 8x2x1, flatten", 0},
                       Case{"gru 8, reshape 8x1", 8},  // as many places as there were steps
                       Case{"gru 6, reshape 3x2, attention, flatten", 0},
                       Case{"gru 6, reshape 3x2, residual (conv1d 2)", 3}}) {
    CAPTURE(c.layers);
    const Sequential model = network(c.layers);
    Dataset data = letters_of_rows;
    data.labels = Tensor(DType::kI32, c.places == 0 ? Shape{6} : Shape{6, c.places});
    Random random(7);
    for (std::int32_t& label : data.labels.values<std::int32_t>()) label = random.below(3);

    TensorMap expected;
    auto parameters = std::make_shared<Parameters>();
    for (const auto& [name, tensor] : initialize(model, {8}, 3)) parameters->set(name, tensor);
    double measured = 0;
    for (std::int64_t row = 0; row < 6; ++row) {
      const std::int32_t length =
          data.lengths.values<std::int32_t>()[static_cast<std::size_t>(row)];
      Dataset one = data;
      one.x = cut(data.x, row, length);
      one.labels = gather_rows(data.labels, std::vector<std::int64_t>{row});
      one.lengths = Tensor(DType::kI32, {0});
      add(expected, gradients(model, one.x, one.labels, one.lengths), 1.0 / 6);
      measured += measure(model, Predictor(model, {length}, parameters)(one.x), one).loss / 6;
    }
    const TensorMap got = gradients(model, data.x, data.labels, data.lengths);
    for (const auto& entry : expected) {
      if (entry.first == "correct") continue;  // a count, not a mean
      const std::string& name = entry.first;
      CAPTURE(name);
      for (std::size_t i = 0; i < entry.second.values<double>().size(); ++i) {
        CHECK(std::fabs(entry.second.values<double>()[i] - got.at(name).values<double>()[i]) <
              1e-12);
      }
    }
    Predictor predict(model, {8}, parameters);
    CHECK(measure(model, predict(data.x, data.lengths), data).loss ==
          doctest::Approx(measured).epsilon(1e-5));
  }
}

TEST_CASE("the steps are followed through the layers") {
  const auto keeps = [](const char* text, Shape shape) {
    const Sequential model = Sequential::parse(text);
    Graph graph;
    const Value x = graph.input("x", {model.input_dtype(), std::move(shape)});
    return model.build(x, {.lengths = graph.input("lengths", {DType::kI32, {2}})})
        .output_is_sequence;
  };
  CHECK(keeps("linear 4, tanh, layer_norm", {2, 8, 3}));
  CHECK(keeps("reshape 8x1, lstm 4 sequence, linear 3", {2, 8}));
  CHECK(keeps("embedding 4 vocabulary=5, transformer heads=2", {2, 8}));
  CHECK(keeps("repeat 2 (residual (linear 3, relu)), parallel (linear 1 | linear 2)", {2, 8, 3}));
  CHECK(keeps("reshape 8x1, flatten", {2, 8}));
  CHECK_FALSE(keeps("lstm 8, reshape 8x1", {2, 8, 3}));
  CHECK_FALSE(keeps("parallel (lstm 8 | gru 8) join=add, reshape 8x1", {2, 8, 3}));
  CHECK_THROWS_AS(keeps("linear 4", {2, 8}), ShapeError);
  CHECK_THROWS_AS(keeps("layer_norm", {2, 8}), ShapeError);
  CHECK_THROWS_AS(keeps("reshape 4x2, lstm 4", {2, 8}), ShapeError);
  CHECK_THROWS_AS(keeps("parallel (lstm 24, reshape 8x3 | identity)", {2, 8, 3}), ShapeError);
}

TEST_CASE("padded rows are predicted and measured as they would be alone") {
  const Dataset data = letters(300, 8, 8, 5);
  const Sequential model = network("lstm 4 sequence bidirectional");
  auto parameters = std::make_shared<Parameters>();
  for (const auto& [name, tensor] : initialize(model, {8}, 4)) parameters->set(name, tensor);
  Predictor predict(model, {8}, parameters);
  const Tensor outputs = predict(data.x, data.lengths);
  double loss = 0;
  double targets = 0;
  for (std::int64_t row = 0; row < 300; row += 7) {
    const std::int32_t length = data.lengths.values<std::int32_t>()[static_cast<std::size_t>(row)];
    Predictor alone(model, {length}, parameters);
    Dataset one;
    one.x = cut(data.x, row, length);
    one.labels = cut(data.labels, row, length);
    one.classes = data.classes;
    const Tensor expected = alone(one.x);
    const auto from = static_cast<std::size_t>(row * 8 * 3);
    for (std::size_t i = 0; i < expected.values<float>().size(); ++i) {
      const float got = outputs.values<float>()[from + i];
      REQUIRE(got == doctest::Approx(expected.values<float>()[i]).epsilon(1e-5));
    }
    const Metrics metrics = measure(model, expected, one);
    loss += metrics.loss * length;
    targets += length;
  }
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < 300; row += 7) rows.push_back(row);
  Dataset some = data;
  some.x = gather_rows(data.x, rows);
  some.labels = gather_rows(data.labels, rows);
  some.lengths = gather_rows(data.lengths, rows);
  CHECK(measure(model, gather_rows(outputs, rows), some).loss ==
        doctest::Approx(loss / targets).epsilon(1e-5));
}

TEST_CASE("L-BFGS sees padded rows of more than one piece as they are") {
  FitOptions options;
  options.optimizer = Optimizer::parse("lbfgs");
  const Sequential model = network("rnn 4 sequence");
  const Trained one = trained(model, letters(300, 6, 5, 2), options);
  CHECK(same_bits(one.parameters, trained(model, letters(300, 6, 5, 3), options).parameters));
  // Two pieces of 256 and 44 rows, whose targets differ in number.
  CHECK(one.result.training.loss == doctest::Approx(one.result.validation.loss));
}

TEST_CASE("lengths out of range are refused, and what nobody would look at") {
  Dataset data = letters(6, 8, 8, 5);
  const Sequential model = network("lstm 4 sequence");
  const auto parameters = std::make_shared<Parameters>();
  data.lengths.values<std::int32_t>()[3] = 9;
  const char* message = "lengths: row 3 has length 9; expected 1 to 8, the steps that a row has";
  CHECK_THROWS_WITH_AS(fit(model, parameters, data), message, DataError);
  auto first = std::make_shared<Parameters>();
  for (const auto& [name, tensor] : initialize(model, {8}, 4)) first->set(name, tensor);
  CHECK_THROWS_WITH_AS(Predictor(model, {8}, first)(data.x, data.lengths), message, DataError);
  data.lengths.values<std::int32_t>()[3] = 0;
  CHECK_THROWS_AS(fit(model, parameters, data), DataError);
  data.lengths = Tensor(DType::kI32, {5});
  CHECK_THROWS_WITH_AS(fit(model, parameters, data),
                       "lengths: expected i32[6], one for each row, got i32[5]", ShapeError);

  // In a step of one's own, on both backends.
  for (const std::int32_t bad : {-1, 9}) {
    CAPTURE(bad);
    const auto step = training_step(model, {2, 8}, 3, {.lengths = true});
    auto own = std::make_shared<Parameters>();
    declare_parameters(*own, *step, initialize(model, {8}, 4));
    const TensorMap before = own->tensors();
    Program program(*step, own, {.threads = nullptr, .guard = "loss"});
    program.input<std::int32_t>("lengths")[0] = 8;
    program.input<std::int32_t>("lengths")[1] = bad;
    CHECK_THROWS_AS(program.run(), DataError);
    CHECK(same_bits(before, own->tensors()));
    CHECK_THROWS_AS(gradients(model, Tensor(DType::kI32, {2, 8}), Tensor(DType::kI32, {2, 8}),
                              Tensor::of<std::int32_t>({2}, {8, bad})),
                    DataError);
  }

  CHECK_THROWS_WITH_AS(
      training_step(network("flatten"), {2, 8}, 3, {.lengths = true}),
      "layer 2 (flatten): it joins the steps of a sequence and does not know where rows end, so "
      "their padding would count; put a recurrent layer before it, or train without lengths",
      ShapeError);
  for (const char* layer : {"conv1d 4", "max_pool", "average_pool", "global_max_pool", "batch_norm",
                            "group_norm 2", "reshape 16x2"}) {
    CAPTURE(layer);
    const std::string text = layer;
    CHECK_THROWS_AS(training_step(network(text + ", lstm 4"), {2, 8}, 3, {.lengths = true}),
                    ShapeError);
    if (text != "batch_norm" && text != "group_norm 2") continue;
    CHECK_NOTHROW(training_step(network("lstm 4, " + text), {2, 8}, 3, {.lengths = true}));
  }
  CHECK_THROWS_WITH_AS(
      training_step(Sequential::parse("linear 4, linear 3"), {2, 8}, 3, {.lengths = true}),
      "layer 1 (linear 4): it joins the steps of a sequence and does not know where rows end, so "
      "their padding would count; put a recurrent layer before it, or train without lengths",
      ShapeError);
  CHECK_THROWS_WITH_AS(
      training_step(Sequential::parse("tanh"), {2, 8}, 8, {.lengths = true}),
      "lengths: the steps of a row are the network's outputs, but a label needs a row of scores "
      "for each; end the network in a recurrent layer and \"linear\"",
      UsageError);
  CHECK_THROWS_WITH_AS(
      training_step(network("residual (lstm 32, reshape 8x4), lstm 4"), {2, 8}, 3,
                    {.lengths = true}),
      doctest::Contains("one of the parts that it joins still has the steps of the sequence"),
      ShapeError);
  CHECK_THROWS_AS(training_step(Sequential::parse("rnn 4, linear 3"), {2, 8, 2}, 3,
                                {.mixup = true, .lengths = true}),
                  UsageError);
  CHECK_THROWS_AS(training_step(Sequential::parse("linear 3"), {2}, 3, {.lengths = true}),
                  ShapeError);
}
