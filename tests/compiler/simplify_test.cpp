// The passes keep what the reference interpreter computes, and leave less to compute.
#include "chainrule/simplify.h"

#include <doctest/doctest.h>

#include <cmath>

#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "compiler/passes.h"
#include "support/samples.h"

using namespace chainrule;

namespace {

// A sample's value and its gradients as the outputs of one graph.
void add_outputs(Samples& samples, Value y) {
  samples.graph().output("y", y);
  if (!y.node().op->differentiable()) return;
  std::vector<Value> inputs;
  for (const Value& input : samples.graph().inputs()) {
    if (input.dtype() == DType::kF32) inputs.push_back(input);
  }
  const std::vector<Value> gradients = gradient(y, inputs, samples.random_like(y));
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    samples.graph().output("d" + std::to_string(i), gradients[i]);
  }
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const Tensor x = a.as(DType::kF64);
  const Tensor y = b.as(DType::kF64);
  REQUIRE(x.shape() == y.shape());
  double worst = 0;
  for (std::size_t i = 0; i < x.values<double>().size(); ++i) {
    const double u = x.values<double>()[i];
    const double v = y.values<double>()[i];
    worst = std::max(worst, std::abs(u - v) / (1 + std::abs(u)));
  }
  return worst;
}

int count(const Graph& graph, std::string_view op) {
  int n = 0;
  for (const Node& node : graph.nodes()) n += is(node, op);
  return n;
}

}  // namespace

TEST_CASE("every pass keeps the value and the gradients of every op") {
  for (const Op* op : all_ops()) {
    if (op->source) continue;
    const std::size_t checked = Samples(*op).checked.size();
    for (std::size_t i = 0; i < checked; ++i) {
      CAPTURE(op->name);
      Samples samples(*op);
      add_outputs(samples, samples.checked[i]);
      const Graph& graph = samples.graph();
      verify(graph);
      const GraphPtr simple = simplify(graph);
      const GraphPtr expanded = expand_macros(*simple, [](const Node&) { return false; });
      const GraphPtr folded = fold_transposes(*expanded);
      const GraphPtr reused = reuse_relu(*folded);
      const GraphPtr fused = fuse(*reused);
      CHECK(simple->nodes().size() <= graph.nodes().size());
      const TensorMap expected = Evaluation(graph, samples.feed).outputs();
      for (const Graph* g :
           {simple.get(), expanded.get(), folded.get(), reused.get(), fused.get()}) {
        verify(*g);
        const TensorMap outputs = Evaluation(*g, samples.feed).outputs();
        for (const auto& [name, tensor] : expected) {
          CHECK(largest_difference(tensor, outputs.at(name)) < 1e-12);
        }
      }
    }
  }
}

TEST_CASE("algebra finds what a person would") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {2, 3}});
  g.output("one", transpose(transpose(x * 1 + 0)));
  g.output("two", reshape(reshape(x, {6}), {2, 3}));
  g.output("three", (x * 2) * 3);
  const GraphPtr s = simplify(g);
  CHECK(s->outputs()[0].second == s->find("x"));
  CHECK(s->outputs()[1].second == s->find("x"));
  const Node& scaled = s->outputs()[2].second.node();
  CHECK(is(scaled, "mul"));
  CHECK(scaled.inputs[1].node().real("value") == 6);
}

TEST_CASE("softmax and cross-entropy cancel to p minus t") {
  Graph g;
  const Value z = g.input("z", {DType::kF32, {4, 3}});
  const Value t = g.input("t", {DType::kI32, {4}});
  const Value loss = cross_entropy(softmax(z), one_hot(t, 3));
  g.output("dz", gradient(loss, {z})[0]);
  const GraphPtr s = simplify(g);
  CHECK(count(*s, "softmax_backward") == 0);
  CHECK(count(*s, "cross_entropy_backward") == 0);
  CHECK(count(*s, "sub") == 1);
}

TEST_CASE("a linear layer with relu becomes one fused node each way") {
  Graph g;
  const Value x = g.input("x", {DType::kF32, {8, 4}});
  const Value w = g.parameter("w", {DType::kF32, {4, 6}});
  const Value b = g.parameter("b", {DType::kF32, {6}});
  const Value y = relu(matmul(x, w) + b);
  const Value loss = mean(y * y);
  const Value dw = gradient(loss, {w})[0];
  g.output("loss", loss);
  g.update(w, sgd_update(w, {}, dw, g.input("lr", {DType::kF32, {}}))[0]);
  const GraphPtr f = fuse(*reuse_relu(*fold_transposes(*simplify(g))));
  verify(*f);
  CHECK(count(*f, "matmul") == 0);
  CHECK(count(*f, "transpose") == 0);
  CHECK(count(*f, "relu") == 0);
  CHECK(count(*f, "sgd") == 0);
}

TEST_CASE("broadcasts that are walks of an operand are recognised") {
  const auto walk = [](Shape from, Shape to) { return broadcast_walk(from, to); };
  CHECK(walk({3}, {2, 3})->period == 3);
  CHECK(walk({2, 1}, {2, 3})->inner == 3);
  CHECK(walk({2, 1}, {2, 3})->period == 2);
  CHECK(walk({}, {2, 3})->period == 1);
  CHECK(walk({1, 3, 1}, {2, 3, 4})->inner == 4);
  CHECK(!walk({2, 1, 3}, {2, 5, 3}));
}
