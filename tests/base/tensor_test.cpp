#include "chainrule/tensor.h"

#include <doctest/doctest.h>

#include <cstdint>

#include "chainrule/error.h"

using namespace chainrule;

TEST_CASE("a tensor owns aligned, zeroed numbers and copies deeply") {
  Tensor x(DType::kF32, {3, 5});
  CHECK(x.size() == 15);
  CHECK(reinterpret_cast<std::uintptr_t>(x.data()) % 64 == 0);
  for (const float v : x.values<float>()) CHECK(v == 0.0F);
  Tensor y = x;
  y.values<float>()[7] = 2.5F;
  CHECK(x.values<float>()[7] == 0.0F);
}

TEST_CASE("a tensor names both sides of a mismatch") {
  CHECK_THROWS_WITH_AS(Tensor::of<float>({2, 2}, {1, 2, 3}),
                       "tensor: shape [2, 2] holds 4 values, got 3", ShapeError);
  Tensor x(DType::kI32, {2});
  CHECK_THROWS_WITH_AS(x.values<float>(), "tensor: expected dtype f32, got i32", ShapeError);
}

TEST_CASE("conversion between dtypes keeps the numbers") {
  const Tensor x = Tensor::of<double>({3}, {1.5, -2.0, 3.0});
  CHECK(x.as(DType::kF32).values<float>()[0] == 1.5F);
  CHECK(x.as(DType::kI32).values<std::int32_t>()[1] == -2);
}
