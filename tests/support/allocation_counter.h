// Counts the allocations of the test program, to pin that a compiled step makes none.
#pragma once

#include <cstdint>

namespace chainrule {

/// False under a sanitizer, whose own operator new must stay; allocations() is then always 0.
extern const bool kCountsAllocations;

/// How often operator new has been called, by any thread, since the program began.
std::int64_t allocations();

}  // namespace chainrule
