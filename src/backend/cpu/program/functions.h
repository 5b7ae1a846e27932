// The elementwise ops by the names that chains and tiny programs give them.
#pragma once

#include <optional>

#include "backend/cpu/simd/function.h"
#include "chainrule/graph.h"

namespace chainrule::cpu {

/// The function that an elementwise op computes, or none when the op is not elementwise here.
std::optional<Fn> function_of(const Node& node);

}  // namespace chainrule::cpu
