// C programs, compiled and run: every op of the registry, and whole training steps.
#include <doctest/doctest.h>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/optim.h"
#include "chainrule/simplify.h"
#include "explain/c_testing.h"
#include "support/gradient_check.h"

using namespace chainrule;
using namespace chainrule::testing;

namespace {

Tensor numbers(const Shape& shape, double first, double step) {
  Tensor tensor(DType::kF64, shape);
  double value = first;
  for (double& x : tensor.values<double>()) {
    x = std::sin(value);
    value += step;
  }
  return tensor;
}

bool is_random(const Op& op) { return op.name.starts_with("random_"); }

// Gradients as outputs called d and the parameter's name, and plain gradient descent.
void add_step(Graph& graph, const Value& loss) {
  const std::vector<Value> parameters = graph.parameters();
  const std::vector<Value> gradients = gradient(loss, parameters);
  graph.output("loss", loss);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    graph.output("d" + parameters[i].name(), gradients[i]);
    graph.update(parameters[i],
                 sgd_update(parameters[i], {}, gradients[i], constant(graph, 0.1))[0]);
  }
}

struct Network {
  Graph graph{"network"};
  TensorMap feed;

  Value input(const std::string& name, const Shape& shape, double first) {
    feed[name] = numbers(shape, first, 0.7);
    return graph.input(name, {DType::kF32, shape});
  }
  Value parameter(const std::string& name, const Shape& shape, double first) {
    feed[name] = numbers(shape, first, 0.3);
    return graph.parameter(name, {DType::kF32, shape});
  }
};

std::unique_ptr<Network> notebook() {
  auto made = std::make_unique<Network>();
  Network& n = *made;
  const Value X = n.input("X", {3, 2}, 0.1);
  n.feed["labels"] = Tensor::of<std::int32_t>({3}, {0, 1, 0});
  const Value labels = n.graph.input("labels", {DType::kI32, {3}});
  const Value W1 = n.parameter("W1", {2, 3}, 0.2);
  const Value b1 = n.parameter("b1", {1, 3}, 0.3);
  const Value W2 = n.parameter("W2", {3, 2}, 0.4);
  const Value b2 = n.parameter("b2", {1, 2}, 0.5);
  const Value Y = one_hot(labels, 2).named("Y");
  const Value Z1 = (matmul(X, W1) + b1).named("Z1");
  const Value A1 = relu(Z1).named("A1");
  const Value Z2 = (matmul(A1, W2) + b2).named("Z2");
  const Value A2 = softmax(Z2).named("A2");
  add_step(n.graph, cross_entropy(A2, Y, 1e-9).named("loss"));
  return made;
}

}  // namespace

TEST_CASE("C: the notebook's network") {
  const std::unique_ptr<Network> n = notebook();
  check_c(*simplify(n->graph), n->feed);
}

TEST_CASE("C: every op of the registry, forward and backward, computes what the reference does") {
  Samples samples(*all_ops().front());
  Graph& graph = samples.graph();
  std::size_t first = 0;
  int count = 0;
  for (const Op* op : all_ops()) {
    if (op->source || is_random(*op)) continue;
    if (op != all_ops().front()) op->samples(samples);
    for (; first < samples.checked.size(); ++first) {
      const Value y = samples.checked[first];
      const std::string name = fmt::format("y{}_{}", count++, op->name);
      graph.output(name, y);
      if (!op->differentiable()) continue;
      const std::vector<Value> inputs = real_inputs(y);
      const std::vector<Value> gradients = gradient(y, inputs, samples.random_like(y));
      for (std::size_t i = 0; i < gradients.size(); ++i) {
        graph.output(fmt::format("{}_d{}", name, i), gradients[i]);
      }
    }
  }
  check_c(graph, samples.feed);
}
