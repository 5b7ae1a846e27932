// Executing a chain: each block resolves its inputs to pointers (in place where the memory is
// contiguous, one splatted vector where it is a single number, spread out into a scratch row
// otherwise), then runs one loop per instruction over the block.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/chain_run.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/cpu/kernels/chain.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/functions-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// Where an operand stands: element i is at p[i & mask]. A mask of 0 makes every vector read the
/// same 16 copies of one number, so that a constant costs no memory stream and no second loop.
/// `padded` memory of ours may be read and written a whole vector at a time past the last element:
/// a masked store followed by a masked load of the same place stalls.
struct Slot {
  float* p;  // only a destination is written
  std::size_t mask;
  bool padded;
};
constexpr std::size_t kAll = ~std::size_t{0};

/// Rows of a rectangle up to so long are run several at a time.
constexpr std::int64_t kNarrow = 256;

HWY_INLINE Slot in_memory(const float* p) { return {const_cast<float*>(p), kAll, false}; }
HWY_INLINE Slot one_number(const float* p) { return {const_cast<float*>(p), 0, true}; }

HWY_INLINE V load_part(const Slot& slot, std::size_t i, Part part) {
  const float* const p = slot.p + (i & slot.mask);
  return slot.padded ? Whole{}.load(p) : part.load(p);
}

template <Fn fn>
HWY_NOINLINE void loop(const Slot& slot_a, const Slot& slot_b, const Slot& slot_c, const Slot& dst,
                       std::size_t n) {
  constexpr int kOperands = operand_count(fn);
  // Copies, since a store through `to` could otherwise change what the references see.
  const Slot a = slot_a;
  const Slot b = kOperands > 1 ? slot_b : slot_a;
  const Slot c = kOperands > 2 ? slot_c : slot_a;
  float* const to = dst.p;
  const std::size_t step = lanes();
  std::size_t i = 0;
  for (; i + step <= n; i += step) {
    const V va = hn::LoadU(kFloats, a.p + (i & a.mask));
    const V vb = kOperands > 1 ? hn::LoadU(kFloats, b.p + (i & b.mask)) : va;
    const V vc = kOperands > 2 ? hn::LoadU(kFloats, c.p + (i & c.mask)) : va;
    hn::StoreU(apply<fn>(va, vb, vc), kFloats, to + i);
  }
  if (i == n) return;
  const Part part{n - i};
  const V va = load_part(a, i, part);
  const V vb = kOperands > 1 ? load_part(b, i, part) : va;
  const V vc = kOperands > 2 ? load_part(c, i, part) : va;
  const V result = apply<fn>(va, vb, vc);
  if (dst.padded) {
    hn::StoreU(result, kFloats, to + i);
  } else {
    part.store(result, to + i);
  }
}

using Loop = void (*)(const Slot&, const Slot&, const Slot&, const Slot&, std::size_t);

template <class>
struct LoopTable;
template <std::size_t... I>
struct LoopTable<std::index_sequence<I...>> {
  static constexpr Loop kLoops[] = {&loop<static_cast<Fn>(I)>...};
};
using Loops = LoopTable<std::make_index_sequence<kFnCount>>;

HWY_INLINE void execute(const std::vector<ChainInstruction>& instructions, const Slot* slots,
                        std::size_t n) {
  for (const ChainInstruction& it : instructions) {
    Loops::kLoops[static_cast<std::size_t>(it.fn)](slots[it.a], slots[it.b], slots[it.c],
                                                   slots[it.dst], n);
  }
}

HWY_INLINE void splat(float value, float* to) {
  const V v = set(value);
  for (std::size_t i = 0; i < 16; i += lanes()) hn::StoreU(v, kFloats, to + i);
}

/// Writes elements [at, at + n) of a repeated row: the first period by copying, then by doubling.
void spread_row(const float* data, std::int64_t period, std::int64_t at, std::int64_t n,
                float* to) {
  std::int64_t phase = at % period;
  if (n <= 16) {  // fewer elements than calls to memcpy cost
    for (std::int64_t i = 0; i < n; ++i) {
      to[i] = data[phase];
      if (++phase == period) phase = 0;
    }
    return;
  }
  std::int64_t done = std::min(n, period - phase);
  std::memcpy(to, data + phase, static_cast<std::size_t>(done) * sizeof(float));
  if (done < n) {
    const std::int64_t rest = std::min(n - done, phase);
    std::memcpy(to + done, data, static_cast<std::size_t>(rest) * sizeof(float));
    done += rest;
  }
  while (done < n) {
    // `done` is a multiple of the period from here on.
    const std::int64_t more = std::min(n - done, done);
    std::memcpy(to + done, to, static_cast<std::size_t>(more) * sizeof(float));
    done += more;
  }
}

/// Writes elements [at, at + n) of an operand whose every number stands `inner` times. Writes whole
/// vectors, up to 15 floats past the end.
void spread_runs(const float* data, const ChainOperand& operand, std::int64_t at, std::int64_t n,
                 float* to) {
  const auto step = static_cast<std::int64_t>(lanes());
  std::int64_t left = operand.inner - at % operand.inner;  // of the present run
  std::int64_t k = at / operand.inner;
  if (operand.period > 0) k %= operand.period;
  for (std::int64_t i = 0; i < n;) {
    const V v = set(data[k]);
    const std::int64_t end = std::min(n, i + left);
    for (std::int64_t j = i; j < end; j += step) hn::StoreU(v, kFloats, to + j);
    i = end;
    left = operand.inner;
    if (++k == operand.period) k = 0;
  }
}

HWY_INLINE void copy_row(const float* from, float* to, std::int64_t n) {
  sweep(static_cast<std::size_t>(n),
        [&](std::size_t i, auto access) HWY_ATTR { access.store(access.load(from + i), to + i); });
}

HWY_INLINE void fill_row(float value, float* to, std::int64_t n) {
  const V v = set(value);
  sweep(static_cast<std::size_t>(n),
        [&](std::size_t i, auto access) HWY_ATTR { access.store(v, to + i); });
}

/// Whether every row of a matrix with rows of row_length reads a stretch of each input.
HWY_INLINE bool can_gather(const ChainProgram& program, std::int64_t row_length) {
  return std::all_of(program.inputs.begin(), program.inputs.end(),
                     [&](const ChainProgram::Input& input) {
                       const ChainOperand& o = input.operand;
                       return o.period == 1 || o.inner == row_length ||
                              (o.inner == 1 && o.period % row_length == 0);
                     });
}

/// The state of one call: the slots, and the scratch they point into.
class Frame {
 public:
  HWY_INLINE Frame(const ChainProgram& program, const float* const* inputs, float* const* outputs,
                   std::int64_t outputs_begin)
      : program_(program), inputs_(inputs), outputs_(outputs), outputs_begin_(outputs_begin) {
    Slot* slot = slots_;
    for (const ChainProgram::Splat& constant : program.constants)
      *slot++ = one_number(constant.value);
    float* free = scratch_;
    for (std::size_t i = 0; i < program.uniform_count; ++i, free += 16) *slot++ = one_number(free);
    splats_ = free;
    for (std::size_t k = 0; k < program.inputs.size(); ++k, free += 16) {
      if (program.inputs[k].operand.period == 1) splat(inputs[k][0], free);
      *slot++ = one_number(free);
    }
    rows_ = free;
    float* next = free;
    for (std::size_t i = 0; i < program.row_count; ++i, next += program.block + kChainRowPadding)
      *slot++ = {next, kAll, true};
    for (std::size_t k = 0; k < program.output_count; ++k) *slot++ = in_memory(nullptr);
    if (!program.uniform.empty()) execute(program.uniform, slots_, 16);
  }

  /// Computes elements [at, at + n), n ≤ block, all of matrix row `matrix_row` when row_length > 0
  /// (then `column` is that of the first). `first` marks the first block of a contiguous run.
  HWY_INLINE void run_block(std::int64_t at, std::int64_t n, bool first, const float* private_input,
                            std::int64_t row_length, std::int64_t matrix_row, std::int64_t column) {
    const std::size_t count = program_.inputs.size();
    Slot* const slots = slots_ + program_.first_input();
    for (std::size_t k = 0; k < count; ++k) {
      const ChainProgram::Input& input = program_.inputs[k];
      const std::int64_t period = input.operand.period;
      if (period == 1) continue;
      const float* const data = inputs_[k];
      if (input.operand.inner == 1) {
        if (k == 0 && private_input != nullptr) {
          slots[k] = in_memory(private_input);
          continue;
        }
        if (period == 0) {
          slots[k] = in_memory(data + at);
          continue;
        }
        if (!first && input.phase_stable) continue;
        const std::int64_t phase = period == row_length ? column : at % period;
        if (phase + n <= period) {
          slots[k] = in_memory(data + phase);
        } else {
          spread_row(data, period, at, n, row(input.row));
          slots[k] = in_memory(row(input.row));
        }
        continue;
      }
      resolve_runs(k, at, n, row_length, matrix_row, column);
    }
    Slot* const out = slots_ + program_.first_output();
    for (std::size_t k = 0; k < program_.output_count; ++k)
      out[k].p = outputs_[k] + (at - outputs_begin_);
    execute(program_.body, slots_, static_cast<std::size_t>(n));
  }

  // Rows [row, row + rows) of the rectangle's columns, side by side: what lies apart in memory is
  // copied to `pieces`, a row of `capacity` floats for each input and output. A call for every row
  // would cost more than the work on a row of 32 or 64 numbers.
  //
  // requires  can_gather(), rows · columns ≤ program.block, capacity.
  HWY_INLINE void run_gathered(const Rectangle& r, std::int64_t row, std::int64_t rows,
                               std::int64_t row_length, const float* block, bool first,
                               float* pieces, std::int64_t capacity) {
    const std::size_t count = program_.inputs.size();
    for (std::size_t k = 0; k < count; ++k, pieces += capacity) {
      const ChainOperand& operand = program_.inputs[k].operand;
      if (operand.period == 1) continue;
      Slot& slot = slots_[program_.first_input() + k];
      if (k == 0 && block != nullptr) {
        slot = in_memory(block);
        continue;
      }
      slot = Slot{pieces, kAll, true};
      if (operand.inner == 1 && operand.period == row_length && !first) continue;
      for (std::int64_t i = 0; i < rows; ++i) {
        float* const to = pieces + i * r.columns;
        if (operand.inner == row_length) {
          const std::int64_t m = operand.period > 0 ? (row + i) % operand.period : row + i;
          fill_row(inputs_[k][m], to, r.columns);
        } else {
          const std::int64_t at = (row + i) * row_length + r.column;
          copy_row(inputs_[k] + (operand.period > 0 ? at % operand.period : at), to, r.columns);
        }
      }
    }
    Slot* const out = slots_ + program_.first_output();
    for (std::size_t k = 0; k < program_.output_count; ++k) {
      out[k] = Slot{pieces + static_cast<std::int64_t>(k) * capacity, kAll, true};
    }
    execute(program_.body, slots_, static_cast<std::size_t>(rows * r.columns));
    for (std::size_t k = 0; k < program_.output_count; ++k) {
      for (std::int64_t i = 0; i < rows; ++i) {
        copy_row(out[k].p + i * r.columns, outputs_[k] + (row + i) * row_length + r.column,
                 r.columns);
      }
    }
  }

 private:
  HWY_INLINE float* row(std::int64_t index) {
    return rows_ + index * (program_.block + kChainRowPadding);
  }

  HWY_INLINE void resolve_runs(std::size_t k, std::int64_t at, std::int64_t n,
                               std::int64_t row_length, std::int64_t matrix_row,
                               std::int64_t column) {
    const ChainProgram::Input& input = program_.inputs[k];
    const std::int64_t inner = input.operand.inner;
    const bool by_row = inner == row_length;
    std::int64_t run = by_row ? matrix_row : at / inner;
    const std::int64_t phase = by_row ? column : at - run * inner;
    Slot& slot = slots_[program_.first_input() + k];
    if (phase + n <= inner) {
      if (input.operand.period > 0 && run >= input.operand.period) run %= input.operand.period;
      float* const to = splats_ + k * 16;
      splat(inputs_[k][run], to);
      slot = one_number(to);
    } else {
      spread_runs(inputs_[k], input.operand, at, n, row(input.row));
      slot = in_memory(row(input.row));
    }
  }

  const ChainProgram& program_;
  const float* const* inputs_;
  float* const* outputs_;
  std::int64_t outputs_begin_;  // the element at which they point
  float* splats_;
  float* rows_;
  Slot slots_[kChainSlots];
  alignas(64) float scratch_[kChainScratch];
};

/// Elements [begin, end); input 0 is `private_input`, whose first number is element `begin`, unless
/// that is null. The outputs point at element `outputs_begin`.
void run_range(const ChainProgram& program, const float* const* inputs, float* const* outputs,
               std::int64_t begin, std::int64_t end, const float* private_input,
               std::int64_t outputs_begin) {
  if (begin >= end) return;
  Frame frame(program, inputs, outputs, outputs_begin);
  for (std::int64_t at = begin; at < end; at += program.block) {
    const float* const block = private_input == nullptr ? nullptr : private_input + (at - begin);
    frame.run_block(at, std::min(program.block, end - at), at == begin, block, 0, 0, 0);
  }
}

void run_rectangle(const ChainProgram& program, const float* const* inputs, float* const* outputs,
                   const Rectangle& rectangle, std::int64_t row_length, const float* block,
                   std::int64_t block_stride) {
  if (rectangle.rows <= 0 || rectangle.columns <= 0) return;
  if (rectangle.columns == row_length && (block == nullptr || block_stride == row_length)) {
    // Whole rows are one range, which saves short rows a call each.
    const std::int64_t begin = rectangle.row * row_length;
    run_range(program, inputs, outputs, begin, begin + rectangle.rows * row_length, block, 0);
    return;
  }
  Frame frame(program, inputs, outputs, 0);
  const auto arrays = static_cast<std::int64_t>(program.inputs.size() + program.output_count);
  const std::int64_t capacity = static_cast<std::int64_t>(kChainScratch) / arrays / 16 * 16;
  const std::int64_t together = std::min(program.block, capacity - 16) / rectangle.columns;
  const bool block_fits = block == nullptr || block_stride == rectangle.columns;
  if (together > 1 && rectangle.columns <= kNarrow && block_fits &&
      can_gather(program, row_length)) {
    alignas(64) float pieces[kChainScratch];
    for (std::int64_t r = 0; r < rectangle.rows; r += together) {
      frame.run_gathered(rectangle, rectangle.row + r, std::min(together, rectangle.rows - r),
                         row_length, block == nullptr ? nullptr : block + r * block_stride, r == 0,
                         pieces, capacity);
    }
    return;
  }
  for (std::int64_t r = 0; r < rectangle.rows; ++r) {
    const std::int64_t row = rectangle.row + r;
    for (std::int64_t done = 0; done < rectangle.columns; done += program.block) {
      const std::int64_t column = rectangle.column + done;
      const std::int64_t n = std::min(program.block, rectangle.columns - done);
      frame.run_block(row * row_length + column, n, true,
                      block == nullptr ? nullptr : block + r * block_stride + done, row_length, row,
                      column);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(run_range);
HWY_EXPORT(run_rectangle);

void run_chain(const ChainProgram& program, const float* const* inputs, float* const* outputs,
               std::int64_t begin, std::int64_t end, std::int64_t outputs_begin) {
  chosen(HWY_DISPATCH_TABLE(run_range))(program, inputs, outputs, begin, end, nullptr,
                                        outputs_begin);
}

void run_chain(const ChainProgram& program, const float* const* inputs, float* const* outputs,
               const Rectangle& rectangle, std::int64_t row_length, const float* block,
               std::int64_t block_stride) {
  chosen(HWY_DISPATCH_TABLE(run_rectangle))(program, inputs, outputs, rectangle, row_length, block,
                                            block_stride);
}

}  // namespace chainrule::cpu
#endif
