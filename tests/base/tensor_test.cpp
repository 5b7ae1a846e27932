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

TEST_CASE("a product of extents that no memory holds is refused, not taken modulo 2⁶⁴") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({3, 0, 5}) == 0);
  CHECK(element_count({std::int64_t{1} << 21, std::int64_t{1} << 22}) == std::int64_t{1} << 43);
  // The first has 4 elements modulo 2⁶⁴, the second none.
  for (const Shape& shape :
       {Shape{4, 5, 5581, 8681, 49477, 384773},
        Shape{8, std::int64_t{1} << 31, std::int64_t{1} << 30},
        Shape{std::int64_t{1} << 22, std::int64_t{1} << 22}, Shape{std::int64_t{1} << 62, 4, 0}}) {
    CHECK_THROWS_AS(element_count(shape), ShapeError);
    CHECK_THROWS_AS(Tensor(DType::kF32, shape), ShapeError);
  }
  CHECK_THROWS_WITH_AS(
      element_count({4, 5, 5581, 8681, 49477, 384773}),
      "shape [4, 5, 5581, 8681, 49477, 384773] has 1.84e+19 elements, more than any memory holds",
      ShapeError);
  CHECK_THROWS_WITH_AS(element_count({2, -1}), "shape [2, -1] has a negative extent", ShapeError);
}
