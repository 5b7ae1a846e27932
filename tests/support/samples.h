// The samples of the ops, made concrete: graphs with random inputs, for every test that runs over
// the registry.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "chainrule/reference.h"
#include "graph/op.h"

namespace chainrule {

/// All samples of one op, in one graph, with a tensor for each input.
class Samples : public Sampler {
 public:
  explicit Samples(const Op& op) : graph_(std::string(op.name)) { op.samples(*this); }

  Value uniform(Shape shape, double low, double high, bool kinks = false) override {
    std::vector<double> x(static_cast<std::size_t>(element_count(shape)));
    for (double& v : x) {
      do {
        v = std::uniform_real_distribution(low, high)(random_);
      } while (kinks && std::abs(v * 2 - std::round(v * 2)) < 0.1);
    }
    return add({DType::kF32, shape}, Tensor::of<double>(shape, x));
  }

  Value integers(Shape shape, std::int64_t bound) override {
    std::vector<std::int32_t> x(static_cast<std::size_t>(element_count(shape)));
    for (std::int32_t& v : x)
      v = static_cast<std::int32_t>(random_() % static_cast<unsigned>(bound));
    return add({DType::kI32, shape}, Tensor::of<std::int32_t>(shape, x));
  }

  Value distribution(Shape shape) override {
    std::vector<double> x(static_cast<std::size_t>(element_count(shape)));
    for (double& v : x) v = std::uniform_real_distribution(0.1, 1.0)(random_);
    const auto width = static_cast<std::size_t>(shape.back());
    for (std::size_t row = 0; row < x.size(); row += width) {
      double total = 0;
      for (std::size_t i = 0; i < width; ++i) total += x[row + i];
      for (std::size_t i = 0; i < width; ++i) x[row + i] /= total;
    }
    return add({DType::kF32, shape}, Tensor::of<double>(shape, x));
  }

  Value scalar(double value) override {
    return add({DType::kF32, {}}, Tensor::of<double>({}, {value}));
  }

  Graph& graph() override { return graph_; }
  void check(Value value) override { checked.push_back(value); }

  /// A further input of the graph, with random values: a cotangent or a direction.
  Value random_like(Value value) { return uniform(value.shape(), -1, 1); }

  TensorMap feed;
  std::vector<Value> checked;

 private:
  Value add(Type type, Tensor tensor) {
    // The reference sees the float32 numbers that the CPU backend sees.
    if (type.dtype == DType::kF32) tensor = tensor.as(DType::kF32);
    const std::string name = "x" + std::to_string(feed.size());
    feed.insert_or_assign(name, std::move(tensor));
    return graph_.input(name, std::move(type));
  }

  Graph graph_;
  std::mt19937 random_{20260101};
};

}  // namespace chainrule
