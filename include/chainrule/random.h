// NumPy's legacy random numbers, bit for bit, so that a notebook's numbers can be reproduced.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "chainrule/tensor.h"

namespace chainrule {

/// The generator behind np.random.seed(n), np.random.rand, randn, permutation, shuffle and randint:
/// the Mersenne Twister MT19937 with NumPy's legacy distributions.
///
/// ensures  the same seed and the same calls in the same order give the same bits as NumPy's
///          RandomState on x86-64 (randn and rand as float64; integers as int64).
/// source   Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998); NumPy, NEP 19.
///
/// Example:  RandomState random(42);
///           Tensor w = random.randn({2, 3});   // np.random.seed(42); np.random.randn(2, 3)
class RandomState {
 public:
  /// The state after np.random.seed(seed).
  explicit RandomState(std::uint32_t seed);

  /// A uniform number in [0, 1), a multiple of 2⁻⁵³.
  double rand();

  /// Uniform numbers in [0, 1), row-major, f64.
  Tensor rand(const Shape& shape);

  /// A standard normal number, by Marsaglia's polar method; every second call returns the cached
  /// partner of the one before, also when other draws lie in between.
  double randn();

  /// Standard normal numbers, row-major, f64.
  Tensor randn(const Shape& shape);

  /// The numbers 0 … n-1 in random order.
  ///
  /// requires  n ≥ 0.
  /// throws    UsageError when n is negative.
  std::vector<std::int64_t> permutation(std::int64_t n);

  /// Puts `values` into random order, as np.random.shuffle does with a 1-d array.
  void shuffle(std::span<std::int64_t> values);

  /// `count` whole numbers, uniform in [low, high).
  ///
  /// requires  low < high and count ≥ 0.
  /// throws    UsageError naming the bounds.
  std::vector<std::int64_t> randint(std::int64_t low, std::int64_t high, std::int64_t count);

 private:
  static constexpr std::size_t kWords = 624;

  void refill();
  std::uint32_t next32();
  std::uint64_t next64();
  std::uint64_t at_most(std::uint64_t limit);

  std::array<std::uint32_t, kWords> words_;
  std::size_t position_ = kWords;
  double cached_normal_ = 0;
  bool has_cached_normal_ = false;
};

}  // namespace chainrule
