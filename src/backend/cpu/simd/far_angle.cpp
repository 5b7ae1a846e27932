// A float is m·2ᵉ with an integer m, so of 2/π only the bits count that m·2ᵉ moves near the point:
// those above give multiples of four, those below nothing.
// Source: Payne & Hanek, 1983.
#include "backend/cpu/simd/far_angle.h"

#include <bit>

namespace chainrule::cpu {
namespace {

// The bits of 2/π behind the point, enough for 2¹²⁷.
constexpr std::uint64_t kTwoOverPi[] = {0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0,
                                        0xDB629599, 0x3C439041, 0xFE5163AB, 0xDEBBC561};

// 32 bits of 2/π from the given one on.
std::uint64_t bits_from(std::uint32_t bit) {
  const std::uint64_t two_words = kTwoOverPi[bit / 32] << 32 | kTwoOverPi[bit / 32 + 1];
  return two_words >> (32 - bit % 32) & 0xFFFFFFFF;
}

}  // namespace

FarAngle far_angle(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint64_t m = (bits & 0x7FFFFF) | 0x800000;
  const std::uint32_t e = (bits >> 23 & 0xFF) - 150;
  // From bit e − 2 on, the first two have the weights 2 and 1: this is x / (π/2) modulo 4, counted
  // in 2⁻⁶². What lies below is too little to matter: no float is nearer to a multiple than 2⁻³⁰.
  const std::uint32_t first = e - 2;
  const std::uint64_t quarters =
      (m * bits_from(first) << 32) + m * bits_from(first + 32) + (m * bits_from(first + 64) >> 32);
  const std::uint64_t n = (quarters + (std::uint64_t{1} << 61)) >> 62;
  const auto rest = static_cast<std::int64_t>(quarters - (n << 62));
  constexpr double kUnit = 1.5707963267948966 * 0x1p-62;
  FarAngle angle{static_cast<std::int32_t>(n & 3),
                 static_cast<float>(static_cast<double>(rest) * kUnit)};
  if (x < 0) angle = {-angle.n, -angle.rest};
  return angle;
}

}  // namespace chainrule::cpu
