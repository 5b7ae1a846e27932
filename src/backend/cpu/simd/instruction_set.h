// The instruction set that the kernels run on: the best that the machine has, or the one that the
// environment variable CHAINRULE_SIMD names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace chainrule::cpu {

/// Highway's targets, of those in `supported`, that a name leaves to choose from: that of the name
/// and what is simpler.
///
/// throws  UsageError for a name that is unknown or whose instruction set is not in `supported`.
std::int64_t targets_for(std::string_view name, std::int64_t supported);

/// The name of the best instruction set among Highway's targets: "avx512", "avx2", "sse4", "neon"
/// or "plain".
std::string name_of_best(std::int64_t targets);

/// Makes the kernels run on what CHAINRULE_SIMD names, where it is set and not empty. The first
/// call decides; it must come before a kernel is looked up in its table, whose first entry would be
/// found otherwise, the one that detects the machine at every call. Returns Highway's targets that
/// are left to choose from.
///
/// throws  UsageError as targets_for().
std::int64_t choose_instruction_set();

/// What CHAINRULE_SIMD names, or nothing. Where it names something, a library that chooses for
/// itself must not compute.
std::string_view named_instruction_set();

}  // namespace chainrule::cpu
