// What the workloads are built with: random numbers that are the same on every run.
#pragma once

#include <cmath>

#include "backend/cpu/kernels/random.h"
#include "chainrule/tensor.h"

namespace chainrule::bench {

// Uniform numbers of mean 0 and the given standard deviation; each call has a stream of its own.
class Numbers {
 public:
  Tensor uniform(const Shape& shape, double deviation) {
    Tensor tensor(DType::kF32, shape);
    const std::span<float> values = tensor.values<float>();
    cpu::uniform({1, stream_++, 0}, values.data(), 0, tensor.size());
    const auto width = static_cast<float>(std::sqrt(12.0) * deviation);
    for (float& x : values) x = (x - 0.5F) * width;
    return tensor;
  }
  Tensor labels(const Shape& shape, std::int64_t classes) {
    Tensor tensor(DType::kI32, shape);
    const PhiloxStream stream{1, stream_++, 0};
    std::uint64_t at = 0;
    for (std::int32_t& t : tensor.values<std::int32_t>()) {
      t = static_cast<std::int32_t>(stream.uniform(at++) * static_cast<double>(classes));
    }
    return tensor;
  }

 private:
  std::uint32_t stream_ = 0;
};

}  // namespace chainrule::bench
