// Tiny programs: a whole training step in registers against the reference, on every instruction
// set, with the guard, the label check and bound inputs of any other program.
#include "backend/cpu/program/tiny.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "backend/cpu/kernel_testing.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"

using namespace chainrule;
using namespace chainrule::cpu;

namespace {

// The two-layer network of the notebook with momentum: products, broadcasts, softmax, one-hot rows.
struct TinyStep {
  Graph graph{"tiny"};
  TensorMap feed;
  std::mt19937 random{5};

  Value parameter(const std::string& name, const Shape& shape, float scale) {
    Tensor tensor(DType::kF32, shape);
    for (float& x : tensor.values<float>()) x = std::normal_distribution<float>(0, scale)(random);
    feed[name] = tensor;
    return graph.parameter(name, {DType::kF32, shape});
  }

  TinyStep() {
    feed["x"] = Tensor::of<float>({3, 2}, {0.5F, 1.2F, 1.0F, -0.7F, -0.3F, 0.8F});
    feed["t"] = Tensor::of<std::int32_t>({3}, {0, 1, 0});
    feed["lr"] = Tensor::of<float>({}, {0.1F});
    const Value x = graph.input("x", {DType::kF32, {3, 2}});
    const Value t = graph.input("t", {DType::kI32, {3}});
    const Value lr = graph.input("lr", {DType::kF32, {}});
    const std::vector<Value> p = {parameter("w1", {2, 3}, 1), parameter("b1", {1, 3}, 0.1F),
                                  parameter("w2", {3, 2}, 1), parameter("b2", {1, 2}, 0.1F)};
    const Value hidden = relu(matmul(x, p[0]) + p[1]);
    const Value loss = cross_entropy(softmax(matmul(hidden, p[2]) + p[3]), one_hot(t, 2));
    graph.output("loss", loss);
    const std::vector<Value> d = gradient(loss, p);
    for (std::size_t i = 0; i < p.size(); ++i) {
      const Value v = parameter("v." + p[i].name(), p[i].shape(), 0);
      const std::vector<Value> next = sgd_update(p[i], v, d[i], lr, {0.9, true, 0.01});
      graph.update(p[i], next[0]);
      graph.update(v, next[1]);
    }
  }

  std::shared_ptr<Parameters> parameters() const {
    auto made = std::make_shared<Parameters>();
    for (const Value& p : graph.parameters()) made->set(p.name(), feed.at(p.name()));
    return made;
  }
};

void fill(Program& program, const TensorMap& feed) {
  std::ranges::copy(feed.at("x").values<float>(), program.input<float>("x").begin());
  std::ranges::copy(feed.at("t").values<std::int32_t>(), program.input<std::int32_t>("t").begin());
  program.input<float>("lr")[0] = feed.at("lr").values<float>()[0];
}

bool is_tiny(const Program& program) {
  return program.to_text().find("fused") == std::string::npos;
}

}  // namespace

TEST_CASE("a tiny step follows the reference on every instruction set") {
  for_each_target([] {
    const TinyStep step;
    const auto parameters = step.parameters();
    Program program(step.graph, parameters, {nullptr, "loss"});
    REQUIRE(is_tiny(program));
    fill(program, step.feed);
    TensorMap feed = step.feed;
    for (int i = 0; i < 30; ++i) {
      REQUIRE(program.run());
      const Evaluation reference(step.graph, feed);
      const double loss = reference.outputs().at("loss").values<double>()[0];
      CHECK(std::abs(static_cast<double>(program.output<float>("loss")[0]) - loss) < 1e-5);
      for (auto& [name, tensor] : reference.updated()) feed[name] = tensor;
    }
    for (const Value& p : step.graph.parameters()) {
      const Tensor expected = feed.at(p.name()).as(DType::kF64);
      const Tensor got = parameters->at(p.name()).as(DType::kF64);
      for (std::size_t i = 0; i < got.values<double>().size(); ++i) {
        CHECK(std::abs(got.values<double>()[i] - expected.values<double>()[i]) < 1e-4);
      }
    }
  });
}

TEST_CASE("a tiny step heeds the guard, names a bad label and reads bound memory") {
  const TinyStep step;
  const auto parameters = step.parameters();
  Program program(step.graph, parameters, {nullptr, "loss"});
  fill(program, step.feed);
  const Tensor before = parameters->at("w1");
  const auto unchanged = [&] {
    return std::memcmp(before.data(), parameters->at("w1").data(), before.bytes()) == 0;
  };
  Guarded<float> x(6, 3);  // misaligned, between sentinels
  for (std::int64_t i = 0; i < 6; ++i)
    x[i] = step.feed.at("x").values<float>()[static_cast<std::size_t>(i)];
  program.bind("x", x.data());
  x[4] = kNaN;
  CHECK(!program.run());
  CHECK(unchanged());
  x[4] = -0.3F;
  program.input<std::int32_t>("t")[1] = 2;
  CHECK_THROWS_WITH_AS(program.run(), "label 2 at position 1 is not in 0 … 1", DataError);
  CHECK(unchanged());
  program.input<std::int32_t>("t")[1] = 1;
  CHECK(program.run());
  CHECK(!unchanged());
  CHECK(x.intact());
}

TEST_CASE("a graph with an array of seventeen numbers, or with Adam, is no tiny program") {
  Graph large;
  large.output("y", large.input("x", {DType::kF32, {17}}) * 2);
  CHECK(!TinyProgram::fits(large));
  Graph adam;
  const Value w = adam.parameter("w", {DType::kF32, {2}});
  const Value m = adam.parameter("m", {DType::kF32, {2}});
  const Value v = adam.parameter("v", {DType::kF32, {2}});
  const Value one = constant(adam, 1.0);
  adam.update(w, adam_update(w, m, v, constant(adam, 1.0, {2}), one, one)[0]);
  auto parameters = std::make_shared<Parameters>();
  for (const char* name : {"w", "m", "v"}) parameters->set(name, Tensor(DType::kF32, {2}));
  Program program(adam, parameters);
  CHECK(!is_tiny(program));
  CHECK(program.run());
  CHECK(parameters->at("w").values<float>()[1] == doctest::Approx(-1.0F));
}
