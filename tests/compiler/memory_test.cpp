#include "compiler/memory.h"

#include <doctest/doctest.h>

#include <random>

using namespace chainrule;

TEST_CASE("buffers alive together never overlap, and the arena is close to the least possible") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Lifetime> buffers(1 + random() % 40);
    for (Lifetime& b : buffers) {
      b.bytes = random() % 5000;
      b.first = random() % 30;
      b.last = b.first + random() % 8;
    }
    const MemoryPlan plan = plan_memory(buffers);
    std::size_t least = 0;
    for (std::size_t step = 0; step < 40; ++step) {
      std::size_t alive = 0;
      for (const Lifetime& b : buffers) {
        if (b.first <= step && step <= b.last) alive += (b.bytes + 63) / 64 * 64;
      }
      least = std::max(least, alive);
    }
    CHECK(plan.bytes >= least);
    CHECK(plan.bytes <= 2 * least);
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      CHECK(plan.offsets[i] % 64 == 0);
      for (std::size_t j = 0; j < i; ++j) {
        const bool together =
            buffers[i].first <= buffers[j].last && buffers[j].first <= buffers[i].last;
        const bool apart = plan.offsets[i] + buffers[i].bytes <= plan.offsets[j] ||
                           plan.offsets[j] + buffers[j].bytes <= plan.offsets[i];
        CHECK((!together || apart));
      }
    }
  }
}
