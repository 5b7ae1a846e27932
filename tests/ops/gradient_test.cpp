// One loop over the registry: every op's gradient rule against central differences in float64, with
// random cotangents, to second order.
#include <doctest/doctest.h>

#include <algorithm>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "support/gradient_check.h"

using namespace chainrule;

namespace {

constexpr double kTolerance = 1e-7;

// An op whose rule gives no gradient at all is flat almost everywhere (a comparison), or takes no
// real input; its numeric derivative must then be 0 as well.
bool is_flat(const Node& node) {
  if (node.op->joint_grad != nullptr) return false;
  const Grads grads = node.op->grad == gradient_of_expansion ? Grads{node.output()}
                                                             : node.op->grad(node, node.output());
  return std::none_of(grads.begin(), grads.end(), [](const Value& g) { return bool{g}; });
}

GradientReport worst_of_op(const Op& op) {
  GradientReport worst;
  const std::size_t count = Samples(op).checked.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<Value> inputs = real_inputs(Samples(op).checked[i]);
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      Samples samples(op);  // a fresh graph for each input keeps the graphs small
      const Value y = samples.checked[i];
      const GradientReport report = check_jacobian(samples, y, real_inputs(y)[k]);
      worst.norm += report.norm;
      if (report.worst_error >= worst.worst_error) {
        worst.worst_error = report.worst_error;
        worst.where = report.where;
      }
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("every gradient rule agrees with central differences, entry by entry") {
  for (const Op* op : all_ops()) {
    if (op->source || !op->differentiable()) continue;
    CAPTURE(op->name);
    Samples samples(*op);
    REQUIRE(!samples.checked.empty());
    const bool flat = is_flat(samples.checked[0].node());
    const GradientReport report = worst_of_op(*op);
    CAPTURE(report.where);
    CHECK(report.worst_error < kTolerance);
    if (flat) {
      CHECK(report.norm == 0);
    } else {
      CHECK(report.norm > 1e-3);  // two zeros would agree
    }
  }
}

TEST_CASE(
    "every gradient rule agrees with a directional derivative, and so does its own gradient") {
  for (const Op* op : all_ops()) {
    if (op->source || !op->differentiable()) continue;
    const std::size_t count = Samples(*op).checked.size();
    for (std::size_t i = 0; i < count; ++i) {
      Samples samples(*op);
      const Value y = samples.checked[i];
      const std::vector<Value> x = real_inputs(y);
      if (x.empty()) continue;
      CAPTURE(op->name);
      const GradientReport first = check_direction(samples, y, x);
      CAPTURE(first.where);
      CHECK(first.worst_error < kTolerance);

      Value s = constant(samples.graph(), 0.0);
      const std::vector<Value> dx = gradient(y, x, samples.random_like(y));
      for (const Value& d : dx) s = s + sum(d * samples.random_like(d));
      const GradientReport second = check_direction(samples, s, x);
      CAPTURE(second.where);
      CHECK(second.worst_error < 1e-6);
    }
  }
}

TEST_CASE("a planted wrong rule is caught") {
  const Op wrong{checked({
      .name = "wrong_cube",
      .formula = "{0}³",
      .elementwise = true,
      .infer = same_as_all_inputs,
      .eval = [](const Eval& e) { e.map([](double x) { return x * x * x; }); },
      .c = {"{0} * {0} * {0}", Binding::kProduct},
      .grad = [](const Node& n, Value dy) -> Grads { return {dy * square(n.inputs[0])}; },
      .samples =
          [](Sampler& s) {
            s.check(emit(*all_ops().back(), {s.uniform({2, 3}, 1, 2)}));
          },
  })};
  REQUIRE(all_ops().back() == &wrong);
  CHECK(worst_of_op(wrong).worst_error > 0.1);
  Samples samples(wrong);
  CHECK(check_direction(samples, samples.checked[0], real_inputs(samples.checked[0])).worst_error >
        1e-3);
}

TEST_CASE("gradient refuses what has no gradient") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {3}});
  CHECK_THROWS_WITH_AS(
      gradient(x, {x}),
      "gradient: expected a scalar, got f32[3]; reduce it with sum or mean, or give a cotangent",
      ShapeError);
  const Value unrelated = g.input("u", {DType::kF32, {2}});
  const Value zero = gradient(sum(x), {unrelated})[0];
  CHECK(is(zero, "constant"));
  CHECK(zero.shape() == Shape{2});
}
