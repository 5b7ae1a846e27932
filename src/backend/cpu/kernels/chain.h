// Fused elementwise chains: a small straight-line program over registers, run block by block so
// that its intermediate values stay in the L1 cache and memory is passed over once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/cpu/kernels/rectangle.h"
#include "backend/cpu/simd/function.h"

namespace chainrule::cpu {

/// How an input is spread over the iteration space: element i is data[(i / inner) % period].
///
/// A period of 0 never wraps.
///
///     full       inner 1, period 0     scalar         period 1
///     row [N]    inner 1, period N     column [M, 1]  inner N, period M
struct ChainOperand {
  std::int64_t inner = 1;
  std::int64_t period = 0;
};

/// One step of a finished chain; dst, a, b and c are slots (see ChainProgram).
struct ChainInstruction {
  Fn fn = Fn::kCopy;
  std::uint16_t dst = 0;
  std::uint16_t a = 0;
  std::uint16_t b = 0;
  std::uint16_t c = 0;
};

/// What a finished chain executes. Slots are numbered: constants, then uniform results (one number
/// for the whole run), inputs, scratch rows, outputs.
struct ChainProgram {
  struct alignas(64) Splat {
    float value[16];
  };
  struct Input {
    ChainOperand operand;
    std::int64_t row = 0;       // the scratch row that it may be spread out in
    bool phase_stable = false;  // the same in every block, so that it is spread out only once
  };
  std::vector<Splat> constants;
  std::vector<Input> inputs;
  std::vector<ChainInstruction> uniform;  // run once per call
  std::vector<ChainInstruction> body;     // run on every block
  std::uint16_t uniform_count = 0;
  std::uint16_t row_count = 0;  // scratch rows of intermediate values
  std::uint16_t output_count = 0;
  std::int64_t block = 0;  // elements

  std::size_t first_uniform() const { return constants.size(); }
  std::size_t first_input() const { return first_uniform() + uniform_count; }
  std::size_t first_row() const { return first_input() + inputs.size(); }
  std::size_t first_output() const { return first_row() + row_count; }
  std::size_t slot_count() const { return first_output() + output_count; }
};

/// A fused elementwise program: built once, then run any number of times from any thread.
///
/// Example:  y = relu(x + bias), bias [N] along the last axis
///     Chain chain;
///     const auto x = chain.add_input({});
///     const auto bias = chain.add_input({.inner = 1, .period = n});
///     chain.add_output(chain.add(Fn::kRelu, chain.add(Fn::kAdd, x, bias)));
///     chain.finish();
///     chain.run(inputs, outputs, 0, m * n);
class Chain {
 public:
  using Register = std::uint16_t;

  Register add_input(ChainOperand operand);
  Register add_constant(float value);
  /// The register that holds fn of its operands; operands beyond operand_count(fn) are ignored.
  ///
  /// throws  Error for an operand that is not a register of this chain.
  Register add(Fn fn, Register a, Register b = 0, Register c = 0);
  /// The next output, in the order of `outputs` in run(), is this register.
  void add_output(Register value);
  /// Drops unused values, places the rest in scratch rows; nothing may be added after it.
  ///
  /// throws  Error for a chain without outputs, or one of more than about 100 values at once.
  void finish();

  /// Computes elements [begin, end) of every output. The bits of an element do not depend on where
  /// the range starts or ends.
  ///
  /// inputs[k] and outputs[k] point at element 0 of the k-th input and output.
  /// requires  finish() was called; an output either equals a full input's pointer (in place) or
  ///           overlaps nothing else that the chain reads or writes.
  void run(const float* const* inputs, float* const* outputs, std::int64_t begin,
           std::int64_t end) const;

  /// The same where outputs[k] points at element `begin`.
  void run_apart(const float* const* inputs, float* const* outputs, std::int64_t begin,
                 std::int64_t end) const;

  /// Computes the elements of a rectangle of the iteration space, seen as a row-major matrix with
  /// rows of `row_length`: element (r, c) is number r·row_length + c.
  ///
  /// With `block` given, input 0 is not inputs[0] but a private buffer that holds only the
  /// rectangle: its element (r, c) is block[(r − rectangle.row)·block_stride + c −
  /// rectangle.column], and input 0 must have been added as full. All other inputs and all outputs
  /// are whole arrays, as in run().
  void run_rectangle(const float* const* inputs, float* const* outputs, const Rectangle& rectangle,
                     std::int64_t row_length, const float* block = nullptr,
                     std::int64_t block_stride = 0) const;

  std::size_t input_count() const { return program_.inputs.size(); }
  std::size_t output_count() const { return outputs_.size(); }
  const ChainProgram& program() const { return program_; }

 private:
  struct Value {
    enum class Kind : std::uint8_t { kInput, kConstant, kResult } kind = Kind::kInput;
    Fn fn = Fn::kCopy;
    Register a = 0, b = 0, c = 0;  // of a result
    std::uint16_t index = 0;       // of an input or a constant
    bool uniform = false;
    bool used = false;
    std::uint16_t slot = 0;
  };

  Register append(const Value& value);
  void mark_used();
  std::vector<std::size_t> direct_outputs() const;
  void choose_block();
  void place(const std::vector<std::size_t>& output_of);
  ChainInstruction instruction(const Value& value) const;

  std::vector<Value> values_;
  std::vector<Register> outputs_;
  ChainProgram program_;
};

/// The most slots that a finished chain may have, and the floats of scratch that one run uses.
constexpr std::size_t kChainSlots = 160;
constexpr std::size_t kChainScratch = 8192;
/// Floats between the scratch rows of blocks: room for one vector past the end.
constexpr std::int64_t kChainRowPadding = 16;

/// The executor behind Chain::run and Chain::run_rectangle (chain_run.cpp).
void run_chain(const ChainProgram& program, const float* const* inputs, float* const* outputs,
               std::int64_t begin, std::int64_t end, std::int64_t outputs_begin = 0);
void run_chain(const ChainProgram& program, const float* const* inputs, float* const* outputs,
               const Rectangle& rectangle, std::int64_t row_length, const float* block,
               std::int64_t block_stride);

}  // namespace chainrule::cpu
