// Optimisers against trajectories that tests/optim/make_golden.py computed with NumPy.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/nn.h"
#include "chainrule/ops.h"
#include "chainrule/optim.h"
#include "chainrule/reference.h"
#include "support/places.h"

using namespace chainrule;

namespace {

constexpr Type kScalar{DType::kF32, {}};

Tensor tensor(const nlohmann::json& numbers, Shape shape) {
  return Tensor::of<double>(std::move(shape), numbers.get<std::vector<double>>());
}

nlohmann::json golden() {
  std::ifstream file(source_path("tests/optim/golden.json"));
  return nlohmann::json::parse(file);
}

const std::vector<std::pair<std::string, Shape>> kParameters{
    {"w1", {3, 4}}, {"b1", {4}}, {"w2", {4, 2}}, {"b2", {2}}};

// The largest difference between two lists of numbers.
double worst(const std::vector<double>& expected, std::span<const double> got) {
  REQUIRE(expected.size() == got.size());
  double difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference = std::max(difference, std::fabs(expected[i] - got[i]));
  }
  return difference;
}

}  // namespace

TEST_CASE("optimisers follow the golden trajectories") {
  const nlohmann::json g = golden();
  REQUIRE(g["cases"].size() >= 33);
  for (const nlohmann::json& c : g["cases"]) {
    const std::string text = c["optimizer"];
    CAPTURE(text);
    Graph graph("step");
    const Value x = graph.input("x", {DType::kF32, {8, 3}});
    const Value t = graph.input("t", {DType::kF32, {8, 2}});
    const Value lr = graph.input("lr", kScalar);
    const Value step = graph.input("step", kScalar);
    std::vector<Value> p;
    TensorMap feed{{"x", tensor(g["x"], {8, 3})}, {"t", tensor(g["t"], {8, 2})}};
    for (const auto& [name, shape] : kParameters) {
      p.push_back(graph.parameter(name, {DType::kF32, shape}));
      feed.insert_or_assign(name, tensor(g["start"][name], shape));
    }
    const Value loss = mean_squared_error(matmul(tanh(matmul(x, p[0]) + p[1]), p[2]) + p[3], t);
    apply(Optimizer::parse(text), loss, p, lr, step,
          {.norm = c["clip_norm"], .value = c["clip_value"]});
    for (const Value& v : graph.parameters()) {
      if (is_optimizer_state(v.name())) feed.emplace(v.name(), Tensor(DType::kF64, v.shape()));
    }
    feed.insert_or_assign("lr", Tensor::of<double>({}, {c["lr"].get<double>()}));

    std::vector<double> losses;
    for (int s = 1; s <= g["steps"].get<int>(); ++s) {
      feed.insert_or_assign("step", Tensor::of<double>({}, {double(s)}));
      const Evaluation run(graph, feed);
      if ((s - 1) % g["loss_every"].get<int>() == 0) losses.push_back(run.scalar(loss));
      for (auto& [name, value] : run.updated()) feed.insert_or_assign(name, value);
    }
    CHECK(worst(c["losses"].get<std::vector<double>>(), losses) < 1e-9);
    for (const auto& parameter : kParameters) {
      const std::string name = parameter.first;
      CAPTURE(name);
      CHECK(worst(c["end"][name].get<std::vector<double>>(), feed.at(name).values<double>()) <
            1e-9);
      if (!c.contains("average")) continue;
      const Tensor& average = feed.at(average_name(name));
      CHECK(worst(c["average"][name].get<std::vector<double>>(), average.values<double>()) < 1e-9);
    }
  }
}

TEST_CASE("states are parameters that carry the optimiser's and the weight's name") {
  Graph graph("step");
  const Value w = graph.parameter("1.weight", {DType::kF32, {3}});
  const Value lr = graph.input("lr", kScalar);
  const Value step = graph.input("step", kScalar);
  apply(Optimizer(), sum(square(w)), {w}, lr, step);
  REQUIRE(graph.parameters().size() == 3);
  CHECK(graph.parameters()[1].name() == "adam.m/1.weight");
  CHECK(graph.parameters()[2].name() == "adam.v/1.weight");
  CHECK(is_optimizer_state("adam.m/1.weight"));
  CHECK(!is_optimizer_state("1.weight"));
  CHECK(graph.updates().size() == 3);
}

TEST_CASE("clipping by the global norm leaves a small gradient and scales a large one") {
  for (const double scale : {0.01, 10.0}) {
    Graph graph("step");
    const Value a = graph.parameter("a", {DType::kF32, {2}});
    const Value b = graph.parameter("b", {DType::kF32, {}});
    const Value lr = graph.input("lr", kScalar);
    const Value step = graph.input("step", kScalar);
    // The gradient is scale·(3, 4) and scale·12: its norm is scale·13.
    const Value loss = scale * (3 * sum(slice(a, {0}, {1})) + 4 * sum(slice(a, {1}, {2})) + 12 * b);
    apply(Optimizer::parse("sgd"), loss, {a, b}, lr, step, {.norm = 1.0});
    const Evaluation run(graph, {{"a", Tensor(DType::kF64, {2})},
                                 {"b", Tensor(DType::kF64, {})},
                                 {"lr", Tensor::of<double>({}, {1.0})},
                                 {"step", Tensor::of<double>({}, {1.0})}});
    const double factor = scale < 1 ? scale : 1.0 / 13;
    CHECK(run.updated().at("a").values<double>()[0] == doctest::Approx(-3 * factor));
    CHECK(run.updated().at("a").values<double>()[1] == doctest::Approx(-4 * factor));
    CHECK(run.updated().at("b").values<double>()[0] == doctest::Approx(-12 * factor));
  }
}

TEST_CASE("an optimiser's text round-trips, and a wrong one says what there is") {
  for (const char* text : {"adam", "sgd momentum=0.9 nesterov", "rmsprop decay=0.9 centered",
                           "adamw weight_decay=0.1", "adam amsgrad", "muon nesterov=false steps=3",
                           "lion weight_decay=1 decay_on=all l1=0.01 ema=0.99 lr=0.001"}) {
    CHECK(Optimizer::parse(text).to_text() == text);
  }
  CHECK(Optimizer::parse("  SGD   momentum=0.90 ").to_text() == "sgd momentum=0.90");
  CHECK(Optimizer::parse("adam beta1=0.9").to_text() == "adam");
  CHECK_THROWS_WITH_AS(Optimizer::parse("adm"),
                       "column 1: unknown optimizer \"adm\"; did you mean \"adam\"? There are: "
                       "adadelta, adagrad, adam, adamw, lbfgs, lion, muon, nadam, rmsprop, sgd",
                       UsageError);
  CHECK_THROWS_WITH_AS(
      Optimizer::parse("sgd momentun=0.9"),
      "column 5: unknown option of sgd \"momentun\"; did you mean \"momentum\"? There are: "
      "momentum, nesterov, weight_decay, decay_on, l1, ema, lr",
      UsageError);
  CHECK_THROWS_WITH_AS(Optimizer::parse("sgd momentum=2"),
                       "column 5: sgd: momentum must be a number, 0 to 0.9999999, got \"2\"",
                       UsageError);
  CHECK_THROWS_WITH_AS(Optimizer::parse("adam beta1=x"),
                       "column 6: adam: beta1 must be a number, 0 to 0.9999999, got \"x\"",
                       UsageError);
  CHECK_THROWS_WITH_AS(Optimizer::parse(""), "column 1: no optimizer given", UsageError);
  CHECK_THROWS_AS(Optimizer::parse("sgd nesterov"), UsageError);
}

TEST_CASE("L-BFGS follows its golden trajectory on the reference backend") {
  const nlohmann::json g = golden();
  REQUIRE(g["full_batch"].size() == 5);
  Graph graph("loss");
  const Value x = graph.input("x", {DType::kF32, {8, 3}});
  const Value t = graph.input("t", {DType::kF32, {8, 2}});
  std::vector<Value> p;
  TensorMap feed{{"x", tensor(g["x"], {8, 3})}, {"t", tensor(g["t"], {8, 2})}};
  std::vector<double> start;
  for (const auto& [name, shape] : kParameters) {
    p.push_back(graph.parameter(name, {DType::kF32, shape}));
    for (const nlohmann::json& v : g["start"][name]) start.push_back(v);
  }
  const Value loss = mean_squared_error(matmul(tanh(matmul(x, p[0]) + p[1]), p[2]) + p[3], t);
  const std::vector<Value> gradients = gradient(loss, p);
  double decay = 0;
  const auto function = [&](std::span<const double> w, std::span<double> gradient_out) {
    std::size_t at = 0;
    for (const auto& [name, shape] : kParameters) {
      const auto count = static_cast<std::size_t>(element_count(shape));
      feed.insert_or_assign(name, Tensor::of<double>(shape, w.subspan(at, count)));
      at += count;
    }
    const Evaluation run(graph, feed);
    at = 0;
    for (const Value& d : gradients) {
      const Tensor value = run.value(d);
      for (const double v : value.values<double>()) gradient_out[at++] = v;
    }
    double squares = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      gradient_out[i] += decay * w[i];
      squares += w[i] * w[i];
    }
    return run.scalar(loss) + decay / 2 * squares;
  };
  for (const nlohmann::json& c : g["full_batch"]) {
    const Optimizer optimizer = Optimizer::parse(c["optimizer"].get<std::string>());
    CAPTURE(optimizer.to_text());
    decay = optimizer.phrase().real("weight_decay");
    Lbfgs lbfgs({.history = optimizer.phrase().integer("history")});
    std::vector<double> w = start;
    std::vector<double> ignored(w.size());
    std::vector<double> losses{function(w, ignored)};
    const std::size_t steps = c["losses"].size();
    for (std::size_t s = 0; s < steps; ++s) {
      const bool ends = c["converges"].get<bool>() && s + 1 == steps;
      REQUIRE(lbfgs.step(function, w) == !ends);
      losses.push_back(lbfgs.value());
    }
    losses.pop_back();
    CHECK(worst(c["losses"].get<std::vector<double>>(), losses) < 1e-9);
    std::vector<double> end;
    for (const auto& parameter : kParameters) {
      for (const nlohmann::json& v : c["end"][parameter.first]) end.push_back(v);
    }
    CHECK(worst(end, w) < 1e-9);
    CHECK(lbfgs.evaluations() > 30);
  }
}

TEST_CASE("L-BFGS ends at a minimum, and steps over places that are no numbers") {
  // A valley, bent: the minimum is 0 at (1, 1).
  const auto rosenbrock = [](std::span<const double> x, std::span<double> g) {
    const double a = 1 - x[0];
    const double b = x[1] - x[0] * x[0];
    g[0] = -2 * a - 400 * b * x[0];
    g[1] = 200 * b;
    return a * a + 100 * b * b;
  };
  Lbfgs lbfgs;
  std::vector<double> x{-1.2, 1};
  int steps = 0;
  while (lbfgs.step(rosenbrock, x)) REQUIRE(++steps < 100);
  CHECK(x[0] == doctest::Approx(1).epsilon(1e-4));
  CHECK(x[1] == doctest::Approx(1).epsilon(1e-4));
  CHECK(!lbfgs.step(rosenbrock, x));

  // −log x + x: no number left of 0, where the first trial lands.
  const auto barrier = [](std::span<const double> v, std::span<double> g) {
    g[0] = 1 - 1 / v[0];
    return v[0] > 0 ? v[0] - std::log(v[0]) : std::numeric_limits<double>::infinity();
  };
  Lbfgs careful({.rate = 50});
  std::vector<double> y{8};
  for (int i = 0; i < 50 && careful.step(barrier, y); ++i) continue;
  CHECK(y[0] == doctest::Approx(1).epsilon(1e-4));
  Lbfgs nowhere;
  std::vector<double> z{-1};
  CHECK_THROWS_AS(nowhere.step(barrier, z), Error);
}

TEST_CASE("AdamW, Lion and Muon leave vectors out of their decay") {
  for (const char* text : {"adamw", "lion", "muon", "adam weight_decay=0.1", "lion decay_on=all"}) {
    CAPTURE(text);
    const Optimizer optimizer = Optimizer::parse(text);
    const bool all = std::string_view(text) == "adam weight_decay=0.1" ||
                     std::string_view(text) == "lion decay_on=all";
    CHECK(optimizer.decays({3, 3, 8, 8}));
    CHECK(optimizer.decays({3, 4}));
    CHECK(optimizer.decays({4}) == all);
    CHECK(optimizer.decays({}) == all);
  }
  CHECK_THROWS_WITH_AS(Optimizer::parse("lion decay_on=biases"),
                       "column 6: lion: decay_on must be all or matrices, got \"biases\"",
                       UsageError);
}

namespace {

// The weights that Muon's own rule moves; the others have AdamW's second moment.
std::set<std::string> moved_by_muon(Value loss, const std::vector<Value>& weights) {
  Graph& graph = loss.graph();
  apply(Optimizer::parse("muon"), loss, weights, graph.input("lr", kScalar),
        graph.input("step", kScalar));
  std::set<std::string> names;
  for (const Value& w : weights) names.insert(w.name());
  for (const Value& p : graph.parameters()) {
    if (p.name().starts_with("muon.v/")) names.erase(p.name().substr(7));
  }
  return names;
}

std::set<std::string> moved_by_muon(const std::string& network, const Shape& input) {
  const Sequential model = Sequential::parse(network);
  Graph graph("step");
  const Network built = model.build(graph.input("x", {model.input_dtype(), input}));
  return moved_by_muon(sum(square(built.output)), built.trained);
}

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("Muon moves the matrices inside a network and leaves the rest to AdamW") {
  CHECK(moved_by_muon("linear 8, layer_norm, relu, linear 8, relu, linear 3", {2, 5}) ==
        Names{"1.weight", "4.weight"});
  CHECK(moved_by_muon("linear 3, softmax", {2, 5}).empty());
  CHECK(moved_by_muon("embedding 4 vocabulary=9, lstm 6 sequence, linear 9", {2, 5}) ==
        Names{"2.weight", "2.recurrent"});
  CHECK(moved_by_muon("embedding 4 vocabulary=9, flatten, linear 6, tanh, linear 9", {2, 5}) ==
        Names{"3.weight"});
  CHECK(moved_by_muon("conv2d 4, batch_norm, relu, conv2d 4 groups=2, flatten, linear 3",
                      {2, 6, 6, 2}) == Names{"1.weight", "4.weight"});
}

TEST_CASE("Muon leaves tables alone, also where they are added or serve at both ends") {
  Graph graph("step");
  const auto parameter = [&](const char* name, Shape shape) {
    return graph.parameter(name, {DType::kF32, std::move(shape)});
  };
  const Value x = graph.input("x", {DType::kI32, {6}});
  const Value table = parameter("table", {9, 4});
  const Value places = parameter("places", {7, 4});
  const Value w = parameter("w", {4, 8});
  const Value v = parameter("v", {8, 4});
  const Value h = gather(table, x) + slice(places, {0, 0}, {6, 4});
  const Value y = h + matmul(tanh(matmul(h, w)), v);
  const Value scores = matmul(y, transpose(table));
  // A term that keeps weights small is no use of them in the network.
  const Value loss = mean(square(scores)) + 0.01 * sum(square(w));
  CHECK(moved_by_muon(loss, {table, places, w, v}) == Names{"v", "w"});
}

TEST_CASE("a rate in the text is the usual one; lbfgs has no update op") {
  CHECK(Optimizer::parse("adam lr=0.5").usual_rate() == 0.5);
  CHECK(Optimizer::parse("adadelta").usual_rate() == 1);
  CHECK(Optimizer::parse("adam ema=0.9").averages());
  CHECK(!Optimizer::parse("adam").averages());
  CHECK(!Optimizer::parse("lbfgs").averages());
  CHECK(Optimizer::parse("lbfgs").is_full_batch());
  Graph graph("step");
  const Value w = graph.parameter("w", {DType::kF32, {3}});
  const Value scalar = graph.input("lr", kScalar);
  CHECK_THROWS_WITH_AS(apply(Optimizer::parse("lbfgs"), sum(square(w)), {w}, scalar, scalar),
                       "lbfgs has no update op: it works on all data at once, in fit()",
                       UsageError);
}
