#include "graph/copy.h"

#include <doctest/doctest.h>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"

using namespace chainrule;

TEST_CASE("values are copied once, with names and notes, in their order") {
  Graph graph;
  const Value x = graph.input("x", {DType::kF32, {2}});
  const Value w = graph.parameter("w", {DType::kF32, {2}});
  const Value unused = exp(x);
  const Value product = (x * w).named("product");
  graph.set_note(product.node(), "layer 1");
  const Value loss = sum(product * tanh(product));

  Graph other;
  GraphCopy copy(other);
  const Value copied = copy(loss);
  CHECK(copy(loss) == copied);
  CHECK(&copied.graph() == &other);
  CHECK(other.nodes().size() == graph.nodes().size() - 1);  // without the exponential
  CHECK(copy(product).name() == "product");
  CHECK(copy(product).node().note == "layer 1");
  CHECK(is(other.find("w"), "parameter"));
  CHECK(is(other.find("x"), "input"));
  CHECK(copy(unused).shape() == Shape{2});
}

TEST_CASE("something else may stand for a value of the copy") {
  Graph graph;
  const Value x = graph.input("x", {DType::kF32, {2}});
  const Value y = tanh(exp(x));
  Graph other;
  const Value z = other.input("z", {DType::kF32, {2}});
  GraphCopy copy(other);
  copy.put(y.node().inputs[0], z);
  CHECK(copy(y).node().inputs[0] == z);
  CHECK(other.nodes().size() == 2);
}

TEST_CASE("constants with a name may be inputs of the copy") {
  Graph graph;
  const Value x = graph.input("x", {DType::kF32, {}});
  const Value m = constant(graph, 3).named("m");
  const Value y = x / m + constant(graph, 1);
  Graph other;
  GraphCopy copy(other);
  copy.name_constants();
  copy(y);
  CHECK(other.inputs().size() == 2);
  CHECK(constant_value(other.find("m")) == std::nullopt);
}

TEST_CASE("the number of a constant") {
  Graph graph;
  CHECK(constant_value(constant(graph, 2.5)) == 2.5);
  CHECK(constant_value(constant(graph, 2.5, {3, 4})) == 2.5);
  CHECK(constant_value(graph.input("x", {DType::kF32, {}})) == std::nullopt);
}
