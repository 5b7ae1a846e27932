// The trace of a training step: its names, formulas and numbers.
#include "chainrule/trace.h"

#include <doctest/doctest.h>

#include <cmath>

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

// Three sequences of four numbers.
Trace sequence_trace(const std::string& network) {
  Dataset batch = first_rows("iris", 3);
  batch.x = Tensor::of<float>({3, 4, 1}, {1, 2, 0, -1, 0, 1, 1, 1, -2, 0, 2, 1});
  const Sequential model = Sequential::parse(network);
  return trace(model, initialize(model, {4, 1}, 0), batch);
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
  const Trace t = iris_trace("linear 4, silu, linear 3, softmax");
  CHECK(formula(t, "A1") == "Z1 ⊙ u1");
  CHECK(t.find("u1")->layer == 2);
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
  const Trace t = sequence_trace("rnn 3, linear 3");
  CHECK(formula(t, "X_2") == "X[:, 2, :]");
  CHECK(formula(t, "Z1_0") == "X_0·W1 + b1");
  CHECK(formula(t, "Z1_1") == "X_1·W1 + H1_0·U1 + b1");
  CHECK(formula(t, "H1_1") == "tanh(Z1_1)");
  CHECK(formula(t, "Z2") == "H1_3·W2 + b2");
  CHECK(formula(t, "dH1_2") == "dZ1_3·U1ᵀ");
  CHECK(formula(t, "dW1") == "X_3ᵀ·dZ1_3 + X_2ᵀ·dZ1_2 + X_1ᵀ·dZ1_1 + X_0ᵀ·dZ1_0");
  CHECK(t.find("U1")->parameter == "1.recurrent");
  REQUIRE(t.sequences.size() == 1);
  CHECK(t.sequences[0].layer == 1);
  CHECK(t.sequences[0].inputs == std::vector<std::string>{"X_0", "X_1", "X_2", "X_3"});
  CHECK(t.sequences[0].states == std::vector<std::string>{"H1_0", "H1_1", "H1_2", "H1_3"});
}

TEST_CASE("the Jacobians of a trace are the products of those of single steps") {
  const Trace t = sequence_trace("rnn 3, linear 3");
  const TraceSequence& sequence = t.sequences[0];
  const std::span<const double> u = t.find("U1")->numbers.values<double>();
  for (std::size_t b = 0; b < 3; ++b) {
    std::vector<double> product{1, 0, 0, 0, 1, 0, 0, 0, 1};
    for (std::size_t step = 4; step-- > 0;) {
      const std::span<const double> found = sequence.jacobians[step].values<double>();
      double squares = 0;
      for (std::size_t i = 0; i < 9; ++i) {
        CHECK(found[b * 9 + i] == doctest::Approx(product[i]).epsilon(1e-10));
        squares += product[i] * product[i];
      }
      // The spectral norm lies between the Frobenius norm and that over √3.
      CHECK(sequence.norms[step][b] <= std::sqrt(squares) * (1 + 1e-12));
      CHECK(sequence.norms[step][b] >= std::sqrt(squares / 3) * (1 - 1e-12));
      // ∂h[i]/∂h_before[j] = (1 − h[i]²)·U[j, i]
      const std::string state = sequence.states[step];
      const std::span<const double> h = t.find(state)->numbers.values<double>();
      std::vector<double> longer(9, 0.0);
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t k = 0; k < 3; ++k) {
          for (std::size_t j = 0; j < 3; ++j) {
            const double slope = 1 - h[b * 3 + k] * h[b * 3 + k];
            longer[i * 3 + j] += product[i * 3 + k] * slope * u[j * 3 + k];
          }
        }
      }
      product = longer;
    }
    CHECK(sequence.norms[3][b] == doctest::Approx(1));
  }
}

TEST_CASE("a trace names the gates of a cell, and every value has a formula and a layer") {
  for (const char* network : {"lstm 3, linear 3", "gru 3, linear 3", "lstm 2 layers=2, linear 3",
                              "gru 2 bidirectional, linear 3", "rnn 3 sequence, rnn 2, linear 3"}) {
    CAPTURE(network);
    const Trace t = sequence_trace(network);
    for (const TraceValue& v : t.values) {
      CAPTURE(v.name);
      const bool given = v.part == TracePart::kInput || v.part == TracePart::kParameter;
      CHECK(v.formula.empty() == given);
    }
    for (const TraceSequence& sequence : t.sequences) CHECK(sequence.layer > 0);
  }
  const Trace lstm = sequence_trace("lstm 3, linear 3");
  CHECK(formula(lstm, "F1_2") == "sigmoid(Z1_2[:, 3:6])");
  CHECK(formula(lstm, "C1_2") == "F1_2 ⊙ C1_1 + I1_2 ⊙ G1_2");
}
