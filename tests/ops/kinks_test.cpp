// Derivatives where a function has a kink, where operands are equal, and where a rule's formula is
// 0·∞: what PyTorch's autograd gives there, on both backends. The numbers are PyTorch 2.13's.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "chainrule/reference.h"

using namespace chainrule;

namespace {

using Numbers = std::vector<double>;
using One = std::function<Value(Value)>;
using Two = std::function<Value(Value, Value)>;

void check_near(const char* backend, const Numbers& got, const Numbers& expected) {
  CAPTURE(backend);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CAPTURE(got[i]);
    CHECK(std::abs(got[i] - expected[i]) <= 5e-6 * std::abs(expected[i]));
  }
}

// The only output of a graph whose inputs are named "a" and "b", on both backends.
void check_output(const Graph& graph, const std::vector<Numbers>& inputs, const Numbers& expected) {
  const char* const names[] = {"a", "b"};
  TensorMap feed;
  Program program(graph, std::make_shared<Parameters>());
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const auto count = static_cast<std::int64_t>(inputs[k].size());
    const Tensor tensor = Tensor::of<double>({count}, inputs[k]);
    feed.insert_or_assign(names[k], tensor);
    const Tensor narrow = tensor.as(DType::kF32);
    std::ranges::copy(narrow.values<float>(), program.input<float>(names[k]).begin());
  }
  const Tensor exact = Evaluation(graph, feed).outputs().at("d");
  check_near("reference", {exact.values<double>().begin(), exact.values<double>().end()}, expected);
  REQUIRE(program.run());
  const auto fast = program.output<float>("d");
  check_near("cpu", {fast.begin(), fast.end()}, expected);
}

Value input(Graph& graph, const char* name, std::size_t count) {
  return graph.input(name, {DType::kF32, {static_cast<std::int64_t>(count)}});
}

void check_slope(const One& f, const Numbers& at, const Numbers& expected) {
  Graph graph;
  const Value a = input(graph, "a", at.size());
  graph.output("d", gradient(sum(f(a)), {a})[0]);
  check_output(graph, {at}, expected);
}

// The derivative of f by its operand `by`.
void check_slope(const Two& f, std::size_t by, const Numbers& a, const Numbers& b,
                 const Numbers& expected) {
  Graph graph;
  const Value x = input(graph, "a", a.size());
  const Value y = input(graph, "b", b.size());
  graph.output("d", gradient(sum(f(x, y)), {x, y})[by]);
  check_output(graph, {a, b}, expected);
}

}  // namespace

TEST_CASE("activations have PyTorch's slopes at their kinks") {
  const double e = std::exp(-1);
  const auto slope = [](const One& f, const Numbers& expected) {
    check_slope(f, {-1, 0, 1}, expected);
  };
  slope([](Value x) { return elu(x); }, {e, 1, 1});
  slope([](Value x) { return elu(x, 1.5); }, {1.5 * e, 1.5, 1});
  slope([](Value x) { return relu(x); }, {0, 0, 1});
  slope([](Value x) { return leaky_relu(x, 0.25); }, {0.25, 0.25, 1});
  slope([](Value x) { return abs(x); }, {-1, 0, 1});
  slope([](Value x) { return softplus(x); }, {1 / (1 + std::exp(1)), 0.5, 1 / (1 + e)});
  slope([](Value x) { return gelu(x); }, {-0.08331547058768635, 0.5, 1.0833154705876864});
  slope([](Value x) { return silu(x); }, {0.07232948812851325, 0.5, 0.9276705118714869});
  slope([](Value x) { return softsign(x); }, {0.25, 1, 0.25});
  slope([](Value x) { return mish(x); }, {0.05921691912844647, 0.6, 1.0490362200997922});
  constexpr double kScale = 1.0507009873554805;
  constexpr double kAlpha = 1.6732632423543772;
  slope([](Value x) { return selu(x); }, {kScale * kAlpha * e, kScale * kAlpha, kScale});
  check_slope([](Value x) { return hardsigmoid(x); }, {-4, -3, 0, 3, 4}, {0, 0, 1.0 / 6, 0, 0});
  check_slope([](Value x) { return hardswish(x); }, {-4, -3, 0, 3, 4}, {0, 0, 0.5, 1, 1});
  // Of the losses, the sum and not the mean.
  slope([](Value x) { return 3 * huber(x, 0.0 * x); }, {-1, 0, 1});
  slope([](Value x) { return 3 * mean_absolute_error(x, 0.0 * x); }, {-1, 0, 1});
}

TEST_CASE("elu(x) + elu(-x) is smooth at 0, and elu keeps the digits of small numbers") {
  check_slope([](Value x) { return elu(x) + elu(-x); }, {0}, {0});
  for (const double x : {-1e-7, -1e-4}) {
    Graph graph;
    graph.output("d", elu(input(graph, "a", 1)));
    check_output(graph, {{static_cast<double>(static_cast<float>(x))}},
                 {std::expm1(static_cast<double>(static_cast<float>(x)))});
  }
}

TEST_CASE("equal operands of a maximum share its gradient, and max + min has that of a + b") {
  const Numbers a{-1, 0, 1};
  const Numbers b{0, 0, 0};
  check_slope([](Value x, Value y) { return maximum(x, y); }, 0, a, b, {0, 0.5, 1});
  check_slope([](Value x, Value y) { return maximum(x, y); }, 1, a, b, {1, 0.5, 0});
  check_slope([](Value x, Value y) { return minimum(x, y); }, 0, a, b, {1, 0.5, 0});
  check_slope([](Value x, Value y) { return minimum(x, y); }, 1, a, b, {0, 0.5, 1});
  for (const std::size_t by : {0U, 1U}) {
    check_slope([](Value x, Value y) { return maximum(x, y) + minimum(y, x); }, by, a, b,
                {1, 1, 1});
  }
  check_slope([](Value x) { return maximum(x, -x); }, {-2, 0, 2}, {-1, 0, 1});
  check_slope([](Value x) { return maximum(x, x); }, {0, 3}, {1, 1});
}

TEST_CASE("against a number max has relu's slope, and min the rest, whichever comes first") {
  const Numbers at{-1, 0, 1};
  check_slope([](Value x) { return maximum(x, 0.0); }, at, {0, 0, 1});
  check_slope([](Value x) { return maximum(constant(x.graph(), 0), x); }, at, {0, 0, 1});
  check_slope([](Value x) { return minimum(x, 0.0); }, at, {1, 1, 0});
  check_slope([](Value x) { return minimum(constant(x.graph(), 0), x); }, at, {1, 1, 0});
  check_slope([](Value x) { return maximum(x, 0.0) + expm1(minimum(x, 0.0)); }, at,
              {std::exp(-1), 1, 1});
}

TEST_CASE("a power has a slope at base 0") {
  const Two power = [](Value a, Value b) { return pow(a, b); };
  const Numbers a{0, 0, 0, 2, -1, -1};
  const Numbers b{0, 2, 1, 0, 2, 3};
  check_slope(power, 0, a, b, {0, 0, 1, 0, -2, 3});
  check_slope(power, 1, {0, 0, 0, 0, 2}, {0, 2, 1, 0.5, 0}, {0, 0, 0, 0, std::log(2)});
  for (const double exponent : {0.0, 1.0, 2.0, 3.0}) {
    CAPTURE(exponent);
    check_slope([&](Value x) { return pow(x, exponent); }, {0, -1, 2},
                {exponent == 1 ? 1.0 : 0.0, exponent * std::pow(-1, exponent - 1),
                 exponent * std::pow(2, exponent - 1)});
  }
  // A base that is a number.
  check_slope([](Value x) { return pow(constant(x.graph(), 0, x.shape()), x); }, {0, 2}, {0, 0});
  check_slope([](Value x) { return pow(x, x); }, {0, 2}, {0, 4 * (1 + std::log(2))});
}

TEST_CASE("a power's second derivative is finite at base 0 where there is one") {
  const auto second = [](std::size_t first, std::size_t by, const Numbers& a, const Numbers& b,
                         const Numbers& expected) {
    check_slope(
        [&](Value x, Value y) {
          return gradient(sum(pow(x, y)), {x, y})[first];
        },
        by, a, b, expected);
  };
  const Numbers a{0, 0, 0, 0, 2};
  const Numbers b{0, 2, 1, 3, 0};
  second(0, 0, a, b, {0, 2, 0, 0, 0});
  second(0, 1, {0, 0, 2}, {2, 3, 0}, {0, 0, 0.5});
  second(1, 0, {0, 0, 2}, {2, 3, 0}, {0, 0, 0.5});
  second(1, 1, a, b, {0, 0, 0, 0, std::log(2) * std::log(2)});
}
