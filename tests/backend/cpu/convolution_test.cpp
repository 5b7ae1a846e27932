// Convolutions on shapes that are cut into bands, tiles and slices of the batch, against the
// reference; the same bits on any number of threads.
#include "chainrule/convolution.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "backend/cpu/kernel_testing.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/program.h"

using namespace chainrule;

namespace {

// A graph with random inputs.
struct Network {
  Graph graph{"network"};
  TensorMap feed;
  std::mt19937 random{7};

  Value input(const std::string& name, Shape shape, double scale, double middle = 0) {
    Tensor t(DType::kF32, shape);
    std::normal_distribution<float> normal(static_cast<float>(middle), static_cast<float>(scale));
    for (float& v : t.values<float>()) v = normal(random);
    feed.insert_or_assign(name, std::move(t));
    return graph.input(name, {DType::kF32, std::move(shape)});
  }

  // The outputs and the gradients of Σ y·dy.
  void finish(Value y, const std::vector<Value>& wrt) {
    graph.output("y", y);
    const Value loss = sum(y * input("dy", y.shape(), 1));
    for (const Value& d : gradient(loss, wrt)) {
      graph.output("g" + std::to_string(graph.outputs().size()), d);
    }
  }

  Program program(int threads) const {
    Program made(graph, std::make_shared<Parameters>(), {make_thread_pool(threads), ""});
    for (const Value& in : graph.inputs()) {
      std::ranges::copy(feed.at(in.name()).values<float>(), made.input<float>(in.name()).begin());
    }
    return made;
  }

  std::vector<float> results(int threads) const {
    Program made = program(threads);
    std::vector<float> all;
    for (int run = 0; run < 2; ++run) {  // the second finds what the first left behind
      REQUIRE(made.run());
      all.clear();
      for (const auto& output : graph.outputs()) {
        const auto values = made.output<float>(output.first);
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    return all;
  }

  std::vector<double> expected() const {
    const TensorMap outputs = Evaluation(graph, feed).outputs();
    std::vector<double> all;
    for (const auto& output : graph.outputs()) {
      const auto values = outputs.at(output.first).values<double>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
};

// The largest difference, where the sums have terms of size 1.
double furthest(const std::vector<double>& expected, const std::vector<float>& got) {
  REQUIRE(expected.size() == got.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error =
        std::abs(expected[i] - static_cast<double>(got[i])) / (1 + std::abs(expected[i]));
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

struct Case {
  std::int64_t images, height, width, channels, units;
  Window window;
};

void add_convolution(Network& net, const Case& c) {
  const std::int64_t fan_in = 9 * c.channels;
  const Value x = net.input("x", {c.images, c.height, c.width, c.channels}, 1);
  const Value w = net.input("w", {c.window.kernel[0], c.window.kernel[1], c.channels, c.units},
                            1 / std::sqrt(static_cast<double>(fan_in)));
  const Value b = net.input("b", {c.units}, 0.5);
  net.finish(relu(conv2d(x, w, c.window) + b), {x, w, b});
}

// As in ResNet: sums over the batch between convolutions, and arrays that only one pass reads.
void add_residual_block(Network& net, std::int64_t images, std::int64_t channels) {
  const Window same{.kernel = {3, 3}, .before = {1, 1}, .after = {1, 1}};
  const Value x = net.input("x", {images, 6, 5, channels}, 1, 1);
  std::vector<Value> wrt{x};
  Value y = x;
  for (int layer = 0; layer < 2; ++layer) {
    const std::string number = std::to_string(layer);
    const Value w = net.input("w" + number, {3, 3, channels, channels},
                              1 / std::sqrt(9.0 * static_cast<double>(channels)));
    const Value gamma = net.input("gamma" + number, {channels}, 0.2, 1);
    const Value beta = net.input("beta" + number, {channels}, 0.5);
    y = conv2d(y, w, same);
    y = normalize(y, mean(y, {0, 1, 2}), variance(y, {0, 1, 2}), gamma, beta);
    y = relu(layer == 0 ? y : y + x);
    wrt.insert(wrt.end(), {w, gamma, beta});
  }
  net.finish(y, wrt);
}

}  // namespace

TEST_CASE("convolutions agree with the reference on every instruction set") {
  const Window same{.kernel = {3, 3}, .before = {1, 1}, .after = {1, 1}};
  const Window valid{.kernel = {3, 3}};
  const Window skewed{.kernel = {3, 3}, .before = {2, 0}, .after = {0, 2}};
  const Window strided{.kernel = {3, 3}, .stride = {2, 2}, .before = {1, 1}, .after = {1, 1}};
  // Tiles of 2×2 results where kernels are 3×3 at stride 1 and channels fill vectors; odd extents
  // leave half tiles, 17 images make slices of one and two.
  const Case cases[] = {{17, 9, 7, 16, 16, same},  {2, 6, 6, 32, 48, valid},
                        {3, 5, 8, 16, 64, skewed}, {1, 4, 4, 48, 16, same},
                        {18, 7, 7, 3, 20, same},   {2, 7, 9, 16, 16, strided}};
  cpu::for_each_target([&] {
    for (const Case& c : cases) {
      CAPTURE(c.images);
      CAPTURE(c.channels);
      CAPTURE(c.units);
      Network net;
      add_convolution(net, c);
      CHECK(furthest(net.expected(), net.results(2)) < 2e-5);
    }
  });
}

TEST_CASE("batch norm between convolutions agrees with the reference, whole and in slices") {
  cpu::for_each_target([&] {
    for (const std::int64_t images : {3, 16, 37}) {
      for (const std::int64_t channels : {5, 16}) {
        CAPTURE(images);
        CAPTURE(channels);
        Network net;
        add_residual_block(net, images, channels);
        CHECK(furthest(net.expected(), net.results(2)) < 5e-5);
      }
    }
  });
}

TEST_CASE("a residual block gives the same bits on 1, 2 and 5 threads") {
  Network net;
  add_residual_block(net, 37, 16);
  const std::vector<float> one = net.results(1);
  CHECK(net.results(2) == one);
  CHECK(net.results(5) == one);
}

TEST_CASE("what one pass over the slices reads is not stored as a whole") {
  Network net;
  add_residual_block(net, 37, 16);
  const std::string listing = net.program(1).to_text();
  CHECK(listing.find("within the slice") != std::string::npos);
}
