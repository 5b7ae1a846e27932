// The meaning of every op against tests/golden/ops.json, which tests/ops/make_golden.py computes
// with mpmath and NumPy: finite differences cannot catch a wrong forward. Each case is judged
// twice, in the float64 reference and as a compiled float32 program.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/philox.h"
#include "chainrule/attention.h"
#include "chainrule/convolution.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "graph/op.h"
#include "ops/gelu.h"
#include "ops/golden_updates.h"
#include "support/places.h"

using namespace chainrule;
using nlohmann::json;

namespace {

Build of(Value (*f)(Value)) {
  return [f](Graph&, const Values& x, const Arguments&) { return Values{f(x.at(0))}; };
}
Build of(Value (*f)(Value, Value)) {
  return [f](Graph&, const Values& x, const Arguments&) { return Values{f(x.at(0), x.at(1))}; };
}
Build of_right(Value (*f)(Value, double)) {
  return
      [f](Graph&, const Values& x, const Arguments& a) { return Values{f(x.at(0), a.real("b"))}; };
}
Build of_left(Value (*f)(double, Value)) {
  return
      [f](Graph&, const Values& x, const Arguments& a) { return Values{f(a.real("a"), x.at(0))}; };
}
// A function with one real option, called without it where the case leaves it out.
Build with_option(Value (*f)(Value, double), Value (*by_default)(Value), const char* name) {
  return [=](Graph&, const Values& x, const Arguments& a) {
    return Values{a.has(name) ? f(x.at(0), a.real(name)) : by_default(x.at(0))};
  };
}
Build with_option(Value (*f)(Value, Value, double), Value (*by_default)(Value, Value),
                  const char* name) {
  return [=](Graph&, const Values& x, const Arguments& a) {
    return Values{a.has(name) ? f(x.at(0), x.at(1), a.real(name)) : by_default(x.at(0), x.at(1))};
  };
}
Build reduction(Value (*f)(Value, std::vector<std::int64_t>, bool)) {
  return [f](Graph&, const Values& x, const Arguments& a) {
    return Values{f(x.at(0), a.axes(), a.has("keep_axes") && a.integer("keep_axes") != 0)};
  };
}
Build random_numbers(Value (*f)(Value, Shape, std::int64_t, std::int64_t)) {
  return [f](Graph&, const Values& x, const Arguments& a) {
    return Values{f(x.at(0), a.integers("shape"), a.integer("seed"), a.integer("stream"))};
  };
}

Window window_of(const Arguments& a) {
  Window window;
  const auto set = [&](Window::Pair& pair, const char* name) {
    if (!a.has(name)) return;
    const Shape numbers = a.integers(name);
    pair = {numbers.at(0), numbers.at(1)};
  };
  set(window.kernel, "kernel");
  set(window.stride, "stride");
  set(window.dilation, "dilation");
  set(window.before, "before");
  set(window.after, "after");
  return window;
}

// Every public function of ops.h but the updates, each overload under a name of its own.
std::map<std::string, Build> builders_of_values() {
  using One = Value (*)(Value);
  using Two = Value (*)(Value, Value);
  using Right = Value (*)(Value, double);
  using Left = Value (*)(double, Value);
  return {
      {"constant",
       [](Graph& g, const Values&, const Arguments& a) {
    return Values{constant(g, a.real("value"), a.integers("shape"))};
       }},
      {"add", of(Two{operator+})},
      {"add_scalar", of_right(Right{operator+})},
      {"scalar_add", of_left(Left{operator+})},
      {"sub", of(Two{operator-})},
      {"sub_scalar", of_right(Right{operator-})},
      {"scalar_sub", of_left(Left{operator-})},
      {"mul", of(Two{operator*})},
      {"mul_scalar", of_right(Right{operator*})},
      {"scalar_mul", of_left(Left{operator*})},
      {"div", of(Two{operator/})},
      {"div_scalar", of_right(Right{operator/})},
      {"scalar_div", of_left(Left{operator/})},
      {"neg", of(One{operator-})},
      {"pow", of(Two{pow})},
      {"pow_scalar", of_right(Right{pow})},
      {"maximum", of(Two{maximum})},
      {"maximum_scalar", of_right(Right{maximum})},
      {"minimum", of(Two{minimum})},
      {"minimum_scalar", of_right(Right{minimum})},
      {"less", of(Two{less})},
      {"less_scalar", of_right(Right{less})},
      {"less_equal", of(Two{less_equal})},
      {"less_equal_scalar", of_right(Right{less_equal})},
      {"greater", of(Two{greater})},
      {"greater_scalar", of_right(Right{greater})},
      {"greater_equal", of(Two{greater_equal})},
      {"greater_equal_scalar", of_right(Right{greater_equal})},
      {"equal", of(Two{equal})},
      {"not_equal", of(Two{not_equal})},
      {"where",
       [](Graph&, const Values& x, const Arguments&) {
    return Values{where(x.at(0), x.at(1), x.at(2))};
       }},
      {"exp", of(One{exp})},
      {"expm1", of(One{expm1})},
      {"log", of(One{log})},
      {"log1p", of(One{log1p})},
      {"sqrt", of(One{sqrt})},
      {"abs", of(One{abs})},
      {"sign", of(One{sign})},
      {"erf", of(One{erf})},
      {"square", of(One{square})},
      {"relu", of(One{relu})},
      {"leaky_relu", with_option(leaky_relu, [](Value x) {
    return leaky_relu(x); }, "slope")},
      {"elu", with_option(elu, [](Value x) {
    return elu(x); }, "alpha")},
      {"sigmoid", of(One{sigmoid})},
      {"tanh", of(One{tanh})},
      {"softplus", of(One{softplus})},
      {"gelu", of(One{gelu})},
      {"gelu_slope", of(One{gelu_slope})},
      {"gelu_tanh", of(One{gelu_tanh})},
      {"silu", of(One{silu})},
      {"softsign", of(One{softsign})},
      {"selu", of(One{selu})},
      {"mish", of(One{mish})},
      {"hardsigmoid", of(One{hardsigmoid})},
      {"hardswish", of(One{hardswish})},
      {"broadcast_to",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{broadcast_to(x.at(0), a.integers("shape"))};
       }},
      {"reshape",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{reshape(x.at(0), a.integers("shape"))};
       }},
      {"transpose",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{a.has("permutation") ? transpose(x.at(0), a.integers("permutation"))
                                       : transpose(x.at(0))};
       }},
      {"concatenate",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{concatenate(x, a.integer("axis"))};
       }},
      {"slice",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{slice(x.at(0), a.integers("starts"), a.integers("stops"))};
       }},
      {"pad",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{pad(x.at(0), a.integers("before"), a.integers("after"))};
       }},
      {"gather", of(Two{gather})},
      {"scatter_add",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{scatter_add(x.at(0), x.at(1), a.integer("rows"))};
       }},
      {"one_hot",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{one_hot(x.at(0), a.integer("classes"))};
       }},
      {"to_float", of(One{to_float})},
      {"sum", reduction(sum)},
      {"mean", reduction(mean)},
      {"variance", reduction(variance)},
      {"max", reduction(max)},
      {"argmax", of(One{argmax})},
      {"matmul", of(Two{matmul})},
      {"softmax", of(One{softmax})},
      {"log_softmax", of(One{log_softmax})},
      {"cross_entropy",
       with_option(cross_entropy, [](Value p, Value t) {
    return cross_entropy(p, t); }, "epsilon")},
      {"softmax_cross_entropy",
       with_option(
           softmax_cross_entropy, [](Value x, Value t) {
    return softmax_cross_entropy(x, t); },
           "smoothing")},
      {"binary_cross_entropy", of(Two{binary_cross_entropy})},
      {"mean_squared_error", of(Two{mean_squared_error})},
      {"mean_absolute_error", of(Two{mean_absolute_error})},
      {"huber", with_option(huber, [](Value x, Value t) {
    return huber(x, t); }, "delta")},
      {"random_uniform", random_numbers(random_uniform)},
      {"random_normal", random_numbers(random_normal)},
      {"dropout",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{
        dropout(x.at(0), a.real("rate"), x.at(1), a.integer("seed"), a.integer("stream"))};
       }},
      {"sin", of(One{sin})},
      {"cos", of(One{cos})},
      {"arange",
       [](Graph& g, const Values&, const Arguments& a) {
    return Values{arange(g, a.integer("count"))};
       }},
      {"attention",
       [](Graph&, const Values& x, const Arguments& a) {
    AttentionOptions options{.causal = a.integer("causal") != 0};
    if (a.has("heads")) options.heads = a.integer("heads");
    if (x.size() > 3) options.mask = x.at(3);
    return Values{attention(x.at(0), x.at(1), x.at(2), options)};
       }},
      {"rotary", of(One{[](Value x) {
    return rotary(x); }})},
      {"sinusoidal_positions",
       [](Graph& g, const Values&, const Arguments& a) {
    return Values{sinusoidal_positions(g, a.integer("length"), a.integer("features"))};
       }},
      {"unfold",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{unfold(x.at(0), window_of(a), a.has("outside") ? a.real("outside") : 0)};
       }},
      {"fold",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{fold(x.at(0), window_of(a), a.integer("height"), a.integer("width"))};
       }},
      {"conv2d",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{
        conv2d(x.at(0), x.at(1), window_of(a), a.has("groups") ? a.integer("groups") : 1)};
       }},
      {"layer_norm",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{layer_norm(x.at(0), x.at(1), x.at(2), a.real("epsilon"))};
       }},
      {"depthwise_conv2d",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{depthwise_conv2d(x.at(0), x.at(1), window_of(a))};
       }},
      {"conv2d_transpose",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{
        conv2d_transpose(x.at(0), x.at(1), window_of(a), a.integer("height"), a.integer("width"))};
       }},
      {"max_pool2d",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{max_pool2d(x.at(0), window_of(a))};
       }},
      {"average_pool2d",
       [](Graph&, const Values& x, const Arguments& a) {
    return Values{average_pool2d(x.at(0), window_of(a))};
       }},
  };
}

std::map<std::string, Build> builders() {
  std::map<std::string, Build> all = builders_of_values();
  all.merge(update_builders());
  return all;
}

const json& golden() {
  static const json cases = [] {
    std::ifstream file(source_path("tests/golden/ops.json"));
    return json::parse(file);
  }();
  return cases;
}

// JSON has no infinity: what is no number is written out.
double number(const json& x) {
  if (!x.is_string()) return x.get<double>();
  const auto text = x.get<std::string>();
  if (text == "inf") return INFINITY;
  if (text == "-inf") return -INFINITY;
  REQUIRE(text == "nan");
  return NAN;
}

std::vector<double> numbers(const json& array) {
  std::vector<double> values;
  for (const json& x : array.at("values")) values.push_back(number(x));
  return values;
}

Type type_of(const json& array) {
  const auto dtype = array.at("dtype").get<std::string>();
  REQUIRE((dtype == "f32" || dtype == "i32"));
  return {dtype == "i32" ? DType::kI32 : DType::kF32, array.at("shape").get<Shape>()};
}

// One case as a graph. What an update replaces is a parameter, so that it runs in place.
struct GoldenGraph {
  Graph graph;
  TensorMap feed;
  Values inputs;
  Values results;

  GoldenGraph(const json& entry, const Build& build) : graph(entry.at("call").get<std::string>()) {
    const bool updates = graph.name().ends_with("_update");
    const std::size_t replaced = updates ? entry.at("expected").size() : 0;
    for (const json& array : entry.at("inputs")) {
      const std::string name = "x" + std::to_string(inputs.size());
      const Type type = type_of(array);
      feed.insert_or_assign(name, Tensor::of<double>(type.shape, numbers(array)).as(type.dtype));
      inputs.push_back(inputs.size() < replaced ? graph.parameter(name, type)
                                                : graph.input(name, type));
    }
    const Arguments arguments(entry.at("arguments"));
    results = build(graph, inputs, arguments);
    CHECK(arguments.all_asked());
    REQUIRE(results.size() == entry.at("expected").size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (updates) {
        graph.update(inputs[i], results[i]);
      } else {
        graph.output("y" + std::to_string(i), results[i]);
      }
    }
  }
};

// |got − expected| ≤ tolerance · |expected| + absolute; NaN and infinity are met exactly.
void check_close(const std::vector<double>& expected, std::span<const double> got, double tolerance,
                 double absolute) {
  REQUIRE(expected.size() == got.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double e = expected[i];
    const double g = got[i];
    const bool good = std::isnan(e)   ? std::isnan(g)
                      : std::isinf(e) ? g == e
                                      : std::abs(g - e) <= tolerance * std::abs(e) + absolute;
    CAPTURE(i);
    CAPTURE(e);
    CAPTURE(g);
    CHECK(good);
  }
}

std::vector<double> widened(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

template <typename T>
void copy_into(Program& program, const std::string& name, const Tensor& tensor) {
  std::ranges::copy(tensor.values<T>(), program.input<T>(name).begin());
}

// The results as a compiled program computes them.
std::vector<std::vector<double>> results_of_program(const GoldenGraph& golden_graph) {
  const Graph& graph = golden_graph.graph;
  const auto parameters = std::make_shared<Parameters>();
  for (const Value& p : graph.parameters())
    parameters->set(p.name(), golden_graph.feed.at(p.name()));
  Program program(graph, parameters);
  for (const Value& x : graph.inputs()) {
    const Tensor& tensor = golden_graph.feed.at(x.name());
    if (x.dtype() == DType::kI32) {
      copy_into<std::int32_t>(program, x.name(), tensor);
    } else {
      copy_into<float>(program, x.name(), tensor);
    }
  }
  REQUIRE(program.run());
  std::vector<std::vector<double>> results;
  for (const auto& [name, value] : graph.outputs()) {
    if (value.dtype() == DType::kI32) {
      const auto values = program.output<std::int32_t>(name);
      results.emplace_back(values.begin(), values.end());
    } else {
      const auto values = program.output<float>(name);
      results.emplace_back(values.begin(), values.end());
    }
  }
  for (const auto& [parameter, next] : graph.updates()) {
    results.push_back(widened(parameters->at(parameter.name())));
  }
  return results;
}

}  // namespace

TEST_CASE("every op gives the golden numbers in the reference") {
  const std::map<std::string, Build> builds = builders();
  for (std::size_t i = 0; i < golden().size(); ++i) {
    const json& entry = golden()[i];
    const auto call = entry.at("call").get<std::string>();
    CAPTURE(i);
    CAPTURE(call);
    REQUIRE(builds.contains(call));
    const GoldenGraph golden_graph(entry, builds.at(call));
    const Evaluation evaluation(golden_graph.graph, golden_graph.feed);
    for (std::size_t k = 0; k < golden_graph.results.size(); ++k) {
      const json& expected = entry.at("expected")[k];
      CHECK(golden_graph.results[k].type() == type_of(expected));
      check_close(numbers(expected), widened(evaluation.value(golden_graph.results[k])), 1e-12,
                  entry.value("absolute", 0.0));
    }
  }
}

TEST_CASE("every op gives the golden numbers as a compiled program") {
  const std::map<std::string, Build> builds = builders();
  for (std::size_t i = 0; i < golden().size(); ++i) {
    const json& entry = golden()[i];
    const auto call = entry.at("call").get<std::string>();
    CAPTURE(i);
    CAPTURE(call);
    if (entry.contains("float32") && entry.at("float32").is_null()) continue;
    const GoldenGraph golden_graph(entry, builds.at(call));
    const auto results = results_of_program(golden_graph);
    REQUIRE(results.size() == entry.at("expected").size());
    for (std::size_t k = 0; k < results.size(); ++k) {
      // Below the smallest normal float32 a result may be 0.
      check_close(numbers(entry.at("expected")[k]), results[k], 1e-5,
                  entry.value("float32", 1.2e-38));
    }
  }
}

TEST_CASE("the golden cases leave out no op and no function") {
  const std::map<std::string, Build> builds = builders();
  std::set<std::string> calls;
  std::set<std::string> ops;
  for (const json& entry : golden()) {
    const auto call = entry.at("call").get<std::string>();
    REQUIRE(builds.contains(call));
    calls.insert(call);
    const GoldenGraph golden_graph(entry, builds.at(call));
    for (const Node& node : golden_graph.graph.nodes()) ops.insert(std::string(node.op->name));
  }
  for (const auto& entry : builds) {
    CAPTURE(entry.first);
    CHECK(calls.contains(entry.first));
  }
  std::ifstream recurrent(source_path("tests/golden/recurrent.json"));
  for (const json& entry : json::parse(recurrent)) ops.insert(entry.at("op"));
  for (const Op* op : all_ops()) {
    // The compiler alone makes fused nodes, and gradient rules alone the backward ones, which the
    // gradient test judges.
    if (op->source || op->name == "fused" || op->name.ends_with("_backward")) continue;
    CAPTURE(op->name);
    CHECK(ops.contains(std::string(op->name)));
  }
}

TEST_CASE("philox gives the known answers of its authors") {
  using Words = std::array<std::uint32_t, 4>;
  constexpr std::uint32_t kOnes = 0xFFFFFFFF;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}) ==
        Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}
