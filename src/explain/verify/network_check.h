// The comparison of one result of the CPU backend with the reference's.
#pragma once

#include <span>
#include <string>

#include "chainrule/gradient_check.h"

namespace chainrule {

/// A float32 result beside the reference's, of which `rounding` says by how much each element may
/// differ. The entry that is reported is the one that differs by the largest multiple of that.
///
/// requires  equal shapes, and one number of `rounding` for each element.
BackendCheck compared(std::string what, std::string name, const Tensor& cpu,
                      const Tensor& reference, std::span<const double> rounding);

}  // namespace chainrule
