// Lowering: an optimised graph becomes a list of instructions over slots, with a memory plan.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/kernels/instruction.h"
#include "chainrule/program.h"
#include "compiler/passes.h"

namespace chainrule::cpu {

/// An array by name, at a boundary of the program.
struct NamedSlot {
  Slot* slot = nullptr;
  Type type;
};

/// Everything that a Program holds while it lives.
struct Code {
  GraphPtr graph;  // what the instructions compute, after all passes
  std::deque<Slot> slots;
  std::vector<InstructionPtr> compute;  // outputs and everything before the updates
  std::vector<InstructionPtr> apply;    // the updates, which change parameters
  std::map<std::string, NamedSlot, std::less<>> inputs;
  std::map<std::string, NamedSlot, std::less<>> outputs;
  std::shared_ptr<Parameters> parameters;
  std::vector<Tensor> owned;  // inputs and constants, and last the arena
  std::size_t arena_bytes = 0;
  std::size_t scratch_bytes = 0;     // for each thread
  std::size_t shared_bytes = 0;      // for all of them together
  std::vector<std::string> listing;  // one line an instruction
};

/// Runs the passes, plans the memory and binds every instruction. With `tiny`, a graph whose arrays
/// all have at most sixteen numbers becomes a TinyProgram.
///
/// throws  UsageError when a parameter is missing; ShapeError when one has another shape; Error
///         when an op has neither kernel nor expansion.
Code lower(const Graph& graph, const std::shared_ptr<Parameters>& parameters, bool tiny = true);

}  // namespace chainrule::cpu
