// Uniform random numbers in bulk.
#pragma once

#include <cstdint>

#include "base/philox.h"

namespace chainrule::cpu {

/// out[i] = stream.uniform(i) as a float, for i in [begin, end): the same bits wherever the range
/// is cut.  out points at element 0.
void uniform(const PhiloxStream& stream, float* out, std::int64_t begin, std::int64_t end);

}  // namespace chainrule::cpu
