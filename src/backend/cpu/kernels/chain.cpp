// Building a chain: liveness, scratch rows, and which results may be written straight to memory.
#include "backend/cpu/kernels/chain.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "chainrule/error.h"

namespace chainrule::cpu {
namespace {

constexpr std::int64_t kLargestBlock = 512;
constexpr std::int64_t kSmallestBlock = 32;
constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

bool may_alias_output(const ChainOperand& operand) {
  return operand.inner == 1 && operand.period != 1;
}

// Whether a block of the input may have to be spread out.
bool needs_row(const ChainOperand& operand) {
  return operand.period > 1 || (operand.inner > 1 && operand.period == 0);
}

}  // namespace

Chain::Register Chain::append(const Value& value) {
  if (values_.size() >= std::numeric_limits<Register>::max()) {
    throw Error("elementwise chain: expected fewer than 65535 values; split the chain");
  }
  values_.push_back(value);
  return static_cast<Register>(values_.size() - 1);
}

Chain::Register Chain::add_input(ChainOperand operand) {
  program_.inputs.push_back({operand, 0, false});
  Value value;
  value.index = static_cast<std::uint16_t>(program_.inputs.size() - 1);
  value.uniform = operand.period == 1;
  return append(value);
}

Chain::Register Chain::add_constant(float constant) {
  ChainProgram::Splat splat;
  std::fill(std::begin(splat.value), std::end(splat.value), constant);
  program_.constants.push_back(splat);
  Value value;
  value.kind = Value::Kind::kConstant;
  value.index = static_cast<std::uint16_t>(program_.constants.size() - 1);
  value.uniform = true;
  return append(value);
}

Chain::Register Chain::add(Fn fn, Register a, Register b, Register c) {
  const int count = operand_count(fn);
  // Unused operands repeat the first, so that nothing below needs to ask how many there are.
  if (count < 2) b = a;
  if (count < 3) c = a;
  for (const Register operand : {a, b, c}) {
    if (operand >= values_.size()) {
      throw Error("elementwise chain: expected an operand below " + std::to_string(values_.size()) +
                  ", got " + std::to_string(operand));
    }
  }
  Value value;
  value.kind = Value::Kind::kResult;
  value.fn = fn;
  value.a = a;
  value.b = b;
  value.c = c;
  value.uniform = values_[a].uniform && values_[b].uniform && values_[c].uniform;
  return append(value);
}

void Chain::add_output(Register value) {
  if (value >= values_.size()) {
    throw Error("elementwise chain: expected an output register below " +
                std::to_string(values_.size()) + ", got " + std::to_string(value));
  }
  outputs_.push_back(value);
}

void Chain::mark_used() {
  for (const Register output : outputs_) values_[output].used = true;
  for (std::size_t i = values_.size(); i-- > 0;) {
    const Value& value = values_[i];
    if (!value.used || value.kind != Value::Kind::kResult) continue;
    for (const Register operand : {value.a, value.b, value.c}) values_[operand].used = true;
  }
}

// For every value the output that it is written to directly, or kNowhere. An output may share its
// memory with a full input, so a result goes straight there only if no input is read after it.
std::vector<std::size_t> Chain::direct_outputs() const {
  std::size_t last_read = 0;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const Value& value = values_[i];
    if (!value.used || value.kind != Value::Kind::kResult) continue;
    for (const Register operand : {value.a, value.b, value.c}) {
      const Value& read = values_[operand];
      if (read.kind == Value::Kind::kInput && may_alias_output(program_.inputs[read.index].operand))
        last_read = i;
    }
  }
  std::vector<std::size_t> output_of(values_.size(), kNowhere);
  for (std::size_t k = 0; k < outputs_.size(); ++k) {
    const Register result = outputs_[k];
    const Value& value = values_[result];
    if (value.kind == Value::Kind::kResult && !value.uniform && result >= last_read &&
        output_of[result] == kNowhere) {
      output_of[result] = k;
    }
  }
  return output_of;
}

// The longest block whose rows fit the scratch; a whole multiple of the periods where possible, so
// that a repeated row is spread out once and not per block.
void Chain::choose_block() {
  std::int64_t rows = program_.row_count;
  for (ChainProgram::Input& input : program_.inputs) {
    if (needs_row(input.operand)) input.row = rows++;
  }
  const auto splats = static_cast<std::int64_t>(program_.uniform_count + program_.inputs.size());
  const std::int64_t room = static_cast<std::int64_t>(kChainScratch) - splats * 16;
  std::int64_t block = kLargestBlock;
  if (rows > 0) block = std::min(block, room / rows - kChainRowPadding);
  block = block / 16 * 16;
  if (block < kSmallestBlock || program_.slot_count() > kChainSlots) {
    throw Error("elementwise chain: expected at most about 100 values at once, got " +
                std::to_string(program_.slot_count()) + "; split the chain");
  }
  std::int64_t common = 1;
  for (const ChainProgram::Input& input : program_.inputs) {
    const std::int64_t period = input.operand.period;
    if (input.operand.inner != 1 || period <= 1 || period > block) continue;
    const std::int64_t both = std::lcm(common, period);
    if (both <= block) common = both;
  }
  program_.block = block / common * common;
  for (ChainProgram::Input& input : program_.inputs) {
    const std::int64_t period = input.operand.period;
    input.phase_stable = input.operand.inner == 1 && period > 1 && program_.block % period == 0;
  }
}

ChainInstruction Chain::instruction(const Value& value) const {
  return {value.fn, value.slot, values_[value.a].slot, values_[value.b].slot,
          values_[value.c].slot};
}

// Gives every used value its slot: rows are handed on from a value to the next as soon as the first
// has been read for the last time.
void Chain::place(const std::vector<std::size_t>& output_of) {
  std::vector<std::size_t> last_use(values_.size(), 0);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const Value& value = values_[i];
    if (!value.used || value.kind != Value::Kind::kResult) continue;
    for (const Register operand : {value.a, value.b, value.c}) last_use[operand] = i;
  }
  for (std::size_t k = 0; k < outputs_.size(); ++k) {
    if (output_of[outputs_[k]] != k) last_use[outputs_[k]] = kNowhere;
  }

  // First by kind, then, once the number of rows is known, as slots.
  std::vector<std::uint16_t> free_rows;
  std::vector<std::uint16_t> row_of(values_.size(), 0);
  const auto in_row = [&](const Value& value, std::size_t i) {
    return value.kind == Value::Kind::kResult && value.used && !value.uniform &&
           output_of[i] == kNowhere;
  };
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const Value& value = values_[i];
    if (!value.used || value.kind != Value::Kind::kResult) continue;
    if (value.uniform) {
      row_of[i] = program_.uniform_count++;
      continue;
    }
    for (const Register operand : {value.a, value.b, value.c}) {
      if (in_row(values_[operand], operand) && last_use[operand] == i) {
        free_rows.push_back(row_of[operand]);
        last_use[operand] = 0;  // an operand that stands twice is freed once
      }
    }
    if (output_of[i] != kNowhere) continue;
    if (free_rows.empty()) free_rows.push_back(program_.row_count++);
    row_of[i] = free_rows.back();
    free_rows.pop_back();
  }
  program_.output_count = static_cast<std::uint16_t>(outputs_.size());

  for (std::size_t i = 0; i < values_.size(); ++i) {
    Value& value = values_[i];
    std::size_t slot = 0;
    if (value.kind == Value::Kind::kConstant) {
      slot = value.index;
    } else if (value.kind == Value::Kind::kInput) {
      slot = program_.first_input() + value.index;
    } else if (value.uniform) {
      slot = program_.first_uniform() + row_of[i];
    } else if (output_of[i] != kNowhere) {
      slot = program_.first_output() + output_of[i];
    } else {
      slot = program_.first_row() + row_of[i];
    }
    value.slot = static_cast<std::uint16_t>(slot);
  }
}

void Chain::finish() {
  if (outputs_.empty()) throw Error("elementwise chain: expected at least one output, got none");
  // An output that is itself an input becomes a copy, which then follows the rules of results.
  for (Register& output : outputs_) {
    if (values_[output].kind == Value::Kind::kInput && !values_[output].uniform) {
      output = add(Fn::kCopy, output);
    }
  }
  mark_used();
  const std::vector<std::size_t> output_of = direct_outputs();
  place(output_of);
  choose_block();
  for (const Value& value : values_) {
    if (!value.used || value.kind != Value::Kind::kResult) continue;
    (value.uniform ? program_.uniform : program_.body).push_back(instruction(value));
  }
  for (std::size_t k = 0; k < outputs_.size(); ++k) {
    if (output_of[outputs_[k]] == k) continue;
    const auto slot = static_cast<std::uint16_t>(program_.first_output() + k);
    const std::uint16_t from = values_[outputs_[k]].slot;
    program_.body.push_back({Fn::kCopy, slot, from, from, from});
  }
}

void Chain::run(const float* const* inputs, float* const* outputs, std::int64_t begin,
                std::int64_t end) const {
  run_chain(program_, inputs, outputs, begin, end);
}

void Chain::run_apart(const float* const* inputs, float* const* outputs, std::int64_t begin,
                      std::int64_t end) const {
  run_chain(program_, inputs, outputs, begin, end, begin);
}

void Chain::run_rectangle(const float* const* inputs, float* const* outputs,
                          const Rectangle& rectangle, std::int64_t row_length, const float* block,
                          std::int64_t block_stride) const {
  run_chain(program_, inputs, outputs, rectangle, row_length, block, block_stride);
}

}  // namespace chainrule::cpu
