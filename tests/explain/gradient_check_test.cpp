// The check of gradients: what is right passes, what is wrong is found, and a kink is neither.
#include "chainrule/gradient_check.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "chainrule/ops.h"
#include "chainrule/random.h"
#include "chainrule/train.h"
#include "explain/verify/network_check.h"
#include "explain/verify/rounding.h"
#include "graph/op.h"
#include "ops/activations.h"

using namespace chainrule;

namespace {

Tensor normal(const Shape& shape, std::uint32_t seed) {
  return RandomState(seed).randn(shape).as(DType::kF32);
}

Dataset classes_batch(const Shape& x, std::int64_t classes) {
  Dataset batch;
  batch.x = normal(x, 1);
  std::vector<std::int32_t> labels;
  for (const std::int64_t l : RandomState(2).randint(0, classes, x[0])) {
    labels.push_back(static_cast<std::int32_t>(l));
  }
  batch.labels = Tensor::of<std::int32_t>({x[0]}, labels);
  for (std::int64_t c = 0; c < classes; ++c) batch.classes.push_back(std::to_string(c));
  return batch;
}

NetworkCheck check_text(const std::string& text, const Shape& x, std::int64_t classes,
                        const NetworkCheckOptions& options = {}) {
  const Sequential network = Sequential::parse(text);
  Shape example = x;
  example.erase(example.begin());
  return check_network(network, initialize(network, example, 3), classes_batch(x, classes),
                       options);
}

double worst_error(const NetworkCheck& check) {
  double worst = 0;
  for (const ParameterCheck& p : check.gradients) {
    worst = std::max({worst, p.worst_entry.error, p.worst_direction.error});
  }
  return worst;
}

// x³ with the gradient of x³/3: wrong by the factor 3. Registered only while a test holds it.
struct WrongCube {
  Value operator()(Value x) const { return emit(op, {x}); }
  const Op op{
      checked({.name = "wrong_cube",
               .formula = "{0}³",
               .elementwise = true,
               .infer = same_as_all_inputs,
               .eval = [](const Eval& e) { e.map([](double x) { return x * x * x; }); },
               .c = "({0} * {0} * {0})",
               .grad = [](const Node& n, Value dy) -> Grads { return {dy * square(n.inputs[0])}; },
               .samples = [](Sampler&) {}})};
};

}  // namespace

TEST_CASE("the gradients of every layer pass, far inside the tolerance") {
  for (const char* text :
       {"linear 5, tanh, linear 3", "linear 5, relu, linear 3, softmax",
        "linear 6, sigmoid, linear 3", "linear 6, gelu, linear 5, elu, linear 3",
        "linear 6, leaky_relu, dropout 0.3, linear 3",
        "reshape 2x2, linear 3, softplus, flatten, linear 3", "linear 5, silu, linear 3"}) {
    CAPTURE(std::string(text));
    const NetworkCheck check = check_text(text, {6, 4}, 3);
    CHECK(check.passed());
    CHECK(worst_error(check) < 1e-8);
    for (const ParameterCheck& p : check.gradients) {
      CHECK(p.entries == element_count(p.shape));
      CHECK_FALSE(p.all_zero);
    }
    CHECK(check.backend.size() == 1 + 2 * check.gradients.size());
  }
}

TEST_CASE("the gradients of every activation pass") {
  for (const Activation& activation : activations()) {
    const std::string text = "linear 5, " + std::string(activation.name) + ", linear 3";
    CAPTURE(text);
    const NetworkCheck check = check_text(text, {6, 4}, 3);
    CHECK(check.passed());
    CHECK(worst_error(check) < 1e-8);
  }
}

TEST_CASE("every optimiser's update on the CPU is that of the reference") {
  for (const char* text : {"sgd momentum=0.9 nesterov", "rmsprop", "adam", "adamw"}) {
    CAPTURE(std::string(text));
    CHECK(check_text("linear 5, tanh, linear 3", {6, 4}, 3,
                     {.optimizer = Optimizer::parse(text), .clip = {.norm = 0.1}})
              .passed());
  }
}

TEST_CASE("a gradient that cancels to nothing is no failure of float32") {
  // A bias in front of a batch norm: its true gradient is 0. Running statistics are no weights.
  for (const char* text : {"sgd", "adam"}) {
    CAPTURE(std::string(text));
    const NetworkCheck check = check_text("linear 5, batch_norm, relu, linear 3", {8, 4}, 3,
                                          {.optimizer = Optimizer::parse(text)});
    CHECK(check.passed());
    CHECK(check.gradients.size() == 6);
    CHECK(check.backend.size() == 1 + 6 + 8);
  }
}

TEST_CASE("what float32 cannot do better is no failure") {
  // Saturated units, whose derivatives are differences of numbers near 1; a softmax so sure that
  // its small probabilities lie below the loss's epsilon; sums that cancel.
  for (const char* text :
       {"linear 30 init=normal:20, tanh, linear 30 init=normal:20, tanh, linear 3 init=normal:20",
        "linear 20 init=normal:5, layer_norm, gelu, linear 20 init=normal:5, layer_norm, gelu, "
        "linear 3 init=normal:5, softmax",
        "linear 12 init=normal:8, sigmoid, linear 12 init=normal:8, batch_norm, sigmoid, linear 3",
        "linear 16 init=normal:3, relu, linear 16 init=normal:3, relu, linear 3 init=normal:3"}) {
    for (const std::uint32_t seed : {1U, 2U, 3U}) {
      CAPTURE(std::string(text));
      CAPTURE(seed);
      const Sequential network = Sequential::parse(text);
      const NetworkCheck check =
          check_network(network, initialize(network, {4}, seed), classes_batch({6, 4}, 3),
                        {.gradient = {.entries = 10}, .optimizer = Optimizer::parse("adam")});
      for (const BackendCheck& b : check.backend) {
        CAPTURE(b.what);
        CAPTURE(b.where);
        CAPTURE(b.cpu);
        CAPTURE(b.reference);
        CHECK(b.passed);
      }
      for (const ParameterCheck& p : check.gradients) {
        CAPTURE(p.worst_entry.where);
        CAPTURE(p.worst_entry.analytic);
        CAPTURE(p.worst_entry.numeric);
        CHECK(p.passed);
      }
    }
  }
}

TEST_CASE("what float32 may be off is found for each result") {
  Graph graph;
  const Value x = graph.input("x", {DType::kF32, {4}});
  const Value y = x * 3.0;
  graph.output("product", y);
  graph.output("cancelled", (y + 1e6) - 1e6);
  graph.output("sum", sum(y));
  const Rounding rounding = rounding_of(
      graph, {{"x", Tensor::of<float>({4}, {1.0F, 2.0F, -3.0F, 0.0F})}}, Precision::kFloat32);
  const std::vector<double>& product = rounding.outputs.at("product");
  CHECK(product[0] > 3 * 0x1p-24);
  CHECK(product[0] < 100 * 3 * 0x1p-24);
  CHECK(product[2] == doctest::Approx(3 * product[0]));
  CHECK(product[3] < 1e-30);
  for (const double r : rounding.outputs.at("cancelled")) {
    CHECK(r > 1e6 * 0x1p-24);
    CHECK(r < 100 * 1e6 * 0x1p-24);
  }
  CHECK(rounding.outputs.at("sum").front() > 9 * 0x1p-24);
  CHECK(rounding.outputs.at("sum").front() < 100 * (3 + 6 + 9) * 0x1p-24);
}

TEST_CASE("a wrong result of the CPU is found, and the entry that is most wrong") {
  const Tensor reference = Tensor::of<double>({2, 2}, {1.0, 200.0, 1e-3, 0.0});
  const std::vector<double> rounding{1e-6, 2e-4, 1e-9, 1e-9};
  const auto compare = [&](std::vector<float> cpu) {
    return compared("gradient", "w", Tensor::of<float>({2, 2}, cpu), reference, rounding);
  };
  CHECK(compare({1.0F, 200.0F, 1e-3F, 0.0F}).passed);
  CHECK(compare({1.0F, 200.0001F, 1e-3F, 0.0F}).passed);
  // One percent of a small entry is little beside the largest, and wrong all the same.
  const BackendCheck small = compare({1.0F, 200.0001F, 1.01e-3F, 0.0F});
  CHECK_FALSE(small.passed);
  CHECK(small.where == "w[1,0]");
  CHECK(small.error > small.allowed);
  CHECK_FALSE(compare({1.00001F, 200.0F, 1e-3F, 0.0F}).passed);
  CHECK_FALSE(compare({1.0F, 200.0F, 1e-3F, 1e-6F}).passed);
  CHECK_FALSE(compare({1.0F, NAN, 1e-3F, 0.0F}).passed);
}

TEST_CASE("a planted wrong rule is found, with the entry and both numbers") {
  const WrongCube wrong_cube;
  Graph graph;
  const Value x = graph.input("x", {DType::kF32, {3, 2}});
  const Value w = graph.parameter("w", {DType::kF32, {2, 2}});
  const Value b = graph.parameter("b", {DType::kF32, {2}});
  const Value loss = sum(square(wrong_cube(matmul(x, w)) + b));
  const TensorMap feed{{"x", normal({3, 2}, 4)}, {"w", normal({2, 2}, 5)}, {"b", normal({2}, 6)}};
  const std::size_t nodes = graph.nodes().size();
  const std::vector<ParameterCheck> checks = check_gradient(loss, {w, b}, feed);
  CHECK(graph.nodes().size() == nodes);
  REQUIRE(checks.size() == 2);
  CHECK_FALSE(checks[0].passed);
  CHECK(checks[0].worst_entry.where.substr(0, 2) == "w[");
  CHECK(checks[0].worst_entry.numeric == doctest::Approx(3 * checks[0].worst_entry.analytic));
  CHECK(checks[0].worst_entry.error == doctest::Approx(2.0 / 3).epsilon(0.01));
  CHECK(checks[0].worst_direction.error > 0.1);
  CHECK(checks[1].passed);  // b is behind the wrong op
}

TEST_CASE("a wrong rule is found by directions alone") {
  const WrongCube wrong_cube;
  Graph graph;
  const Value w = graph.parameter("w", {DType::kF32, {20}});
  const std::vector<ParameterCheck> checks =
      check_gradient(sum(wrong_cube(w)), {w}, {{"w", normal({20}, 5)}}, {.entries = 0});
  CHECK(checks[0].entries == 0);
  CHECK_FALSE(checks[0].passed);
}

TEST_CASE("a wrong rule is found although everything lies on a kink") {
  const WrongCube wrong_cube;
  Graph graph;
  const Value w = graph.parameter("w", {DType::kF32, {3}});
  const Value loss = sum(wrong_cube(relu(w) + 1.0));
  const std::vector<ParameterCheck> checks =
      check_gradient(loss, {w}, {{"w", Tensor(DType::kF32, {3})}});
  CHECK_FALSE(checks[0].passed);
}

TEST_CASE("kinks are named and counted, and are no failure") {
  const NetworkCheck check =
      check_text("linear 3 init=zeros, relu, linear 3 init=xavier_normal", {6, 4}, 3);
  CHECK(check.passed());
  const ParameterCheck& weight = check.gradients[0];
  REQUIRE(weight.kinks.size() == 1);
  CHECK(weight.kinks[0].op == "relu");
  CHECK(weight.kinks[0].place == "layer 2 (relu)");
  CHECK(weight.kinks[0].where == "1.weight[0,0]");
  CHECK(weight.kinks[0].count >= 10);
  CHECK(check.gradients[3].kinks.empty());
}

TEST_CASE("elu bends at 0 and has no kink there") {
  for (const char* text : {"linear 4 init=zeros, elu, linear 3 init=xavier_normal",
                           "linear 4 init=zeros, elu, linear 5, elu, linear 3"}) {
    CAPTURE(std::string(text));
    const NetworkCheck check = check_text(text, {30, 4}, 3);
    CHECK(check.passed());
    CHECK(worst_error(check) < 1e-6);
    for (const ParameterCheck& p : check.gradients) CHECK(p.kinks.empty());
  }
}

TEST_CASE("the kinks of abs, maximum and max are theirs") {
  const auto kink_of = [](auto f) {
    Graph graph;
    const Value w = graph.parameter("w", {DType::kF32, {2}});
    const Value v = graph.parameter("v", {DType::kF32, {2}});
    const Value loss = sum(square(f(w, v) + 1.0));
    const auto checks = check_gradient(
        loss, {w}, {{"w", Tensor(DType::kF32, {2})}, {"v", Tensor(DType::kF32, {2})}});
    CHECK(checks[0].passed);
    return checks[0].kinks.empty() ? std::string() : checks[0].kinks[0].op;
  };
  CHECK(kink_of([](Value w, Value v) { return abs(w + 2.0 * w + v) + w; }) == "");  // 0 is the mean
  CHECK(kink_of([](Value w, Value v) { return maximum(w + v, 0.0); }) == "maximum");
  CHECK(kink_of([](Value w, Value v) { return minimum(w + v, 0.0); }) == "minimum");
  CHECK(kink_of([](Value w, Value v) { return maximum(w, v); }) == "");  // equals have even shares
  CHECK(kink_of([](Value w, Value v) { return minimum(v, w); }) == "");
  CHECK(kink_of([](Value w, Value v) { return max(w + v, {0}); }) == "");  // so is an even share
}

TEST_CASE("a kink close by is no matter") {
  Graph graph;
  const Value w = graph.parameter("w", {DType::kF32, {3}});
  const Tensor close = Tensor::of<float>({3}, {3e-5F, -4e-4F, 2e-6F});
  const auto checks = check_gradient(sum(relu(w) * 2.0), {w}, {{"w", close}});
  CHECK(checks[0].passed);
  CHECK(checks[0].kinks.empty());
}

TEST_CASE("large and small numbers pass") {
  for (const double scale : {1e-4, 1e3}) {
    CAPTURE(scale);
    Graph graph;
    const Value x = graph.input("x", {DType::kF32, {5, 3}});
    const Value w = graph.parameter("w", {DType::kF32, {3, 2}});
    const Value loss = mean(square(tanh(matmul(x * scale, w * (1 / scale)))));
    const auto checks =
        check_gradient(loss, {w}, {{"x", normal({5, 3}, 1)}, {"w", normal({3, 2}, 2)}});
    CHECK(checks[0].passed);
  }
}
