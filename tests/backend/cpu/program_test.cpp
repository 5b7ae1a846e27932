// The CPU backend against the reference interpreter: every op of the registry with its gradients,
// fused forms, updates in place, guards, and the same bits on any number of threads.
#include "chainrule/program.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "chainrule/attention.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "support/samples.h"

using namespace chainrule;

namespace {

std::shared_ptr<Parameters> parameters_of(const Graph& graph, const TensorMap& feed) {
  auto parameters = std::make_shared<Parameters>();
  for (const Value& p : graph.parameters())
    parameters->set(p.name(), feed.at(p.name()).as(p.dtype()));
  return parameters;
}

void fill_inputs(Program& program, const Graph& graph, const TensorMap& feed) {
  for (const Value& input : graph.inputs()) {
    const Tensor tensor = feed.at(input.name()).as(input.dtype());
    if (input.dtype() == DType::kI32) {
      std::ranges::copy(tensor.values<std::int32_t>(),
                        program.input<std::int32_t>(input.name()).begin());
    } else {
      std::ranges::copy(tensor.values<float>(), program.input<float>(input.name()).begin());
    }
  }
}

std::vector<double> read(const Program& program, const std::string& name, DType dtype) {
  if (dtype == DType::kI32) {
    const auto values = program.output<std::int32_t>(name);
    return {values.begin(), values.end()};
  }
  const auto values = program.output<float>(name);
  return {values.begin(), values.end()};
}

void check_close(std::span<const double> expected, std::span<const double> got, double tolerance) {
  REQUIRE(expected.size() == got.size());
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(expected[i] - got[i]) / (1 + std::abs(expected[i]));
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  CHECK(worst < tolerance);
}

// Runs `graph` both ways and compares all outputs and updated parameters.
void compare(const Graph& graph, const TensorMap& feed, double tolerance, bool tiny) {
  const Evaluation reference(graph, feed);
  const auto parameters = parameters_of(graph, feed);
  Program program(graph, parameters, {make_thread_pool(2), "", tiny});
  fill_inputs(program, graph, feed);
  REQUIRE(program.run());
  const TensorMap expected = reference.outputs();
  for (const auto& output : graph.outputs()) {
    const std::string& name = output.first;
    CAPTURE(name);
    check_close(expected.at(name).as(DType::kF64).values<double>(),
                read(program, name, output.second.dtype()), tolerance);
  }
  for (const auto& parameter : reference.updated()) {
    const std::string& name = parameter.first;
    CAPTURE(name);
    check_close(parameter.second.as(DType::kF64).values<double>(),
                parameters->at(name).as(DType::kF64).values<double>(), tolerance);
  }
}

void compare(const Graph& graph, const TensorMap& feed, double tolerance = 2e-5) {
  compare(graph, feed, tolerance, true);
  compare(graph, feed, tolerance, false);
}

}  // namespace

TEST_CASE("every op and its gradients agree with the reference") {
  for (const Op* op : all_ops()) {
    if (op->source) continue;
    const std::size_t count = Samples(*op).checked.size();
    for (std::size_t i = 0; i < count; ++i) {
      CAPTURE(op->name);
      Samples samples(*op);
      const Value y = samples.checked[i];
      samples.graph().output("y", y);
      if (op->differentiable()) {
        std::vector<Value> inputs;
        for (const Value& input : samples.graph().inputs()) {
          if (input.dtype() == DType::kF32) inputs.push_back(input);
        }
        const std::vector<Value> gradients = gradient(y, inputs, samples.random_like(y));
        for (std::size_t k = 0; k < gradients.size(); ++k) {
          samples.graph().output("d" + std::to_string(k), gradients[k]);
        }
      }
      compare(samples.graph(), samples.feed);
    }
  }
}

namespace {

// A classifier's training step, large enough to be cut into chunks; its feed is random.
struct Step {
  Graph graph{"step"};
  TensorMap feed;
  std::mt19937 random{11};

  Tensor numbers(const Shape& shape, double scale) {
    Tensor t(DType::kF32, shape);
    std::normal_distribution<float> normal(0, static_cast<float>(scale));
    for (float& x : t.values<float>()) x = normal(random);
    return t;
  }
  Value parameter(const std::string& name, Shape shape, double scale) {
    feed[name] = numbers(shape, scale);
    return graph.parameter(name, {DType::kF32, std::move(shape)});
  }
  Value scalar(const std::string& name, double value) {
    feed[name] = Tensor::of<float>({}, {static_cast<float>(value)});
    return graph.input(name, {DType::kF32, {}});
  }

  explicit Step(const std::string& optimizer, std::int64_t batch = 61, std::int64_t hidden = 130) {
    feed["x"] = numbers({batch, 97}, 1);
    Tensor labels(DType::kI32, {batch});
    for (std::int32_t& t : labels.values<std::int32_t>())
      t = static_cast<std::int32_t>(random() % 10);
    feed["t"] = labels;
    const Value x = graph.input("x", {DType::kF32, {batch, 97}});
    const Value t = graph.input("t", {DType::kI32, {batch}});
    const std::vector<Value> p = {
        parameter("w1", {97, hidden}, 0.1),     parameter("b1", {hidden}, 0.1),
        parameter("w2", {hidden, hidden}, 0.1), parameter("b2", {hidden}, 0.1),
        parameter("w3", {hidden, 10}, 0.1),     parameter("b3", {10}, 0.1)};
    const Value lr = scalar("lr", 0.01);
    const Value step = scalar("step", 3);
    const Value h = relu(matmul(x, p[0]) + p[1]);
    const Value g = dropout(gelu(matmul(h, p[2]) + p[3]), 0.3, step, 5, 0);
    const Value loss = softmax_cross_entropy(matmul(g, p[4]) + p[5], t, 0.1);
    graph.output("loss", loss);
    const std::vector<Value> d = gradient(loss, p);
    for (std::size_t i = 0; i < p.size(); ++i) {
      const auto state = [&](const char* name) {
        return parameter(name + p[i].name(), p[i].shape(), 0.0);
      };
      if (optimizer == "sgd") {
        graph.update(p[i], sgd_update(p[i], {}, d[i], lr, {0, false, 0.01})[0]);
      } else if (optimizer == "momentum") {
        const Value v = state("v.");
        const auto next = sgd_update(p[i], v, d[i], lr, {0.9, true, 0});
        graph.update(p[i], next[0]);
        graph.update(v, next[1]);
      } else if (optimizer == "rmsprop") {
        const Value s = state("s.");
        const Value a = state("a.");
        const Value v = state("v.");
        const auto next = rmsprop_update(p[i], {s, a, v}, d[i], lr, {0.99, 1e-4, true, 0.9, 0.01});
        graph.update(p[i], next[0]);
        graph.update(s, next[1]);
        graph.update(a, next[2]);
        graph.update(v, next[3]);
      } else {
        const Value m = state("m.");
        const Value v = state("v.");
        const auto next = adam_update(p[i], m, v, d[i], lr, step, {0.9, 0.999, 1e-8, 0.1, true});
        graph.update(p[i], next[0]);
        graph.update(m, next[1]);
        graph.update(v, next[2]);
      }
    }
  }
};

std::vector<std::byte> bytes_after(const std::string& optimizer, int threads, int steps) {
  Step step(optimizer);
  const auto parameters = parameters_of(step.graph, step.feed);
  Program program(step.graph, parameters, {make_thread_pool(threads), "loss"});
  fill_inputs(program, step.graph, step.feed);
  for (int i = 1; i <= steps; ++i) {
    program.input<float>("step")[0] = static_cast<float>(i);
    REQUIRE(program.run());
  }
  std::vector<std::byte> bytes;
  for (const auto& [name, tensor] : parameters->tensors()) {
    bytes.insert(bytes.end(), tensor.data(), tensor.data() + tensor.bytes());
  }
  return bytes;
}

}  // namespace

TEST_CASE("a training step agrees with the reference under every optimiser") {
  // A gradient's rounding, some 5e-9 here, is divided by what rmsprop and adam keep from 0: 1e-4,
  // and 1e-8 beside the root of a moment.
  const std::vector<std::pair<std::string, double>> tolerances = {
      {"sgd", 2e-5}, {"momentum", 2e-5}, {"rmsprop", 1e-4}, {"adam", 2e-3}};
  for (const auto& [name, tolerance] : tolerances) {
    const std::string& optimizer = name;
    CAPTURE(optimizer);
    Step step(optimizer);
    compare(step.graph, step.feed, tolerance);
  }
}

TEST_CASE("200 steps give the same bytes on 1, 2 and 5 threads") {
  for (const char* optimizer : {"sgd", "adam"}) {
    const auto one = bytes_after(optimizer, 1, 200);
    CHECK(one == bytes_after(optimizer, 2, 200));
    CHECK(one == bytes_after(optimizer, 5, 200));
  }
}

TEST_CASE("a loss that is not finite stops the run before any parameter changes") {
  Step step("adam", 5, 7);
  const auto parameters = parameters_of(step.graph, step.feed);
  Program program(step.graph, parameters, {nullptr, "loss"});
  fill_inputs(program, step.graph, step.feed);
  program.input<float>("x")[3] = NAN;
  const Tensor before = parameters->at("w1");
  CHECK(!program.run());
  CHECK(std::memcmp(before.data(), parameters->at("w1").data(), before.bytes()) == 0);
}

TEST_CASE("labels out of range are named, and no parameter changes") {
  Step step("sgd", 5, 7);
  const auto parameters = parameters_of(step.graph, step.feed);
  Program program(step.graph, parameters);
  fill_inputs(program, step.graph, step.feed);
  program.input<std::int32_t>("t")[2] = 10;
  const Tensor before = parameters->at("w1");
  CHECK_THROWS_WITH_AS(program.run(), "label 10 in row 2 of the batch is not in 0 … 9", DataError);
  CHECK(std::memcmp(before.data(), parameters->at("w1").data(), before.bytes()) == 0);
}

TEST_CASE("all updates happen at once") {
  Graph g;
  TensorMap feed{{"a", Tensor::of<float>({2}, {1, 2})},
                 {"b", Tensor::of<float>({2}, {3, 4})},
                 {"c", Tensor::of<float>({2}, {5, 6})}};
  const Value a = g.parameter("a", {DType::kF32, {2}});
  const Value b = g.parameter("b", {DType::kF32, {2}});
  const Value c = g.parameter("c", {DType::kF32, {2}});
  g.update(a, b);
  g.update(b, a);
  g.update(c, c + a);
  compare(g, feed);
}

TEST_CASE("an update that reads another parameter's old value still does") {
  Graph g;
  TensorMap feed{{"w", Tensor::of<float>({2}, {1, 2})}, {"u", Tensor::of<float>({2}, {3, 4})}};
  const Value w = g.parameter("w", {DType::kF32, {2}});
  const Value u = g.parameter("u", {DType::kF32, {2}});
  const Value lr = constant(g, 0.5);
  g.update(w, sgd_update(w, {}, u, lr)[0]);
  g.update(u, sgd_update(u, {}, w, lr)[0]);
  compare(g, feed);
}

TEST_CASE("inputs can be bound to the caller's memory") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {3}});
  g.output("y", x * 2);
  Program program(g, std::make_shared<Parameters>());
  const float mine[] = {1, 2, 3};
  program.bind("x", mine);
  program.run();
  CHECK(program.output<float>("y")[2] == 6);
}

TEST_CASE("what a program lacks is named") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {3}});
  const Value w = g.parameter("w", {DType::kF32, {3}});
  g.output("y", x * w);
  auto parameters = std::make_shared<Parameters>();
  CHECK_THROWS_WITH_AS(Program(g, parameters), "no parameter \"w\"; there are none", UsageError);
  parameters->set("w", Tensor(DType::kF32, {4}));
  CHECK_THROWS_WITH_AS(Program(g, parameters), "parameter w: expected f32[3], got f32[4]",
                       ShapeError);
  auto right = std::make_shared<Parameters>();
  right->set("w", Tensor(DType::kF32, {3}));
  Program program(g, right);
  CHECK_THROWS_WITH_AS(program.input<float>("z"), "no input \"z\"; there are x", UsageError);
  CHECK_THROWS_WITH_AS(program.input<std::int32_t>("x"), "x is f32[3], asked for as i32",
                       ShapeError);
}

TEST_CASE("sinusoidal positions are right to the rounding of their angle in a long sequence") {
  constexpr std::int64_t kLength = 30'000;
  constexpr std::int64_t kFeatures = 8;
  Graph g;
  g.output("y", sinusoidal_positions(g, kLength, kFeatures));
  Program program(g, std::make_shared<Parameters>());
  program.run();
  const auto y = program.output<float>("y");
  double worst = 0;  // in roundings of the angle
  for (std::int64_t t = 0; t < kLength; ++t) {
    for (std::int64_t i = 0; i < kFeatures; ++i) {
      const double angle =
          static_cast<double>(t) * std::pow(10000, static_cast<double>(i % 4) / -4);
      const double expected = i < 4 ? std::sin(angle) : std::cos(angle);
      const double error = std::abs(y[static_cast<std::size_t>(t * kFeatures + i)] - expected);
      worst = std::max(worst, error / ((1 + angle) * 0x1p-24));
    }
  }
  CHECK(worst < 8);
}
