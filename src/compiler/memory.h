// The memory plan: which buffers may share the same bytes of one arena.
#pragma once

#include <cstddef>
#include <vector>

namespace chainrule {

/// A buffer that is written at step `first` and read for the last time at step `last`.
struct Lifetime {
  std::size_t bytes = 0;
  std::size_t first = 0;
  std::size_t last = 0;
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  // one a buffer, multiples of 64
  std::size_t bytes = 0;             // of the arena
};

/// Offsets such that buffers alive at the same step do not overlap, in little more than the largest
/// sum of bytes alive at once: the largest buffers are placed first, each in the lowest gap that
/// fits.
///
/// Source: Pisarchyk & Lee, "Efficient memory management for deep neural net inference", 2020.
MemoryPlan plan_memory(const std::vector<Lifetime>& buffers);

}  // namespace chainrule
