// The two-layer network that this project grew from, as a NumPy notebook has it: a forward pass
// written once, the gradients derived from it, one step of gradient descent, and the same digits.
#include <cstdint>
#include <iostream>
#include <vector>

#include "chainrule/explain.h"
#include "chainrule/gradient.h"
#include "chainrule/numpy_format.h"
#include "chainrule/ops.h"
#include "chainrule/random.h"
#include "chainrule/reference.h"
#include "chainrule/simplify.h"

using namespace chainrule;

int main() {
  Graph graph("notebook");

  // The forward pass.
  const Value X = graph.input("X", {DType::kF32, {3, 2}});
  const Value labels = graph.input("labels", {DType::kI32, {3}});
  const Value W1 = graph.parameter("W1", {DType::kF32, {2, 3}});
  const Value b1 = graph.parameter("b1", {DType::kF32, {1, 3}});
  const Value W2 = graph.parameter("W2", {DType::kF32, {3, 2}});
  const Value b2 = graph.parameter("b2", {DType::kF32, {1, 2}});

  const Value Y = one_hot(labels, 2).named("Y");
  const Value Z1 = (matmul(X, W1) + b1).named("Z1");
  const Value A1 = relu(Z1).named("A1");
  const Value Z2 = (matmul(A1, W2) + b2).named("Z2");
  const Value A2 = softmax(Z2).named("A2");
  const Value loss = cross_entropy(A2, Y, 1e-9).named("loss");
  graph.output("loss", loss);

  // Backpropagation, and one step of gradient descent.
  const std::vector<Value> parameters = {W1, b1, W2, b2};
  const std::vector<Value> gradients = gradient(loss, parameters);
  const Value learning_rate = constant(graph, 0.01);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Value next = sgd_update(parameters[i], {}, gradients[i], learning_rate)[0];
    graph.update(parameters[i], next);
  }
  const std::unique_ptr<Graph> step = simplify(graph);

  // The notebook's numbers: np.random.seed(42), then randn(2, 3) * 0.01 and randn(3, 2) * 0.01.
  RandomState random(42);
  const auto small_normal = [&](const Shape& shape) {
    Tensor w = random.randn(shape);
    for (double& x : w.values<double>()) x *= 0.01;
    return w;
  };
  TensorMap feed;
  feed["X"] = Tensor::of<double>({3, 2}, {0.5, 1.2, 1.0, -0.7, -0.3, 0.8});
  feed["labels"] = Tensor::of<std::int32_t>({3}, {0, 1, 0});
  feed["W1"] = small_normal({2, 3});
  feed["b1"] = Tensor(DType::kF64, {1, 3});
  feed["W2"] = small_normal({3, 2});
  feed["b2"] = Tensor(DType::kF64, {1, 2});

  const Evaluation run(*step, feed);
  std::cout << "Loss before backpropagation: "
            << python_repr(run.outputs().at("loss").values<double>()[0]) << "\n";
  const TensorMap updated = run.updated();
  for (const char* name : {"W1", "b1", "W2", "b2"}) {
    std::cout << "Updated " << name << ":\n " << numpy_format(updated.at(name)) << "\n";
  }
  std::cout << "\nHow the gradients were derived:\n\n" << formulas(*step);
}
