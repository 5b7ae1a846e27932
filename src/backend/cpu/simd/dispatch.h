// The choice of the instruction set when a kernel is called.
#pragma once

#include <hwy/highway.h>

#include <cstddef>

namespace chainrule::cpu {

/// The kernel of a HWY_EXPORT table for this machine: what HWY_DYNAMIC_DISPATCH gives, without a
/// call into Highway's shared library, which is a fifth of what a kernel on six numbers costs.
///
/// Example:  chosen(HWY_DISPATCH_TABLE(sum_range))(x, out, range, scale);
template <typename Kernel, std::size_t kEntries>
Kernel chosen(Kernel const (&table)[kEntries]) {
  if constexpr (kEntries == 1) {
    return table[0];  // compiled for one instruction set alone
  } else {
    static hwy::ChosenTarget& target = hwy::GetChosenTarget();
    return table[target.GetIndex()];
  }
}

}  // namespace chainrule::cpu
