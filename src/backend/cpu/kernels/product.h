// What a matrix product and a convolution have in common: a result seen as a matrix, cut into
// rectangles that threads compute independently and that a chain may finish while they are in
// cache.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/kernels/rectangle.h"
#include "backend/threads/thread_pool.h"

namespace chainrule::cpu {

class ProductPlan {
 public:
  ProductPlan() = default;
  ProductPlan(const ProductPlan&) = default;
  ProductPlan(ProductPlan&&) = default;
  ProductPlan& operator=(const ProductPlan&) = default;
  ProductPlan& operator=(ProductPlan&&) = default;
  virtual ~ProductPlan() = default;

  /// The columns of the whole result.
  virtual std::int64_t columns() const = 0;
  /// How many rectangles; they depend on the shapes alone. 0 if the result is empty.
  virtual std::int64_t chunks() const = 0;
  virtual Rectangle block(std::int64_t chunk) const = 0;
  /// Elements of the largest rectangle.
  virtual std::int64_t largest_block() const = 0;
  /// Bytes of scratch memory that each thread needs, 64-byte aligned.
  virtual std::size_t scratch_bytes() const = 0;
  /// Multiply-adds of the whole product, times two.
  virtual double flop() const = 0;

  /// Arranges the second operand for all chunks of one run.
  virtual void prepare(const float* b, ThreadPool& pool) const {
    static_cast<void>(b);
    static_cast<void>(pool);
  }

  /// Computes one rectangle into c, whose rows lie ldc floats apart; every element is written.
  virtual void run(std::int64_t chunk, const float* a, const float* b, float* c, std::int64_t ldc,
                   std::byte* scratch) const = 0;
};

}  // namespace chainrule::cpu
