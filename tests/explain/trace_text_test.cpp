// A step as text, held still by a golden file, and the paths of weights, whose sums must be
// gradients.
#include "chainrule/trace_text.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "chainrule/error.h"
#include "support/places.h"

using namespace chainrule;

namespace {

Dataset some_rows(std::int64_t classes) {
  Dataset batch;
  batch.x = Tensor::of<float>({3, 2}, {0.5F, -1, 1.5F, 2, -0.75F, 0.25F});
  if (classes > 0) {
    batch.labels = Tensor::of<std::int32_t>({3}, {0, 1, 1});
    for (std::int64_t c = 0; c < classes; ++c) batch.classes.push_back(std::to_string(c));
  } else {
    batch.y = Tensor::of<float>({3, 1}, {1, -0.5F, 0.25F});
  }
  return batch;
}

Trace step_of(const std::string& text, std::int64_t classes) {
  const Sequential network = Sequential::parse(text);
  return trace(network, initialize(network, {2}, 7), some_rows(classes));
}

std::string golden(const std::string& name) {
  std::ifstream file(source_path("tests/golden/") + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a step is told from the input to the loss, back, and to the update") {
  const Trace step = step_of("linear 2, tanh, linear 2", 2);
  const TraceEntry weight = find_weight(step, "W1[1,0]");
  const std::string text = to_text(step, TraceTextOptions{.update = true}) + "\n" +
                           to_text(step, weight, paths_of(step, weight));
  CHECK(text == golden("explain.txt"));
}

TEST_CASE("large values are summed up") {
  const Trace step = step_of("linear 2, relu, linear 2", 2);
  const std::string text = to_text(step, TraceTextOptions{.small = 3});
  CHECK(text.find("std") != std::string::npos);
  CHECK(text.find("% zeros") != std::string::npos);
  CHECK(text.find("[[") == std::string::npos);
  CHECK(text.find("b1   [2]   1.bias\n    [0. 0.]") != std::string::npos);
}

TEST_CASE("the paths of every weight add up to its gradient") {
  for (const char* text :
       {"linear 3, tanh, linear 2", "linear 3, relu, linear 2, softmax",
        "linear 3, gelu, linear 4, sigmoid, linear 2", "linear 2, elu, dropout 0.3, linear 2",
        "reshape 2x1, linear 2, tanh, flatten, linear 2", "linear 2, softmax, linear 2"}) {
    CAPTURE(std::string(text));
    const Trace step = step_of(text, 2);
    for (const TraceValue& value : step.values) {
      if (value.part != TracePart::kParameter) continue;
      for (std::size_t e = 0; e < static_cast<std::size_t>(value.numbers.size()); ++e) {
        const TraceEntry weight{&value, e};
        const WeightPaths paths = paths_of(step, weight, 1000);
        CAPTURE(to_text(weight));
        CHECK(paths.sum == doctest::Approx(paths.gradient).epsilon(1e-10));
        // Of a softmax and a cross-entropy the trace shows the limit epsilon → 0.
        const bool limit = step.network.ends_with("softmax");
        const TraceValue* d = step.gradient_of(value.name);
        CHECK(std::abs(paths.sum - d->numbers.values<double>()[e]) < (limit ? 1e-6 : 1e-12));
        double sum = 0;
        for (const WeightPath& path : paths.largest) {
          double product = 1;
          for (const double factor : path.factors) product *= factor;
          CHECK(product == doctest::Approx(path.product));
          CHECK(path.entries.size() == path.factors.size() + 1);
          CHECK(path.entries.front().value == &value);
          CHECK(path.entries.back().value->name == "loss");
          sum += path.product;
        }
        CHECK(static_cast<double>(paths.largest.size()) == paths.count);
        CHECK(sum == doctest::Approx(paths.sum).epsilon(1e-10));
      }
    }
  }
}

TEST_CASE("a path's factors are the local derivatives") {
  const Trace step = step_of("linear 1, tanh, linear 1", 0);
  const WeightPaths paths = paths_of(step, find_weight(step, "1.weight[1,0]"));
  REQUIRE(paths.largest.size() == 3);  // one a row
  const WeightPath& path = paths.largest[1];
  CHECK(to_text(path.entries[1]) == "Z1[1,0]");
  const auto number = [&](const char* name, std::size_t e) {
    return step.find(name)->numbers.values<double>()[e];
  };
  const double a = number("A1", 1);
  const double prediction = number("Z2", 1);
  CHECK(path.factors[0] == doctest::Approx(2));  // X[1,1]
  CHECK(path.factors[1] == doctest::Approx(1 - a * a));
  CHECK(path.factors[2] == doctest::Approx(number("W2", 0)));
  CHECK(path.factors[3] == doctest::Approx(2 * (prediction + 0.5) / 3));
}

TEST_CASE("of many paths the largest are listed, and the rest is their complement") {
  const Trace step = step_of("linear 5, tanh, linear 6, tanh, linear 2", 2);
  const TraceEntry weight = find_weight(step, "W1[0,0]");
  const WeightPaths all = paths_of(step, weight, 1000);
  const WeightPaths some = paths_of(step, weight, 10);
  REQUIRE(all.count == 36);  // 3 rows, 6 units, 2 outputs
  REQUIRE(some.largest.size() == 10);
  CHECK(some.count == 36);
  double listed = 0;
  double smallest = INFINITY;
  for (const WeightPath& path : some.largest) {
    CHECK(std::abs(path.product) <= smallest * (1 + 1e-12));
    smallest = std::abs(path.product);
    listed += path.product;
  }
  CHECK(some.rest == doctest::Approx(all.sum - listed));
  std::size_t larger = 0;
  for (const WeightPath& path : all.largest) {
    larger += std::abs(path.product) > smallest * (1 + 1e-12) ? 1 : 0;
  }
  CHECK(larger == 9);
}

TEST_CASE("a relu that is off blocks its paths, and they are shown") {
  const Trace step = step_of("linear 2, relu, linear 2", 2);
  std::size_t off = 0;
  for (const double a : step.find("A1")->numbers.values<double>()) off += a == 0 ? 1 : 0;
  REQUIRE(off > 0);
  std::size_t blocked = 0;
  for (std::size_t unit = 0; unit < 2; ++unit) {
    const WeightPaths paths = paths_of(step, find_weight(step, unit == 0 ? "b1[0]" : "b1[1]"));
    blocked += paths.blocked.size();
    for (const WeightPath& path : paths.blocked) CHECK(path.factors.back() == 0);
  }
  CHECK(blocked == off);
}

TEST_CASE("a weight is found by either name, and a wrong one is answered with the right ones") {
  const Trace step = step_of("linear 2, tanh, linear 2", 2);
  CHECK(to_text(find_weight(step, "3.weight[1,0]")) == "W2[1,0]");
  CHECK(to_text(find_weight(step, "b2[ 1]")) == "b2[1]");
  CHECK_THROWS_WITH_AS(find_weight(step, "W1[2,0]"),
                       "W1[2,0]: W1 has the shape [2, 2]; name one entry, from W1[0,0] to W1[1,1]",
                       UsageError);
  for (const char* wrong :
       {"W1", "W1[0]", "W1[0,0", "W1[0,0,0]", "W1[a,0]", "W1[-1,0]", "W3[0,0]"}) {
    CHECK_THROWS_AS(find_weight(step, wrong), UsageError);
  }
}
