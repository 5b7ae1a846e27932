// gradient() from end to end: what it joins, names, repeats and refuses. The rules of the single
// ops are judged in tests/ops/.
#include "chainrule/gradient.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "chainrule/reference.h"
#include "graph/op.h"

using namespace chainrule;

namespace {

const Type kScalar{DType::kF32, {}};

std::vector<double> numbers(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

Tensor scalar(double x) { return Tensor::of<double>({}, {x}); }

void check_near(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-12));
  }
}

const Op* softmax_backward_op() {
  for (const Op* op : all_ops()) {
    if (op->name == "softmax_backward") return op;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("what arrives at a shared subexpression is added up") {
  // s = x·y is read three times, x once more: f = s² + 3s + s·x.
  Graph g;
  const Value x = g.input("x", kScalar);
  const Value y = g.input("y", kScalar);
  const Value s = x * y;
  const std::vector<Value> d = gradient(s * s + 3 * s + s * x, {x, y, s});
  const Evaluation at(g, {{"x", scalar(2)}, {"y", scalar(-5)}});
  CHECK(at.scalar(d[2]) == 2 * -10 + 3 + 2);
  CHECK(at.scalar(d[0]) == (2 * -10 + 3 + 2) * -5 + -10);
  CHECK(at.scalar(d[1]) == (2 * -10 + 3 + 2) * 2);
}

TEST_CASE("an intermediate value and a weight upstream of it are differentiated in one call") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {1, 2}});
  const Value w = g.parameter("w", {DType::kF32, {2, 2}});
  const Value z = matmul(x, w);
  const std::vector<Value> both = gradient(sum(square(z)), {z, w});
  const Evaluation at(g, {{"x", Tensor::of<double>({1, 2}, {1, 3})},
                          {"w", Tensor::of<double>({2, 2}, {2, -1, 0.5, 4})}});
  // z = [3.5, 11], dz = 2z, dw = xᵀ·dz.
  check_near(numbers(at.value(both[0])), {7, 22});
  check_near(numbers(at.value(both[1])), {7, 22, 21, 66});
  CHECK(both[0].shape() == z.shape());
  CHECK(both[1].shape() == w.shape());
}

TEST_CASE("the third derivative of x⁵ is 60x²") {
  Graph g;
  const Value x = g.input("x", kScalar);
  for (const Value y : {pow(x, 5.0), x * x * x * x * x}) {
    Value d = y;
    for (int order = 0; order < 3; ++order) d = gradient(d, {x})[0];
    for (const double at : {-1.5, 0.5, 2.0}) {
      CAPTURE(at);
      CHECK(Evaluation(g, {{"x", scalar(at)}}).scalar(d) ==
            doctest::Approx(60 * at * at).epsilon(1e-12));
    }
  }
}

TEST_CASE("the Hessian of a quadratic form is its symmetric part") {
  // f = ½ xᵀ·A·x has the Hessian (A + Aᵀ)/2, wherever x is.
  Graph g;
  const Value x = g.input("x", {DType::kF32, {3, 1}});
  const Value a = g.input("a", {DType::kF32, {3, 3}});
  const Value f = reshape(0.5 * matmul(transpose(x), matmul(a, x)), {});
  const Value df = gradient(f, {x})[0];
  std::vector<Value> rows;
  for (std::int64_t i = 0; i < 3; ++i) {
    rows.push_back(gradient(sum(slice(df, {i, 0}, {i + 1, 1})), {x})[0]);
  }
  const Value hessian = transpose(concatenate(rows, 1));
  const Evaluation at(g, {{"x", Tensor::of<double>({3, 1}, {1, -2, 0.5})},
                          {"a", Tensor::of<double>({3, 3}, {2, 1, 0, 3, -1, 4, 2, 6, 5})}});
  check_near(numbers(at.value(hessian)), {2, 2, 1, 2, -1, 5, 1, 5, 5});
}

TEST_CASE("a cotangent weighs the outputs") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {3}});
  const Value dy = g.input("dy", {DType::kF32, {3}});
  const Value d = gradient(x * x * x, {x}, dy)[0];
  const Evaluation at(g, {{"x", Tensor::of<double>({3}, {1, -2, 3})},
                          {"dy", Tensor::of<double>({3}, {0.5, 1, -2})}});
  check_near(numbers(at.value(d)), {1.5, 12, -54});

  const Value wrong = g.input("wrong", {DType::kF32, {2}});
  CHECK_THROWS_WITH_AS(gradient(x * x, {x}, wrong),
                       "gradient: expected a cotangent f32[3], got f32[2]", ShapeError);
}

TEST_CASE("the gradient of Z1 is called dZ1") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {2, 3}});
  const Value w = g.parameter("W1", {DType::kF32, {3, 4}});
  const Value z = matmul(x, w).named("Z1");
  const Value loss = sum(sigmoid(z)).named("loss");
  const std::vector<Value> d = gradient(loss, {w, z});
  CHECK(d[0].name() == "dW1");
  CHECK(d[1].name() == "dZ1");

  SUBCASE("and a second gradient leaves the name where it is") {
    const std::vector<Value> again = gradient(loss, {w, z});
    CHECK(again[0].name() != "dW1");
    CHECK(d[1].name() == "dZ1");
    verify(g);
  }
}

TEST_CASE("a path through an op without a derivative is refused, and the op is named") {
  Graph g;
  const Value step = g.input("step", kScalar);
  const Value noise = random_uniform(step, {3}, 1, 0);
  CHECK_THROWS_WITH_AS(gradient(sum(noise), {step}), "random_uniform has no derivative", Error);

  const Value w = g.parameter("w", {DType::kF32, {3}});
  const Value lr = g.input("lr", kScalar);
  const Value next = sgd_update(w, {}, 2 * w, lr)[0];
  CHECK_THROWS_WITH_AS(gradient(sum(next), {w}), "sgd has no derivative", Error);

  SUBCASE("but not where it lies beside the path") {
    const Value d = gradient(sum(w * noise), {w})[0];
    const Evaluation at(g,
                        {{"step", scalar(1)}, {"lr", scalar(0)}, {"w", Tensor(DType::kF32, {3})}});
    check_near(numbers(at.value(d)), numbers(at.value(noise)));
  }
}

TEST_CASE("the gradient of an expansion ends at the node's inputs, however they hang together") {
  // softmax_backward(y, dy) is a macro op without a rule of its own; y = exp(x) is computed from x,
  // which is its second input as well, and then both inputs are one value.
  Graph g;
  const Value x = g.input("x", {DType::kF32, {2}});
  const Value both = emit(*softmax_backward_op(), {exp(x), x});
  const Value twice = emit(*softmax_backward_op(), {x, x});
  const Value d = gradient(sum(both * both), {x})[0];
  const Value e = gradient(sum(twice * twice), {x})[0];
  const auto at = [&](double a, double b) {
    return Evaluation(g, {{"x", Tensor::of<double>({2}, {a, b})}});
  };
  const auto total = [&](Value v, double a, double b) { return at(a, b).scalar(v); };
  const Value s = sum(both * both);
  const Value t = sum(twice * twice);
  constexpr double kStep = 1e-6;
  const auto slope = [&](Value v) {
    return (total(v, 0.3 + kStep, -0.4) - total(v, 0.3 - kStep, -0.4)) / (2 * kStep);
  };
  CHECK(numbers(at(0.3, -0.4).value(d))[0] == doctest::Approx(slope(s)).epsilon(1e-7));
  CHECK(numbers(at(0.3, -0.4).value(e))[0] == doctest::Approx(slope(t)).epsilon(1e-7));
}
