// What the kernels that are classes have in common: an object is bound to its arrays once, plans
// its memory, and is called on every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "backend/cpu/kernels/instruction.h"

namespace chainrule::cpu {

/// Memory handed out piece by piece, each on a cache line.
class Pieces {
 public:
  std::int64_t take(std::int64_t floats) {
    const std::int64_t at = used_;
    used_ += (floats + 15) / 16 * 16;
    return at;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(used_) * sizeof(float); }

 private:
  std::int64_t used_ = 0;
};

/// The instruction that calls a Pass made of the arguments; it states its memory and its flop.
template <typename Pass, typename... Arguments>
InstructionPtr lower_pass(const Arguments&... arguments) {
  Pass pass(arguments...);
  const std::size_t shared = pass.shared_bytes();
  const std::size_t scratch = pass.scratch_bytes();
  const double flop = pass.flop();
  InstructionPtr made = instruction(std::move(pass));
  made->shared_bytes = shared;
  made->scratch_bytes = scratch;
  made->flop = flop;
  return made;
}

}  // namespace chainrule::cpu
