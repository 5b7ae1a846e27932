// Forward passes that people derive by hand, for the tests of what explains them.
#pragma once

#include <memory>
#include <string>

#include "chainrule/ops.h"

namespace chainrule {

struct ExampleGraph {
  std::string name;
  std::unique_ptr<Graph> graph;
  Value loss;
};

inline Type f32(Shape shape) { return {DType::kF32, std::move(shape)}; }

/// The notebook: two layers, relu, softmax, cross-entropy.
inline ExampleGraph notebook() {
  auto g = std::make_unique<Graph>("notebook");
  const Value X = g->input("X", f32({3, 2}));
  const Value labels = g->input("labels", {DType::kI32, {3}});
  const Value W1 = g->parameter("W1", f32({2, 3}));
  const Value b1 = g->parameter("b1", f32({1, 3}));
  const Value W2 = g->parameter("W2", f32({3, 2}));
  const Value b2 = g->parameter("b2", f32({1, 2}));
  const Value Y = one_hot(labels, 2).named("Y");
  const Value Z1 = (matmul(X, W1) + b1).named("Z1");
  const Value A1 = relu(Z1).named("A1");
  const Value Z2 = (matmul(A1, W2) + b2).named("Z2");
  const Value A2 = softmax(Z2).named("A2");
  const Value loss = cross_entropy(A2, Y, 1e-9).named("loss");
  return {"notebook", std::move(g), loss};
}

/// The notebook again, with softmax and the loss written out as people do in NumPy.
inline ExampleGraph softmax_by_hand() {
  auto g = std::make_unique<Graph>("by_hand");
  const Value X = g->input("X", f32({3, 2}));
  const Value labels = g->input("labels", {DType::kI32, {3}});
  const Value W1 = g->parameter("W1", f32({2, 4}));
  const Value b1 = g->parameter("b1", f32({4}));
  const Value W2 = g->parameter("W2", f32({4, 2}));
  const Value Y = one_hot(labels, 2).named("Y");
  const Value A1 = maximum(matmul(X, W1) + b1, 0.0).named("A1");
  const Value Z2 = matmul(A1, W2).named("Z2");
  const Value e = exp(Z2 - max(Z2, {1}, true)).named("e");
  const Value A2 = (e / sum(e, {1}, true)).named("A2");
  const Value loss = (-sum(Y * log(A2 + 1e-9)) / 3.0).named("loss");
  return {"by_hand", std::move(g), loss};
}

/// Two layers with sigmoid and the mean squared error; the bias has one axis.
inline ExampleGraph sigmoid_network() {
  auto g = std::make_unique<Graph>("sigmoid");
  const Value X = g->input("X", f32({4, 3}));
  const Value y = g->input("y", f32({4, 1}));
  const Value W1 = g->parameter("W1", f32({3, 5}));
  const Value b1 = g->parameter("b1", f32({5}));
  const Value W2 = g->parameter("W2", f32({5, 1}));
  const Value b2 = g->parameter("b2", f32({1}));
  const Value Z1 = (matmul(X, W1) + b1).named("Z1");
  const Value A1 = sigmoid(Z1).named("A1");
  const Value Z2 = (matmul(A1, W2) + b2).named("Z2");
  const Value y_hat = sigmoid(Z2).named("y_hat");
  const Value loss = mean_squared_error(y_hat, y).named("loss");
  return {"sigmoid", std::move(g), loss};
}

/// A recurrent network over three steps: the weights are read in every one of them.
inline ExampleGraph recurrent() {
  auto g = std::make_unique<Graph>("rnn");
  const Value h0 = g->input("h0", f32({2, 4}));
  const Value t = g->input("t", f32({2, 1}));
  const Value Wx = g->parameter("Wx", f32({3, 4}));
  const Value Wh = g->parameter("Wh", f32({4, 4}));
  const Value b = g->parameter("b", f32({4}));
  const Value V = g->parameter("V", f32({4, 1}));
  Value h = h0;
  for (int step = 1; step <= 3; ++step) {
    const Value x = g->input("x" + std::to_string(step), f32({2, 3}));
    // One after the other: compilers may evaluate the operands of + in either order.
    const Value from_state = matmul(h, Wh);
    h = tanh(matmul(x, Wx) + from_state + b).named("h" + std::to_string(step));
  }
  const Value out = matmul(h, V).named("out");
  const Value loss = mean_squared_error(out, t).named("loss");
  return {"rnn", std::move(g), loss};
}

/// Batch normalisation by its parts.
inline ExampleGraph batch_norm() {
  auto g = std::make_unique<Graph>("batch_norm");
  const Value Z = g->parameter("Z", f32({4, 3}));
  const Value gamma = g->parameter("gamma", f32({3}));
  const Value beta = g->parameter("beta", f32({3}));
  const Value t = g->input("t", f32({4, 3}));
  const Value mu = mean(Z, {0}).named("mu");
  const Value centred = (Z - mu).named("centred");
  const Value var = mean(square(centred), {0}).named("var");
  const Value std = sqrt(var + 1e-5).named("std");
  const Value Z_hat = (centred / std).named("Z_hat");
  const Value out = (gamma * Z_hat + beta).named("out");
  const Value loss = mean_squared_error(out, t).named("loss");
  return {"batch_norm", std::move(g), loss};
}

}  // namespace chainrule
