// The random part of mixup: with whom each row of a batch is mixed, and by how much.
#pragma once

#include <cstdint>
#include <span>

namespace chainrule {

/// A share from Beta(alpha, alpha), a function of (seed, step) alone.
///
/// Source: Marsaglia & Tsang, 2000, for the gamma distribution, of which it is made.
double mixup_share(double alpha, std::uint64_t seed, std::uint32_t step);

/// Fills `partner` with a random permutation of 0 … its size − 1, a function of (seed, step) alone.
void mixup_partners(std::span<std::int32_t> partner, std::uint64_t seed, std::uint32_t step);

}  // namespace chainrule
