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

TEST_CASE("C: momentum, clipping, transposes and shapes that are not only indices") {
  Network n;
  const Value x = n.input("x", {4, 6}, 0.1);
  const Value target = n.input("target", {2, 12}, 0.2);
  const Value W = n.parameter("W", {3, 6}, 0.3);
  const Value scale = n.parameter("scale", {}, 0.4);
  const Value lr = n.input("lr", {}, 0.5);
  const Value step = n.input("step", {}, 1.5);
  const Value h = matmul(x, transpose(W));  // [4, 3]
  const Value wide = reshape(concatenate({h, tanh(h)}, 1), {2, 12});
  const Value loss = mean_squared_error(scale * wide, target).named("loss");
  n.graph.output("loss", loss);
  apply(Optimizer::parse("adam weight_decay=0.1"), loss, {W, scale}, lr, step, {.norm = 0.5});
  for (const Value& p : n.graph.parameters()) {
    if (!n.feed.contains(p.name())) n.feed[p.name()] = numbers(p.shape(), 0.6, 0.0);
  }
  n.graph.output("dscale", gradient(loss, {scale})[0]);
  check_c(n.graph, n.feed);
}

TEST_CASE("C: an update reads the old value of a parameter that another update has replaced") {
  Network n;
  const Value a = n.parameter("a", {2, 2}, 0.1);
  const Value b = n.parameter("b", {2, 2}, 0.7);
  n.graph.update(a, a + 2 * b);
  n.graph.update(b, transpose(b) - a);
  n.graph.output("loss", sum(a * b));
  check_c(n.graph, n.feed);
}

TEST_CASE("C: names that C keeps for itself or cannot spell") {
  Network n;
  const Value x = n.input("int", {2}, 0.1);
  const Value y1 = n.parameter("y1", {2}, 0.2);
  const Value i = n.parameter("i", {2, 3}, 0.3);
  const Value layer = n.parameter("1.weight", {2}, 0.4);
  const Value exp_ = exp(x * y1).named("exp");
  n.graph.output("loss", sum(matmul(reshape(exp_ + layer, {1, 2}), i)));
  const std::string source = emit_c(n.graph, n.feed);
  for (const char* expected : {"real int_[2]", "real y1_[2]", "real i[2][3]", "real v1_weight[2]",
                               "real exp_[2]", "real_exp(int_[j] * y1_[j])"}) {
    CAPTURE(expected);
    CHECK(source.find(expected) != std::string::npos);
  }
  const ScratchFolder folder;
  const std::string program = folder.write("program.c", source);
  for (const char* compiler : {"gcc", "clang"}) {
    if (compiler == std::string_view("clang") && shell("command -v clang").status != 0) {
      MESSAGE("clang is not installed here: gcc alone compiled the program");
      continue;
    }
    for (const char* precision : {"", "-DCHAINRULE_DOUBLE -Wconversion"}) {
      const Finished done = shell(fmt::format("{} {} {} -c {} -o {}", compiler, kStrictC, precision,
                                              program, folder.path("program.o")));
      INFO(done.output);
      CHECK(done.status == 0);
    }
  }
}

TEST_CASE("C: main() prints the loss before and after one update") {
  const std::unique_ptr<Network> n = notebook();
  const std::unique_ptr<Graph> graph = simplify(n->graph);
  const Evaluation reference(*graph, n->feed);
  TensorMap later = n->feed;
  for (const auto& [name, tensor] : reference.updated()) later[name] = tensor;
  const ScratchFolder folder;
  const std::string program = folder.write("program.c", emit_c(*graph, n->feed));
  const Finished compiled =
      shell(fmt::format("cc {} -DCHAINRULE_MAIN -DCHAINRULE_DOUBLE {} -o {} -lm", kStrictC, program,
                        folder.path("run")));
  INFO(compiled.output);
  REQUIRE(compiled.status == 0);
  const auto scalar = [](const TensorMap& outputs) {
    return outputs.at("loss").values<double>()[0];
  };
  CHECK(shell(folder.path("run")).output ==
        fmt::format("loss before: {:.9g}\nloss after:  {:.9g}\n", scalar(reference.outputs()),
                    scalar(Evaluation(*graph, later).outputs())));
}

TEST_CASE("C: what cannot be written is refused by name") {
  Network n;
  const Value step = n.input("step", {}, 1);
  n.graph.output("loss", sum(random_uniform(step, {3}, 1, 2)));
  CHECK_THROWS_WITH_AS(emit_c(n.graph, n.feed), "random_uniform v1 cannot be written in C", Error);
  CHECK_THROWS_WITH_AS(emit_c(n.graph, {}), "nothing given for \"step\"", UsageError);
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
