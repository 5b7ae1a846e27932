// The recurrent layers and their gradients against tests/golden/recurrent.json, which
// tests/ops/make_recurrent_golden.py takes from PyTorch. Each case is judged twice, in the float64
// reference and as a compiled float32 program.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "chainrule/recurrent.h"
#include "support/places.h"

using namespace chainrule;
using nlohmann::json;

namespace {

struct Case {
  Graph graph{"case"};
  TensorMap feed;
  std::vector<std::pair<std::string, std::vector<double>>> expected;  // by output
};

Tensor tensor_of(const json& array) {
  return Tensor::of<double>(array.at("shape").get<Shape>(),
                            array.at("values").get<std::vector<double>>());
}

Value input(Case& c, const std::string& name, const Tensor& tensor) {
  c.feed[name] = tensor;
  const DType dtype = tensor.dtype() == DType::kI32 ? DType::kI32 : DType::kF32;
  return c.graph.input(name, {dtype, tensor.shape()});
}

void expect(Case& c, const std::string& name, Value value, const json& array) {
  c.graph.output(name, value);
  c.expected.emplace_back(name, array.at("values").get<std::vector<double>>());
}

Recurrence emit_case(const json& golden, const std::vector<Value>& x,
                     const RecurrentOptions& options) {
  const std::string op = golden.at("op");
  if (op == "lstm") return lstm(x[0], x[1], x[2], x[3], x[4], x[5], options);
  if (op == "gru") return gru(x[0], x[1], x[2], x[3], x[4], x[5], options);
  return rnn(x[0], x[1], x[2], x[3], x[4],
             golden.at("activation") == "relu" ? RnnActivation::kRelu : RnnActivation::kTanh,
             options);
}

void build(Case& c, const json& golden) {
  std::vector<Value> x;
  for (const json& array : golden.at("inputs")) {
    x.push_back(input(c, "x" + std::to_string(x.size()), tensor_of(array)));
  }
  RecurrentOptions options;
  options.reverse = golden.at("reverse");
  if (!golden.at("lengths").is_null()) {
    const auto lengths = golden.at("lengths").get<std::vector<std::int32_t>>();
    options.lengths =
        input(c, "lengths",
              Tensor::of<std::int32_t>({static_cast<std::int64_t>(lengths.size())}, lengths));
  }
  const Recurrence r = emit_case(golden, x, options);
  std::vector<Value> outputs{r.y, r.h};
  if (r.c) outputs.push_back(r.c);
  Value loss = constant(c.graph, 0.0);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    expect(c, "output" + std::to_string(i), outputs[i], golden.at("outputs").at(i));
    const Value d = input(c, "d" + std::to_string(i), tensor_of(golden.at("cotangents").at(i)));
    loss = loss + sum(outputs[i] * d);
  }
  const std::vector<Value> gradients = gradient(loss, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    expect(c, "gradient" + std::to_string(i), gradients[i], golden.at("gradients").at(i));
  }
}

double worst_error(std::span<const double> got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]) / (1 + std::abs(expected[i]));
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

void judge_program(const Case& c) {
  Program program(c.graph, std::make_shared<Parameters>());
  for (const Value& in : c.graph.inputs()) {
    const Tensor tensor = c.feed.at(in.name()).as(in.dtype());
    if (in.dtype() == DType::kI32) {
      std::ranges::copy(tensor.values<std::int32_t>(),
                        program.input<std::int32_t>(in.name()).begin());
    } else {
      std::ranges::copy(tensor.values<float>(), program.input<float>(in.name()).begin());
    }
  }
  REQUIRE(program.run());
  for (const auto& entry : c.expected) {
    CAPTURE(entry.first);
    const auto got = program.output<float>(entry.first);
    CHECK(worst_error(std::vector<double>(got.begin(), got.end()), entry.second) < 3e-6);
  }
}

}  // namespace

TEST_CASE("recurrent layers and their gradients are PyTorch's") {
  std::ifstream file(source_path("tests/golden/recurrent.json"));
  const json goldens = json::parse(file);
  REQUIRE(goldens.size() == 16);
  for (const json& golden : goldens) {
    CAPTURE(golden.at("op").get<std::string>());
    CAPTURE(golden.at("activation").get<std::string>());
    CAPTURE(golden.at("reverse").get<bool>());
    CAPTURE(golden.at("lengths").is_null());
    Case c;
    build(c, golden);
    const TensorMap outputs = Evaluation(c.graph, c.feed).outputs();
    for (const auto& entry : c.expected) {
      CAPTURE(entry.first);
      CHECK(worst_error(outputs.at(entry.first).values<double>(), entry.second) < 1e-13);
    }
    judge_program(c);
  }
}

TEST_CASE("recurrent ops name the input that does not fit") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {2, 3, 4}});
  const Value h = g.input("h", {DType::kF32, {2, 5}});
  const Value wx = g.input("wx", {DType::kF32, {4, 20}});
  const Value wh = g.input("wh", {DType::kF32, {5, 20}});
  const Value b = g.input("b", {DType::kF32, {20}});
  CHECK_NOTHROW(lstm(x, h, h, wx, wh, b));
  CHECK_THROWS_WITH_AS(rnn(x, h, wx, wh, b), "rnn: expected wx f32[4,5], got f32[4,20]",
                       ShapeError);
  CHECK_THROWS_WITH_AS(lstm(x, h, h, wx, wh, b, {.lengths = h, .reverse = false}),
                       "lstm: expected lengths i32[2], got f32[2,5]", ShapeError);
  CHECK_THROWS_WITH_AS(lstm(h, h, h, wx, wh, b),
                       "lstm: expected x f32[B, T, F] with at least one step, got f32[2,5]",
                       ShapeError);
}
