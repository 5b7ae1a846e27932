// Which parameters stay as they are.
#pragma once

#include <algorithm>
#include <vector>

#include "chainrule/nn.h"

namespace chainrule {

inline bool is_frozen(const ParameterInfo& info, const std::vector<std::size_t>& layers) {
  return std::find(layers.begin(), layers.end(), info.layer) != layers.end();
}

}  // namespace chainrule
