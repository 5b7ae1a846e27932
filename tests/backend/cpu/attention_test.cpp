// The attention kernels on shapes that are cut every way, against the reference; the same bits on
// any number of threads; nothing allocated, and no T × S matrix.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "backend/cpu/program/lowering.h"
#include "chainrule/attention.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"
#include "support/allocation_counter.h"

using namespace chainrule;

namespace {

enum class MaskKind { kNone, kKeys, kPairs };

struct Sizes {
  Shape leading;
  std::int64_t queries, keys, heads, depth, width;
};

// One attention with its gradients as outputs; every input is random.
struct Layer {
  Graph graph{"attention"};
  TensorMap feed;
  std::mt19937 random{7};

  Value input(const std::string& name, Shape shape, float scale) {
    Tensor t(DType::kF32, shape);
    std::normal_distribution<float> normal(0, scale);
    for (float& v : t.values<float>()) v = normal(random);
    feed.insert_or_assign(name, std::move(t));
    return graph.input(name, {DType::kF32, std::move(shape)});
  }

  Layer(const Sizes& s, bool causal, MaskKind kind = MaskKind::kNone) {
    const auto shape = [&](std::int64_t rows, std::int64_t columns) {
      Shape all = s.leading;
      all.insert(all.end(), {rows, columns});
      return all;
    };
    const Value q = input("q", shape(s.queries, s.heads * s.depth), 1.5F);
    const Value k = input("k", shape(s.keys, s.heads * s.depth), 1.5F);
    const Value v = input("v", shape(s.keys, s.heads * s.width), 1);
    AttentionOptions options{.heads = s.heads, .causal = causal};
    if (kind != MaskKind::kNone) {
      options.mask = input("mask", shape(kind == MaskKind::kKeys ? 1 : s.queries, s.keys), 1);
      for (float& x : feed.at("mask").values<float>()) x = x > 0.4F ? 1.0F : 0.0F;
    }
    const Value y = attention(q, k, v, options);
    graph.output("y", y);
    graph.output("lse", y.node().output(1));
    const Value loss = sum(y * input("dy", y.shape(), 1));
    const std::vector<Value> gradients = gradient(loss, {q, k, v});
    graph.output("dq", gradients[0]);
    graph.output("dk", gradients[1]);
    graph.output("dv", gradients[2]);
  }

  Program program(int threads) const {
    Program made(graph, std::make_shared<Parameters>(), {make_thread_pool(threads), ""});
    for (const Value& in : graph.inputs()) {
      std::ranges::copy(feed.at(in.name()).values<float>(), made.input<float>(in.name()).begin());
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

void check_against_reference(const Layer& layer) {
  Program program = layer.program(2);
  REQUIRE(program.run());
  const TensorMap expected = Evaluation(layer.graph, layer.feed).outputs();
  for (const auto& output : layer.graph.outputs()) {
    CAPTURE(output.first);
    const auto got = program.output<float>(output.first);
    const auto want = expected.at(output.first).values<double>();
    REQUIRE(got.size() == want.size());
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double error =
          std::abs(want[i] - static_cast<double>(got[i])) / (1 + std::abs(want[i]));
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
    CHECK(worst < 1e-5);
  }
}

void check_against_reference(const Sizes& s, bool causal, MaskKind kind) {
  CAPTURE(s.queries);
  CAPTURE(s.keys);
  CAPTURE(s.heads);
  CAPTURE(s.depth);
  CAPTURE(causal);
  CAPTURE(static_cast<int>(kind));
  check_against_reference(Layer(s, causal, kind));
}

std::size_t instructions(const Program& program, const std::string& op) {
  const std::string text = program.to_text();
  std::size_t count = 0;
  const std::string end = " = " + op + "\n";
  for (std::size_t at = text.find(end); at != std::string::npos; at = text.find(end, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("attention kernels agree with the reference on shapes of any size") {
  const Sizes sizes[] = {
      {{2}, 1, 1, 1, 1, 1},      {{2}, 5, 7, 3, 3, 2},     {{3, 2}, 12, 12, 2, 16, 16},
      {{}, 64, 64, 4, 32, 32},   {{1}, 49, 49, 1, 20, 33}, {{1}, 75, 30, 2, 8, 40},
      {{1}, 30, 75, 2, 40, 8},   {{1}, 1, 300, 2, 16, 16}, {{1}, 300, 1, 2, 16, 16},
      {{1}, 270, 270, 1, 7, 18}, {{1}, 256, 600, 1, 4, 4}, {{}, 600, 523, 1, 5, 5},
  };
  for (const Sizes& s : sizes) {
    for (const bool causal : {false, true}) {
      for (const MaskKind kind : {MaskKind::kNone, MaskKind::kKeys, MaskKind::kPairs}) {
        check_against_reference(s, causal, kind);
      }
    }
  }
}

TEST_CASE("attention and its gradient are one instruction each, and no transposes beside them") {
  const Layer layer({{2}, 20, 20, 2, 16, 16}, true, MaskKind::kKeys);
  const Program program = layer.program(1);
  CHECK(instructions(program, "attention") == 1);
  CHECK(instructions(program, "attention_backward") == 1);
  CHECK(instructions(program, "transpose") == 0);
}

TEST_CASE("attention keeps what is not a number, and large scores overflow nothing") {
  Layer layer({{1}, 20, 20, 1, 16, 16}, true);
  for (float& x : layer.feed.at("q").values<float>()) x *= 1e4F;
  Program large = layer.program(1);
  REQUIRE(large.run());
  for (const float y : layer.results(large)) REQUIRE(std::isfinite(y));
  layer.feed.at("k").values<float>()[5 * 16] = NAN;
  Program program = layer.program(1);
  program.run();
  const auto y = program.output<float>("y");
  CHECK(std::isfinite(y[4 * 16]));
  for (std::size_t row = 5; row < 20; ++row) CHECK(std::isnan(y[row * 16]));
}

TEST_CASE("attention gives the same bits on 1, 2 and 5 threads") {
  // Many heads, one job each and several in one; few long ones, cut into ranges.
  const Sizes sizes[] = {
      {{3}, 40, 40, 8, 16, 16}, {{24}, 6, 6, 4, 8, 8}, {{2}, 530, 530, 1, 16, 16}};
  for (const Sizes& s : sizes) {
    CAPTURE(s.queries);
    const Layer layer(s, true, MaskKind::kKeys);
    std::vector<float> one;
    for (const int threads : {1, 2, 5}) {
      Program program = layer.program(threads);
      for (int run = 0; run < 5; ++run) {
        REQUIRE(program.run());
        const std::vector<float> results = layer.results(program);
        if (one.empty()) one = results;
        REQUIRE(results == one);
      }
    }
  }
}

TEST_CASE("attention and its gradient allocate nothing when they run") {
  if (!kCountsAllocations) return;
  const Layer layer({{2}, 530, 530, 1, 16, 16}, true, MaskKind::kPairs);
  Program program = layer.program(2);
  const std::int64_t before = allocations();
  for (int run = 0; run < 3; ++run) program.run();
  CHECK(allocations() - before == 0);
}

TEST_CASE("the memory of attention grows with the length and not with its square") {
  const auto bytes = [](std::int64_t length) {
    const Layer layer({{1}, length, length, 2, 16, 16}, true);
    const cpu::Code code = cpu::lower(layer.graph, std::make_shared<Parameters>());
    return code.arena_bytes + code.scratch_bytes + code.shared_bytes;
  };
  CHECK(bytes(16384) < 5 * bytes(4096));
  CHECK(bytes(16384) < std::size_t{16384} * 16384 / 8);
}

TEST_CASE("the gradient of values keeps its digits where scores are ten thousand") {
  constexpr std::int64_t kRows = 50;
  constexpr std::int64_t kWidth = 8;
  for (const bool causal : {false, true}) {
    Layer layer({{}, kRows, kRows, 1, 64, kWidth}, causal);
    // All scores are 64·32·39/8: every row that a query reads has the same weight.
    std::ranges::fill(layer.feed.at("q").values<float>(), 32.0F);
    std::ranges::fill(layer.feed.at("k").values<float>(), 39.0F);
    Program program = layer.program(2);
    REQUIRE(program.run());
    const auto dy = layer.feed.at("dy").values<float>();
    const auto dv = program.output<float>("dv");
    double worst = 0;
    for (std::int64_t s = 0; s < kRows; ++s) {
      for (std::int64_t i = 0; i < kWidth; ++i) {
        double expected = 0;
        for (std::int64_t t = causal ? s : 0; t < kRows; ++t) {
          const auto read = static_cast<double>(causal ? t + 1 : kRows);
          expected += static_cast<double>(dy[static_cast<std::size_t>(t * kWidth + i)]) / read;
        }
        const auto got = static_cast<double>(dv[static_cast<std::size_t>(s * kWidth + i)]);
        worst = std::max(worst, std::abs(got - expected));
      }
    }
    CHECK(worst < 1e-6);
  }
}
