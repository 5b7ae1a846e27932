// The trace of a training step: its names, formulas and numbers.
#include "chainrule/trace.h"

#include <doctest/doctest.h>

#include "chainrule/error.h"
#include "chainrule/train.h"

using namespace chainrule;

namespace {

Dataset first_rows(const std::string& name, std::int64_t count) {
  const Table table = builtin(name);
  const Encoder encoder =
      Encoder::fit(table, all_rows(table.rows()), {.target = table.columns.back().name});
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back(i * table.rows() / count);
  return encoder.encode(table, rows);
}

Trace iris_trace(const std::string& network, const TraceOptions& options = {}) {
  const Sequential model = Sequential::parse(network);
  return trace(model, initialize(model, {4}, 0), first_rows("iris", 6), options);
}

std::string formula(const Trace& trace, const std::string& name) {
  const TraceValue* value = trace.find(name);
  return value == nullptr ? "(none)" : value->formula;
}

}  // namespace

TEST_CASE("a trace has a textbook's names and formulas") {
  const Trace t = iris_trace("linear 4, tanh, linear 3");
  CHECK(formula(t, "Z1") == "X·W1 + b1");
  CHECK(formula(t, "A1") == "tanh(Z1)");
  CHECK(formula(t, "Z2") == "A1·W2 + b2");
  CHECK(formula(t, "P") == "softmax(Z2)");
  CHECK(formula(t, "dZ2") == "(P - Y) / 6");
  CHECK(formula(t, "dA1") == "dZ2·W2ᵀ");
  CHECK(formula(t, "dW1") == "Xᵀ·dZ1");
  CHECK(t.find("W2")->parameter == "3.weight");
  CHECK(t.find("W2")->layer == 3);
  CHECK(t.find("dW2")->of == "W2");
  CHECK(t.next_of("b1")->part == TracePart::kUpdate);
  CHECK(t.gradient_of("P") == nullptr);
  CHECK(t.output == "P");
  REQUIRE(t.layers.size() == 3);
  CHECK(t.layers[2].input == "A1");
  CHECK(t.layers[2].parameters == std::vector<std::string>{"W2", "b2"});
}

TEST_CASE("a trace's numbers are those of the training step") {
  for (const char* optimizer : {"sgd", "adam", "sgd momentum=0.9"}) {
    CAPTURE(optimizer);
    const Sequential model = Sequential::parse("linear 5, gelu, linear 3");
    const TensorMap weights = initialize(model, {4}, 3);
    const Dataset batch = first_rows("iris", 7);
    const Trace t =
        trace(model, weights, batch, {.optimizer = Optimizer::parse(optimizer), .lr = 0.25});

    const auto step =
        training_step(model, batch.x.shape(), 3, {.optimizer = Optimizer::parse(optimizer)});
    TensorMap feed = weights;
    feed["x"] = batch.x;
    feed["target"] = batch.labels;
    feed["lr"] = Tensor::of<double>({}, {0.25});
    feed["step"] = Tensor::of<double>({}, {1.0});
    for (const Value& p : step->parameters()) feed.try_emplace(p.name(), p.dtype(), p.shape());
    const Evaluation run(*step, feed);
    CHECK(t.loss == doctest::Approx(run.outputs().at("loss").values<double>()[0]).epsilon(1e-12));
    const TensorMap updated = run.updated();
    for (const std::string name : {"W1", "b1", "W2", "b2"}) {
      CAPTURE(name);
      const std::span<const double> mine = t.next_of(name)->numbers.values<double>();
      const Tensor theirs = updated.at(t.find(name)->parameter);
      for (std::size_t i = 0; i < mine.size(); ++i) {
        CHECK(mine[i] == doctest::Approx(theirs.values<double>()[i]).epsilon(1e-10));
      }
    }
  }
}

TEST_CASE("what no one named and several formulas read has a name, a formula and a layer") {
  const Trace t = iris_trace("linear 4, gelu, linear 3, softmax");
  CHECK(formula(t, "A1") == "Z1 ⊙ u2");
  CHECK(t.find("u2")->layer == 2);
  CHECK(t.output == "A2");
  for (const TraceValue& v : t.values) {
    CAPTURE(v.name);
    const bool given = v.part == TracePart::kInput || v.part == TracePart::kParameter;
    CHECK(v.formula.empty() == given);
  }
}

TEST_CASE("a trace of a regression and of dropout") {
  Dataset batch = first_rows("iris", 4);
  batch.classes.clear();
  batch.y = Tensor::of<float>({4, 1}, {1, -1, 0.5F, 0});
  const Sequential model = Sequential::parse("linear 4, relu, dropout 0.5, linear 1");
  const Trace t = trace(model, initialize(model, {4}, 0), batch);
  CHECK(formula(t, "D1") == "A1 ⊙ u1");
  CHECK(t.output == "Z2");
  CHECK(t.find("Y")->part == TracePart::kInput);
  CHECK_THROWS_WITH_AS(trace(model, {}, batch),
                       "the network has a parameter 1.weight, but nothing was given for it",
                       UsageError);
}

TEST_CASE("a trace of a recurrent layer is unrolled") {
  Dataset batch = first_rows("iris", 3);
  batch.x = Tensor::of<float>({3, 4, 1}, std::vector<float>{1, 2, 0, -1, 0, 1, 1, 1, -2, 0, 2, 1});
  const Sequential model = Sequential::parse("rnn 3, linear 3");
  const Trace t = trace(model, initialize(model, {4, 1}, 0), batch);
  for (const TraceValue& v : t.values)
    MESSAGE(v.layer << " " << v.name << " = " << v.formula << " " << to_string(v.numbers.shape()));
  const Sequential lstm = Sequential::parse("lstm 3, linear 3");
  for (const TraceValue& v : trace(lstm, initialize(lstm, {4, 1}, 0), batch).values)
    MESSAGE(v.layer << " " << v.name << " = " << v.formula << " " << to_string(v.numbers.shape()));
}
