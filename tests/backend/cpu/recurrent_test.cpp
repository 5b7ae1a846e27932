// The recurrent kernels on shapes that are cut into several chunks, against the reference; the same
// bits on any number of threads; nothing allocated.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "chainrule/recurrent.h"
#include "support/allocation_counter.h"

using namespace chainrule;

namespace {

struct Sizes {
  std::int64_t rows, steps, features, units;
};

// One layer with its gradients as outputs; every input is random.
struct Layer {
  Graph graph{"layer"};
  TensorMap feed;
  std::mt19937 random{5};

  Value input(const std::string& name, Shape shape, double scale) {
    Tensor t(DType::kF32, shape);
    std::normal_distribution<float> normal(0, static_cast<float>(scale));
    for (float& v : t.values<float>()) v = normal(random);
    feed.insert_or_assign(name, std::move(t));
    return graph.input(name, {DType::kF32, std::move(shape)});
  }

  Layer(const std::string& cell, const Sizes& s, bool reverse, bool has_lengths) {
    const std::int64_t gates = cell == "lstm" ? 4 : cell == "gru" ? 3 : 1;
    const double scale = 1 / std::sqrt(static_cast<double>(s.units + s.features));
    const Value x = input("x", {s.rows, s.steps, s.features}, 1);
    const Value h = input("h", {s.rows, s.units}, 1);
    const Value wx = input("wx", {s.features, gates * s.units}, scale);
    const Value wh = input("wh", {s.units, gates * s.units}, scale);
    const Value b = input("b", {gates * s.units}, 0.5);
    RecurrentOptions options;
    options.reverse = reverse;
    if (has_lengths) {
      Tensor lengths(DType::kI32, {s.rows});
      for (std::int32_t& n : lengths.values<std::int32_t>()) {
        n = static_cast<std::int32_t>(random() % static_cast<unsigned>(s.steps + 1));
      }
      feed.insert_or_assign("lengths", lengths);
      options.lengths = graph.input("lengths", {DType::kI32, {s.rows}});
    }
    std::vector<Value> wrt{x, h, wx, wh, b};
    Recurrence r;
    if (cell == "lstm") {
      wrt.push_back(input("c", {s.rows, s.units}, 1));
      r = lstm(x, h, wrt.back(), wx, wh, b, options);
    } else if (cell == "gru") {
      wrt.push_back(input("bh", {gates * s.units}, 0.5));
      r = gru(x, h, wx, wh, b, wrt.back(), options);
    } else {
      const bool is_relu = cell == "rnn relu";
      r = rnn(x, h, wx, wh, b, is_relu ? RnnActivation::kRelu : RnnActivation::kTanh, options);
    }
    std::vector<Value> outputs{r.y, r.h};
    if (r.c) outputs.push_back(r.c);
    Value loss = constant(graph, 0.0);
    for (const Value& y : outputs) {
      const std::string name = "y" + std::to_string(graph.outputs().size());
      graph.output(name, y);
      loss = loss + sum(y * input("d" + name, y.shape(), 1));
    }
    for (const Value& d : gradient(loss, wrt)) {
      graph.output("g" + std::to_string(graph.outputs().size()), d);
    }
  }

  Program program(int threads) const {
    Program made(graph, std::make_shared<Parameters>(), {make_thread_pool(threads), ""});
    for (const Value& in : graph.inputs()) {
      const Tensor& tensor = feed.at(in.name());
      if (in.dtype() == DType::kI32) {
        std::ranges::copy(tensor.values<std::int32_t>(),
                          made.input<std::int32_t>(in.name()).begin());
      } else {
        std::ranges::copy(tensor.values<float>(), made.input<float>(in.name()).begin());
      }
    }
    return made;
  }

  std::vector<float> results(const Program& program) const {
    std::vector<float> all;
    for (const auto& output : graph.outputs()) {
      const auto values = program.output<float>(output.first);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
};

const char* const kCells[] = {"rnn tanh", "rnn relu", "lstm", "gru"};

}  // namespace

TEST_CASE("recurrent kernels agree with the reference on shapes of any size") {
  // 97 rows are three blocks of rows, 70 units two whole blocks of units and a part of a third.
  const Sizes sizes[] = {{97, 3, 5, 70}, {2, 5, 33, 32}, {1, 1, 1, 1}, {13, 4, 64, 17}};
  for (const char* cell : kCells) {
    for (const Sizes& s : sizes) {
      for (const bool reverse : {false, true}) {
        for (const bool has_lengths : {false, true}) {
          CAPTURE(cell);
          CAPTURE(s.units);
          CAPTURE(reverse);
          CAPTURE(has_lengths);
          const Layer layer(cell, s, reverse, has_lengths);
          Program program = layer.program(2);
          REQUIRE(program.run());
          const TensorMap expected = Evaluation(layer.graph, layer.feed).outputs();
          for (const auto& output : layer.graph.outputs()) {
            CAPTURE(output.first);
            const auto got = program.output<float>(output.first);
            const auto& want = expected.at(output.first);
            double worst = 0;
            for (std::size_t i = 0; i < got.size(); ++i) {
              const double v = want.values<double>()[i];
              const double error = std::abs(v - static_cast<double>(got[i])) / (1 + std::abs(v));
              worst = std::isnan(error) ? INFINITY : std::max(worst, error);
            }
            CHECK(worst < 2e-5);
          }
        }
      }
    }
  }
}

TEST_CASE("a recurrent layer gives the same bits on 1, 2 and 5 threads") {
  for (const char* cell : kCells) {
    CAPTURE(cell);
    const Layer layer(cell, {61, 6, 20, 100}, false, true);
    std::vector<float> one;
    for (const int threads : {1, 2, 5}) {
      Program program = layer.program(threads);
      for (int run = 0; run < 20; ++run) {
        REQUIRE(program.run());
        const std::vector<float> results = layer.results(program);
        if (one.empty()) one = results;
        REQUIRE(results == one);
      }
    }
  }
}

TEST_CASE("a recurrent layer and its gradient allocate nothing when they run") {
  if (!kCountsAllocations) return;
  for (const char* cell : kCells) {
    CAPTURE(cell);
    const Layer layer(cell, {61, 6, 20, 100}, true, true);
    Program program = layer.program(2);
    const std::int64_t before = allocations();
    for (int run = 0; run < 5; ++run) program.run();
    CHECK(allocations() - before == 0);
  }
}
