// What every kernel test needs: each instruction set in turn, arrays with sentinels past both ends
// at any misalignment, and distances counted in units in the last place.
#pragma once

#include <doctest/doctest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace chainrule::cpu {

/// Calls `test` once for every instruction set that this machine has.
template <class Test>
void for_each_target(const Test& test) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    INFO("target " << std::string(hwy::TargetName(target)));
    test();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// n elements, `misalignment` of them past a 64-byte boundary, between two sentinels.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::int64_t n, std::int64_t misalignment = 0, T fill = unset())
      : n_(n), storage_(static_cast<std::size_t>(n + 2 * kMargin + 32), kSentinel) {
    auto address = reinterpret_cast<std::uintptr_t>(storage_.data() + kMargin);
    while (address % 64 != 0) address += sizeof(T);
    first_ = static_cast<std::int64_t>(
                 (address - reinterpret_cast<std::uintptr_t>(storage_.data())) / sizeof(T)) +
             misalignment % 16;
    for (std::int64_t i = 0; i < n; ++i) (*this)[i] = fill;
  }
  Guarded(std::initializer_list<T> values) : Guarded(static_cast<std::int64_t>(values.size())) {
    std::int64_t i = 0;
    for (const T value : values) (*this)[i++] = value;
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  T* data() { return storage_.data() + first_; }
  T& operator[](std::int64_t i) { return data()[i]; }
  std::int64_t size() const { return n_; }
  /// Whether nothing was written outside the array.
  bool intact() const {
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(storage_.size()); ++i) {
      if ((i < first_ || i >= first_ + n_) && storage_[static_cast<std::size_t>(i)] != kSentinel)
        return false;
    }
    return true;
  }
  std::vector<T> values() { return std::vector<T>(data(), data() + n_); }

 private:
  static constexpr T unset() {
    using Limits = std::numeric_limits<T>;
    return Limits::has_quiet_NaN ? Limits::quiet_NaN() : Limits::lowest();
  }
  static constexpr std::int64_t kMargin = 32;
  static constexpr T kSentinel = T(-7654321);
  std::int64_t n_;
  std::int64_t first_ = 0;
  std::vector<T> storage_;
};

/// Fills with numbers from a fixed stream, uniform in [low, high).
inline void fill_random(Guarded<float>& x, float low, float high, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  for (std::int64_t i = 0; i < x.size(); ++i) x[i] = uniform(random);
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// How many units in the last place of the float nearest to `expected` lie between the two. NaN
/// and infinities must agree.
inline double ulp_distance(float got, double expected) {
  const auto rounded = static_cast<float>(expected);
  if (std::isnan(expected)) return std::isnan(got) ? 0 : 1e30;
  if (std::isinf(rounded) || std::isinf(got)) return got == rounded ? 0 : 1e30;
  if (std::isnan(got)) return 1e30;
  int exponent = 0;
  std::frexp(rounded == 0.0F ? 0x1p-149F : rounded, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::abs(static_cast<double>(got) - expected) / unit;
}

/// Whether the two differ by no more than `relative` of `scale`, or of the expected value.
inline bool near(float got, double expected, double relative, double scale = 0) {
  if (std::isnan(expected)) return std::isnan(got);
  if (std::isinf(expected)) return static_cast<double>(got) == expected;
  return std::abs(static_cast<double>(got) - expected) <=
         relative * std::max(std::abs(expected), scale) + 1e-37;
}

}  // namespace chainrule::cpu
