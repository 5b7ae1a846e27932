// Philox 4×32-10, the counter-based generator: the numbers at a place depend only on (seed, stream,
// step, place), never on the order or the thread in which they are asked for.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace chainrule {

/// Four random 32-bit words for one counter and key.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                              std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
    const auto high = [](std::uint64_t p) { return static_cast<std::uint32_t>(p >> 32); };
    const auto low = [](std::uint64_t p) { return static_cast<std::uint32_t>(p); };
    counter = {high(p1) ^ counter[1] ^ key[0], low(p1), high(p0) ^ counter[3] ^ key[1], low(p0)};
    key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
  }
  return counter;
}

/// The stream of uniform numbers that one random node draws in one step.
struct PhiloxStream {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;  // tells apart the random nodes of one graph
  std::uint32_t step = 0;    // the training step

  /// Words 4·block … 4·block+3 of the stream.
  constexpr std::array<std::uint32_t, 4> words(std::uint64_t block) const {
    return philox(
        {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), stream, step},
        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  }

  /// Element `index` as a uniform number in [0, 1), a multiple of 2⁻²⁴, exact in float32.
  constexpr double uniform(std::uint64_t index) const {
    return (words(index / 4)[index % 4] >> 8) * 0x1p-24;
  }
};

}  // namespace chainrule
