// NumPy's legacy RandomState: MT19937 and the distributions as NumPy froze them. Every expression
// stands in NumPy's order of evaluation, because the last bit counts; CMakeLists.txt compiles this
// file without fused multiply-add for the same reason.
#include "chainrule/random.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "chainrule/error.h"

namespace chainrule {

RandomState::RandomState(std::uint32_t seed) {
  for (std::uint32_t i = 0; i < kWords; ++i) {
    words_[i] = seed;
    seed = 1812433253U * (seed ^ (seed >> 30)) + i + 1;
  }
}

void RandomState::refill() {
  constexpr std::size_t kShift = 397;
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint32_t joined =
        (words_[i] & 0x80000000U) | (words_[(i + 1) % kWords] & 0x7fffffffU);
    words_[i] = words_[(i + kShift) % kWords] ^ (joined >> 1) ^ ((joined & 1U) * 0x9908b0dfU);
  }
  position_ = 0;
}

std::uint32_t RandomState::next32() {
  if (position_ == kWords) refill();
  std::uint32_t y = words_[position_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680U;
  y ^= (y << 15) & 0xefc60000U;
  return y ^ (y >> 18);
}

std::uint64_t RandomState::next64() {
  const std::uint64_t high = next32();
  return (high << 32) | next32();
}

// Uniform in 0 … limit: the draw is masked to the limit's bit width and repeated until it fits. A
// limit of 0 takes no draw.
std::uint64_t RandomState::at_most(std::uint64_t limit) {
  if (limit == 0) return 0;
  const std::uint64_t mask = ~std::uint64_t{0} >> std::countl_zero(limit);
  std::uint64_t value = 0;
  do {
    value = (limit <= 0xffffffffU ? next32() : next64()) & mask;
  } while (value > limit);
  return value;
}

double RandomState::rand() {
  const std::uint32_t high = next32() >> 5;
  const std::uint32_t low = next32() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

Tensor RandomState::rand(const Shape& shape) {
  Tensor result(DType::kF64, shape);
  for (double& value : result.values<double>()) value = rand();
  return result;
}

double RandomState::randn() {
  if (has_cached_normal_) {
    has_cached_normal_ = false;
    return cached_normal_;
  }
  double x = 0;
  double y = 0;
  double radius = 0;
  do {
    x = 2.0 * rand() - 1.0;
    y = 2.0 * rand() - 1.0;
    radius = x * x + y * y;
  } while (radius >= 1.0 || radius == 0.0);
  const double scale = std::sqrt(-2.0 * std::log(radius) / radius);
  cached_normal_ = scale * x;
  has_cached_normal_ = true;
  return scale * y;
}

Tensor RandomState::randn(const Shape& shape) {
  Tensor result(DType::kF64, shape);
  for (double& value : result.values<double>()) value = randn();
  return result;
}

std::vector<std::int64_t> RandomState::permutation(std::int64_t n) {
  if (n < 0) throw UsageError("permutation: expected n of at least 0, got " + std::to_string(n));
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  shuffle(order);
  return order;
}

void RandomState::shuffle(std::span<std::int64_t> values) {
  if (values.empty()) return;
  for (std::size_t i = values.size() - 1; i > 0; --i) std::swap(values[i], values[at_most(i)]);
}

std::vector<std::int64_t> RandomState::randint(std::int64_t low, std::int64_t high,
                                               std::int64_t count) {
  if (low >= high) {
    throw UsageError("randint: expected low < high, got " + std::to_string(low) + " and " +
                     std::to_string(high));
  }
  if (count < 0) {
    throw UsageError("randint: expected a count of at least 0, got " + std::to_string(count));
  }
  const std::uint64_t offset = static_cast<std::uint64_t>(low);
  const std::uint64_t limit = static_cast<std::uint64_t>(high) - offset - 1;
  std::vector<std::int64_t> result(static_cast<std::size_t>(count));
  for (std::int64_t& value : result) value = static_cast<std::int64_t>(offset + at_most(limit));
  return result;
}

}  // namespace chainrule
