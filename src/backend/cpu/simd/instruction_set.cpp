#include "backend/cpu/simd/instruction_set.h"

#include <hwy/targets.h>

#include <cstdlib>

#include "chainrule/error.h"

namespace chainrule::cpu {
namespace {

struct InstructionSet {
  std::string_view name;
  std::int64_t target;
};

#ifdef HWY_NEON_WITHOUT_AES
constexpr std::int64_t kNeon = HWY_NEON | HWY_NEON_WITHOUT_AES;
#else
constexpr std::int64_t kNeon = HWY_NEON;
#endif

// The best first, as Highway's numbers have it: a smaller one is a better one.
constexpr InstructionSet kInstructionSets[] = {
    {"avx512", HWY_AVX3},
    {"avx2", HWY_AVX2},
    {"sse4", HWY_SSE4},
    {"neon", kNeon},
    {"plain", HWY_EMU128 | HWY_SCALAR},
};

std::string names_of(std::int64_t targets) {
  std::string names;
  for (const InstructionSet& set : kInstructionSets) {
    if ((set.target & targets) == 0) continue;
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  return names;
}

}  // namespace

std::int64_t targets_for(std::string_view name, std::int64_t supported) {
  for (const InstructionSet& set : kInstructionSets) {
    if (set.name != name) continue;
    if ((set.target & supported) == 0) {
      throw UsageError("CHAINRULE_SIMD: this machine has no " + std::string(name) + "; it has " +
                       names_of(supported));
    }
    const std::int64_t better = (set.target & -set.target) - 1;
    return supported & ~better;
  }
  throw UsageError("CHAINRULE_SIMD: expected one of " + names_of(supported) + ", got \"" +
                   std::string(name) + "\"");
}

std::string name_of_best(std::int64_t targets) {
  for (const InstructionSet& set : kInstructionSets) {
    if ((set.target & targets) != 0) return std::string(set.name);
  }
  return "plain";
}

std::string_view named_instruction_set() {
  const char* const name = std::getenv("CHAINRULE_SIMD");
  return name == nullptr ? "" : name;
}

// hwy::SupportedTargets() undoes the choice: it chooses anew, by what the machine has. So it is
// asked here alone, and before the choice.
std::int64_t choose_instruction_set() {
  static const std::int64_t kChosen = [] {
    std::int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
    if (const std::string_view name = named_instruction_set(); !name.empty()) {
      targets = targets_for(name, targets);
      hwy::DisableTargets(~targets);
    }
    hwy::GetChosenTarget().Update(targets);
    return targets;
  }();
  return kChosen;
}

}  // namespace chainrule::cpu
