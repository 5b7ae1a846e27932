// Angles so far from 0 that their multiple of π/2 has more digits than a double.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// An angle as n·π/2 + rest, |rest| ≤ π/4; n modulo 4.
struct FarAngle {
  std::int32_t n = 0;
  float rest = 0;
};

/// requires  x is finite and |x| ≥ 2²⁵.
FarAngle far_angle(float x);

}  // namespace chainrule::cpu
