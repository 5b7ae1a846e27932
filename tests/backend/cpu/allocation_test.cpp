// A compiled training step allocates nothing: every pointer was bound when the program was made.
#include <doctest/doctest.h>

#include <memory>
#include <new>
#include <string>

#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "support/allocation_counter.h"

using namespace chainrule;

namespace {

// 784-128-128-10 on 64 images: large enough that products and updates are cut into chunks.
struct DenseStep {
  Graph graph{"step"};
  std::shared_ptr<Parameters> parameters = std::make_shared<Parameters>();
  Value lr = graph.input("lr", {DType::kF32, {}});
  Value step = graph.input("step", {DType::kF32, {}});

  Value parameter(const std::string& name, Shape shape, float start) {
    Tensor tensor(DType::kF32, shape);
    float sign = start;
    for (float& x : tensor.values<float>()) x = (sign = -sign);
    parameters->set(name, tensor);
    return graph.parameter(name, {DType::kF32, std::move(shape)});
  }

  explicit DenseStep(bool adam) {
    const Value x = graph.input("x", {DType::kF32, {64, 784}});
    const Value t = graph.input("t", {DType::kI32, {64}});
    const std::vector<Value> p = {parameter("w1", {784, 128}, 0.01F), parameter("b1", {128}, 0.01F),
                                  parameter("w2", {128, 128}, 0.02F), parameter("b2", {128}, 0.01F),
                                  parameter("w3", {128, 10}, 0.03F),  parameter("b3", {10}, 0.01F)};
    const Value h = relu(matmul(x, p[0]) + p[1]);
    const Value g = dropout(tanh(matmul(h, p[2]) + p[3]), 0.2, step, 7, 0);
    const Value loss = softmax_cross_entropy(matmul(g, p[4]) + p[5], t);
    graph.output("loss", loss);
    const std::vector<Value> d = gradient(loss, p);
    for (std::size_t i = 0; i < p.size(); ++i) {
      if (!adam) {
        graph.update(p[i], sgd_update(p[i], {}, d[i], lr)[0]);
        continue;
      }
      const Value m = parameter("m." + p[i].name(), p[i].shape(), 0);
      const Value v = parameter("v." + p[i].name(), p[i].shape(), 0);
      const std::vector<Value> next = adam_update(p[i], m, v, d[i], lr, step);
      graph.update(p[i], next[0]);
      graph.update(m, next[1]);
      graph.update(v, next[2]);
    }
  }
};

}  // namespace

TEST_CASE("a training step on two threads allocates nothing, not even the first time") {
  if (!kCountsAllocations) {
    MESSAGE("skipped: a sanitizer keeps operator new to itself, so nothing is counted");
    return;
  }
  for (const bool adam : {false, true}) {
    CAPTURE(adam);
    const DenseStep dense(adam);
    Program program(dense.graph, dense.parameters, {make_thread_pool(2), "loss"});
    program.input<float>("lr")[0] = 0.01F;
    float image = 0;
    for (float& x : program.input<float>("x")) x = (image = image > 1 ? 0 : image + 0.13F);
    int finite = 0;
    const std::int64_t before = allocations();
    for (int i = 1; i <= 20; ++i) {
      program.input<float>("step")[0] = static_cast<float>(i);
      finite += program.run() ? 1 : 0;
    }
    const std::int64_t after = allocations();
    CHECK(after - before == 0);
    CHECK(finite == 20);
  }
}

TEST_CASE("the allocation counter sees both forms of operator new") {
  if (!kCountsAllocations) return;
  const std::int64_t before = allocations();
  ::operator delete(::operator new(24));
  ::operator delete (::operator new (24, std::align_val_t{64}), std::align_val_t{64});
  const std::int64_t after = allocations();
  CHECK(after - before == 2);
}
