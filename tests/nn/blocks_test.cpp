// Layers that hold layers: text, names, shapes, initial values, numbers.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "chainrule/nn.h"
#include "chainrule/ops.h"
#include "support/fixed_numbers.h"

using namespace chainrule;

namespace {

Value rows(Graph& graph, Shape shape) { return graph.input("x", {DType::kF32, std::move(shape)}); }

double largest_difference(const Evaluation& run, Value a, Value b) {
  const Tensor left = run.value(a);
  const Tensor right = run.value(b);
  REQUIRE(left.shape() == right.shape());
  double most = 0;
  for (std::size_t i = 0; i < left.values<double>().size(); ++i) {
    most = std::max(most, std::abs(left.values<double>()[i] - right.values<double>()[i]));
  }
  return most;
}

std::string error_of(const char* model, const Shape& input) {
  try {
    Sequential::parse(model).output_shape(input);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("nested layers round-trip and equal the same network from C++") {
  using namespace layers;
  const char* text =
      "linear 8, residual (linear 8, relu, residual (tanh, linear 8)), relu, "
      "repeat 2 (linear 4, tanh), parallel (linear 3 | identity | relu, linear 2), "
      "residual (linear 5) shortcut=(linear 5 bias=false), parallel (relu | tanh) join=add";
  const Sequential model = Sequential::parse(text);
  CHECK(model.to_text() == text);
  CHECK(Sequential::parse(model.to_text()) == model);
  CHECK(model ==
        Sequential({linear(8), residual({linear(8), relu(), residual({layers::tanh(), linear(8)})}),
                    relu(), repeat(2, {linear(4), layers::tanh()}),
                    parallel({{linear(3)}, {identity()}, {relu(), linear(2)}}),
                    residual({linear(5)}, {linear(5, false)}),
                    parallel({{relu()}, {layers::tanh()}}, "add")}));
  CHECK(Sequential::parse("residual(Linear  4,\n relu )  shortcut=( linear 4 )").to_text() ==
        "residual (linear 4, relu) shortcut=(linear 4)");
  CHECK(Sequential::parse("parallel (relu|tanh) join=concatenate").to_text() ==
        "parallel (relu | tanh)");
  CHECK(model.layers()[1].heading() == "residual (…)");
  CHECK(model.layers()[3].heading() == "repeat 2 (…)");
  CHECK(model.layers()[5].heading() == "residual (…) shortcut=(…)");
}

TEST_CASE("a residual block is x + f(x), and parallel branches are joined") {
  Graph graph;
  const Value x = rows(graph, {3, 4});
  const Network network =
      Sequential::parse(
          "residual (linear 4, tanh), residual (linear 2) shortcut=(linear 2 bias=false), "
          "parallel (linear 3 | identity), parallel (linear 2 | linear 2 | tanh, linear 2) "
          "join=add, repeat 2 (linear 2)")
          .build(x);
  const auto p = [&](const char* name) { return graph.find(name); };
  const auto linear = [&](Value v, const std::string& name) {
    return matmul(v, p((name + ".weight").c_str())) + p((name + ".bias").c_str());
  };
  Value y = x + tanh(linear(x, "1.1"));
  y = matmul(y, p("2.shortcut.1.weight")) + linear(y, "2.1");
  y = concatenate({linear(y, "3.1.1"), y}, 1);
  y = linear(y, "4.1.1") + linear(y, "4.2.1") + linear(tanh(y), "4.3.2");
  y = linear(linear(y, "5.1.1"), "5.2.1");
  const Evaluation run(graph, numbers_for(graph));
  CHECK(largest_difference(run, network.output, y) < 1e-12);
  CHECK(network.layer_outputs.size() == 5);
  CHECK(network.trained.size() == network.parameters.size());
}

TEST_CASE("what follows decides a nested weight's first values") {
  const auto initializer = [](const char* model, const std::string& name) {
    for (const ParameterInfo& info : Sequential::parse(model).parameters({4})) {
      if (info.name == name) return info.initializer.to_text();
    }
    return std::string("no such parameter");
  };
  // Inside, behind the block, before a block, in the next round.
  const char* inside = "residual (linear 4, relu, linear 4), tanh";
  CHECK(initializer(inside, "1.1.weight") == "he_normal");
  CHECK(initializer(inside, "1.3.weight") == "xavier_uniform");
  CHECK(initializer("residual (linear 4), relu", "1.1.weight") == "he_normal");
  CHECK(initializer("linear 4, residual (dropout 0.5, relu)", "1.weight") == "he_normal");
  CHECK(initializer("linear 4, parallel (identity | relu)", "1.weight") == "he_normal");
  const char* repeated = "repeat 2 (relu, linear 4), tanh";
  CHECK(initializer(repeated, "1.1.2.weight") == "he_normal");
  CHECK(initializer(repeated, "1.2.2.weight") == "xavier_uniform");
  const char* stated = "repeat 2 (linear 4 init=normal:0.1)";
  CHECK(initializer(stated, "1.2.1.weight") == "normal:0.1");
}

TEST_CASE("the summary shows what layers hold") {
  CHECK(Sequential::parse("linear 8, residual (linear 8, relu), repeat 3 (linear 8), linear 2")
            .summary({4}) ==
        "       layer             output      parameters\n"
        "    1  linear 8          [B, 8]              40\n"
        "    2  residual (…)      [B, 8]              72\n"
        "  2.1    linear 8        [B, 8]              72\n"
        "  2.2    relu            [B, 8]               0\n"
        "    3  repeat 3 (…)      [B, 8]             216\n"
        "3.1.1    linear 8        [B, 8]              72\n"
        "    …    the same again                        \n"
        "    4  linear 2          [B, 2]              18\n"
        "       total                                346\n");
}

TEST_CASE("shape errors name the nested layer and say both shapes and what to do") {
  CHECK(error_of("linear 8, residual (linear 8, linear 4 in=5)", {4}) ==
        "layer 2.2 (linear 4 in=5): expected input [B, 5], got [B, 8]");
  CHECK(error_of("linear 8, repeat 2 (residual (linear 4))", {4}) ==
        "layer 2.1.1 (residual (…)): the layers give [B, 4], but what is added to it is [B, 8]: "
        "let the layers keep the shape, or bring x into theirs with shortcut=(linear 4)");
  CHECK(error_of("residual (conv2d 8 stride=2)", {8, 8, 3}) ==
        "layer 1 (residual (…)): the layers give [B, 4, 4, 8], but what is added to it is "
        "[B, 8, 8, 3]: let the layers keep the shape, or bring x into theirs with "
        "shortcut=(conv2d 8 1 stride=2)");
  CHECK(error_of("residual (linear 4) shortcut=(linear 5)", {4})
            .ends_with("the layers and the shortcut must end in the same shape"));
  CHECK(error_of("parallel (linear 4 | linear 5) join=add", {4}) ==
        "layer 1 (parallel (…) join=add): branch 1 gives [B, 4], branch 2 gives [B, 5]: branches "
        "that are added must end in the same shape");
  CHECK(error_of("parallel (conv2d 4 | max_pool)", {8, 8, 3})
            .find("branch 1 gives [B, 8, 8, 4], branch 2 gives [B, 4, 4, 3]") != std::string::npos);
  CHECK(error_of("linear 3, residual (embedding 3 vocabulary=5)", {4})
            .starts_with("layer 2.1 (embedding 3 vocabulary=5): expected whole numbers"));
}

TEST_CASE("errors in nested text name the column") {
  const auto error = [](const char* text) { return error_of(text, {4}); };
  CHECK(error("residual (linear 4") == "column 10: this \"(\" is never closed");
  CHECK(error("relu)") == "column 5: no \"(\" is open that this \")\" could close");
  CHECK(error("repeat 3 (residual (rellu))")
            .starts_with("column 21: unknown layer \"rellu\"; did you mean \"relu\"?"));
  CHECK(error("residual (relu) shortcut=(rellu)").starts_with("column 27: unknown layer"));
  CHECK(error("residual linear 4") ==
        "column 10: residual: layers must be a list in parentheses, got \"linear\"");
  CHECK(error("residual") ==
        "column 1: residual needs layers (a list in parentheses), as in \"residual (...)\"");
  CHECK(error("repeat (relu)") ==
        "column 1: repeat needs count (a whole number, 1 to 1000), as in \"repeat ...\"");
  CHECK(error("residual (relu | tanh)") ==
        "column 16: \"|\" divides branches, but layers of residual is one list");
  CHECK(error("relu | tanh").starts_with("column 6: \"|\" divides branches"));
  CHECK(error("(relu)") == "column 1: the name of a layer must stand before \"(\"");
  CHECK(error("residual ()") == "column 11: no layer given");
  CHECK(error("linear (relu)") ==
        "column 8: linear: no list in parentheses can stand here, got \"(relu)\"");
  CHECK(error("residual (relu) (tanh)") ==
        "column 17: residual: no list in parentheses can stand here, got \"(tanh)\"");
  CHECK(error("relu (tanh)") == "column 6: relu takes no options, got \"(tanh)\"");
  std::string nested = "relu";
  for (int i = 0; i < 33; ++i) nested = "residual (" + nested + ")";
  CHECK(error(nested.c_str()).ends_with("parentheses are nested more than 32 deep"));
  CHECK(error("repeat 1000 (repeat 1000 (repeat 1000 (relu)))") ==
        "a network has at most 10000 layers, nested ones counted");
}

TEST_CASE("state, dropout and statistics work inside blocks") {
  const Sequential model = Sequential::parse(
      "residual (rnn 4 sequence stateful), repeat 2 (residual (batch_norm, dropout 0.5))");
  Graph graph;
  const Value x = rows(graph, {2, 3, 4});
  const Value step = graph.input("step", {DType::kF32, {}});
  const Network network = model.build(x, {.mode = Mode::kTrain, .step = step, .seed = 7});
  CHECK(is_recurrent_state("1.1.state.2.h"));
  CHECK(graph.find("1.1.state.2.h").shape() == Shape{2, 4});
  CHECK_FALSE(is_recurrent_state("1.1.weight"));
  CHECK_FALSE(is_recurrent_state("adam.m/1.weight"));
  CHECK(graph.updates().size() == 5);  // the state, two means, two variances
  // The two rounds drop different elements.
  std::vector<std::int64_t> streams;
  for (const Node& node : graph.nodes()) {
    if (is(node, "random_uniform")) streams.push_back(node.integer("stream"));
  }
  REQUIRE(streams.size() == 2);
  CHECK(streams[0] != streams[1]);
  for (const ParameterInfo& info : network.parameters) {
    CHECK(info.layer == (info.name.starts_with("1.") ? 1 : 2));
  }
}

TEST_CASE("notes name the innermost layer") {
  Graph graph;
  const Network network = Sequential::parse("residual (relu, tanh)").build(rows(graph, {2, 3}));
  CHECK(network.output.node().note == "layer 1 (residual (…))");
  CHECK(network.layers[1].output.node().note == "layer 1.1 (relu)");
}

TEST_CASE("one graph may hold two networks, or one twice, under prefixes") {
  const Sequential model = Sequential::parse("rnn 4 sequence stateful, batch_norm, linear 2");
  Graph graph;
  const Value x = rows(graph, {2, 3, 4});
  const Network first = model.build(x, {.mode = Mode::kTrain, .prefix = "encoder."});
  const Network second = model.build(x, {.mode = Mode::kTrain, .prefix = "decoder."});
  CHECK(graph.find("encoder.1.weight").shape() == graph.find("decoder.1.weight").shape());
  REQUIRE(first.parameters.size() == second.parameters.size());
  for (std::size_t i = 0; i < first.parameters.size(); ++i) {
    CHECK(first.parameters[i].name.substr(8) == second.parameters[i].name.substr(8));
    CHECK(first.parameters[i].layer == second.parameters[i].layer);
    CHECK(graph.find(first.parameters[i].name).shape() == first.parameters[i].shape);
  }
  CHECK(is_recurrent_state("encoder.1.state.2.h"));
  CHECK(graph.find("decoder.1.state.2.h").shape() == Shape{2, 4});
  CHECK_FALSE(is_recurrent_state("encoder.1.weight"));
  CHECK_FALSE(is_recurrent_state("my.state.weight"));
  CHECK_FALSE(is_recurrent_state(".state."));
}
