// Reductions, softmax and the cross-entropies on the CPU: one line in the table for each op.
#include <cmath>
#include <numbers>
#include <string>

#include "backend/cpu/kernels/instruction.h"
#include "backend/cpu/kernels/moments.h"
#include "backend/cpu/kernels/random.h"
#include "backend/cpu/kernels/reduce.h"
#include "backend/cpu/kernels/softmax.h"
#include "backend/cpu/program/slices.h"
#include "chainrule/error.h"

namespace chainrule::cpu {
namespace {

// ── sum and max ──────────────────────────────────────────────────────────────

// A reduction of neighbouring axes, as [outer, reduced, inner]; others are done axis by axis
// before.
struct Block {
  std::int64_t outer = 1;
  std::int64_t reduced = 1;
  std::int64_t inner = 1;
};

bool neighbours(const std::vector<std::int64_t>& axes) {
  for (std::size_t i = 1; i < axes.size(); ++i) {
    if (axes[i] != axes[i - 1] + 1) return false;
  }
  return true;
}

Block block_of(const Shape& x, const std::vector<std::int64_t>& axes) {
  Block block;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(x.size()); ++i) {
    const std::int64_t extent = x[static_cast<std::size_t>(i)];
    if (axes.empty() || i < axes.front()) {
      block.outer *= extent;
    } else if (i <= axes.back()) {
      block.reduced *= extent;
    } else {
      block.inner *= extent;
    }
  }
  return block;
}

// The scale serves means; a maximum has none.
using ReduceKernel = void (*)(const float* x, float* out, const ReduceRange& range, float scale);

void max_kernel(const float* x, float* out, const ReduceRange& range, float) { max(x, out, range); }

void reduce(const Machine& machine, ReduceKernel kernel, const Block& b, const float* x, float* out,
            float scale) {
  // Whole outer slices where there are several, else columns: 16 floats are a cache line.
  if (b.outer > 1) {
    const std::int64_t slice = std::max<std::int64_t>(1, b.reduced * b.inner);
    for_each_chunk(machine, b.outer, std::max<std::int64_t>(1, kElementsPerChunk / slice),
                   [&](std::int64_t begin, std::int64_t end, int) {
                     kernel(x, out, {b.reduced, b.inner, begin, end, 0, b.inner}, scale);
                   });
    return;
  }
  const std::int64_t columns = std::max<std::int64_t>(
      16, kElementsPerChunk / std::max<std::int64_t>(1, b.reduced) / 16 * 16);
  for_each_chunk(machine, b.inner, columns, [&](std::int64_t begin, std::int64_t end, int) {
    kernel(x, out, {b.reduced, b.inner, 0, b.outer, begin, end}, scale);
  });
}

// What a sum is multiplied by to be a mean; 1 for all but a mean.
float scale_of(const Binding& binding) {
  if (!is(binding.node, "mean")) return 1;
  return static_cast<float>(static_cast<double>(binding.out[0].size()) /
                            static_cast<double>(binding.in[0].size()));
}

// A sum of everything, which any number of threads share: partial sums of fixed chunks, joined by a
// fixed tree.
InstructionPtr lower_full_sum(const Binding& binding) {
  const std::int64_t count = binding.in[0].size();
  const std::int64_t chunks = sum_chunk_count(count);
  InstructionPtr made = instruction([x = binding.in[0], out = binding.out[0], count, chunks,
                                     scale = scale_of(binding)](const Machine& machine) {
    float* partials = reinterpret_cast<float*>(machine.scratch_of(0));
    for_each_chunk(machine, chunks, 4, [&](std::int64_t begin, std::int64_t end, int) {
      sum_chunks(x.f32(), count, begin, end, partials);
    });
    *out.f32() = scale * sum_partials(partials, chunks);
  });
  made->scratch_bytes = static_cast<std::size_t>(chunks) * sizeof(float);
  return made;
}

template <ReduceKernel kernel>
InstructionPtr lower_reduction(const Binding& binding) {
  const std::vector<std::int64_t>& axes = binding.node.integers("axes");
  const Shape& shape = binding.in[0].shape();
  if (neighbours(axes)) {
    const Block block = block_of(shape, axes);
    return instruction([block, x = binding.in[0], out = binding.out[0],
                        scale = scale_of(binding)](const Machine& machine) {
      reduce(machine, kernel, block, x.f32(), out.f32(), scale);
    });
  }
  // The last run of neighbouring axes first, into scratch; then the rest.
  std::vector<std::vector<std::int64_t>> runs;
  for (const std::int64_t axis : axes) {
    if (runs.empty() || runs.back().back() + 1 != axis) runs.emplace_back();
    runs.back().push_back(axis);
  }
  std::vector<Block> blocks;
  Shape left = shape;
  std::int64_t largest = 0;
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    blocks.push_back(block_of(left, *run));
    for (const std::int64_t axis : *run) left[static_cast<std::size_t>(axis)] = 1;
    largest = std::max(largest, element_count(left));
  }
  InstructionPtr made = instruction([blocks, largest, x = binding.in[0], out = binding.out[0],
                                     scale = scale_of(binding)](const Machine& machine) {
    float* scratch = reinterpret_cast<float*>(machine.scratch);
    const float* from = x.f32();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      float* to = i + 1 == blocks.size() ? out.f32() : scratch + (i % 2 == 0 ? 0 : largest);
      reduce(machine, kernel, blocks[i], from, to, i + 1 == blocks.size() ? scale : 1.0F);
      from = to;
    }
  });
  made->scratch_bytes = static_cast<std::size_t>(2 * largest) * sizeof(float);
  return made;
}

// A sum for each channel over all examples and pixels, slice by slice and then over the slices.
class ChannelSums final : public Sliced {
 public:
  ChannelSums(const Binding& binding, std::int64_t examples)
      : Sliced(examples),
        x_(binding.in[0]),
        out_(binding.out[0]),
        scale_(scale_of(binding)),
        channels_(out_.size()),
        totals_(channels_) {
    scratch_bytes = static_cast<std::size_t>(channels_) * sizeof(float);
  }
  void run_part(const SlicePart& part) const override {
    if (channels_ == 0) return;
    const std::int64_t of_one = x_.size() / slices().examples;
    const ReduceRange range{
        (part.end - part.begin) * of_one / channels_, channels_, 0, 1, 0, channels_};
    float* const own = reinterpret_cast<float*>(part.scratch());
    sum(part.f32(x_) + part.begin * of_one, own, range);
    totals_.add(own, part);
  }
  void after(const Machine&) const override { totals_.finish(out_.f32(), scale_); }

 private:
  Operand x_, out_;
  float scale_;
  std::int64_t channels_;
  SliceTotals totals_;
};

InstructionPtr lower_sum(const Binding& binding) {
  if (const std::int64_t examples = sliced_examples(binding.node); examples > 0) {
    return std::make_unique<ChannelSums>(binding, examples);
  }
  const bool everything = binding.out[0].size() == 1 && binding.in[0].size() > kSumChunk;
  return everything ? lower_full_sum(binding) : lower_reduction<sum>(binding);
}

// ── variance ─────────────────────────────────────────────────────────────────

// A variance for each channel, as ChannelSums.
class ChannelVariances final : public Sliced {
 public:
  ChannelVariances(const Binding& binding, std::int64_t examples)
      : Sliced(examples),
        x_(binding.in[0]),
        out_(binding.out[0]),
        channels_(out_.size()),
        parts_(DType::kF32, {Slices::kCount, Moments::kArrays, channels_}) {
    scratch_bytes = static_cast<std::size_t>(Moments::kArrays) *
                    static_cast<std::size_t>(channels_) * sizeof(float);
  }
  void run_part(const SlicePart& part) const override {
    if (channels_ == 0) return;
    const std::int64_t rows = rows_before(slices().begin(part.slice));
    Moments moments = of_slice(part.slice, rows_before(part.begin) - rows);
    const std::int64_t begin = rows_before(part.begin);
    add_rows(part.f32(x_) + begin * channels_, rows_before(part.end) - begin, channels_, channels_,
             moments, reinterpret_cast<float*>(part.scratch()));
  }
  void after(const Machine&) const override {
    Moments all = of_slice(0, rows_of_slice(0));
    for (std::int64_t slice = 1; slice < Slices::kCount; ++slice) {
      add_moments(of_slice(slice, rows_of_slice(slice)), channels_, all);
    }
    variances(all, channels_, out_.f32());
  }

 private:
  std::int64_t rows_before(std::int64_t example) const {
    return channels_ == 0 ? 0 : example * (x_.size() / slices().examples / channels_);
  }
  std::int64_t rows_of_slice(std::int64_t slice) const {
    return rows_before(slices().end(slice)) - rows_before(slices().begin(slice));
  }
  // A slice's moments, of which so many rows are done.
  Moments of_slice(std::int64_t slice, std::int64_t rows) const {
    float* const memory = parts_.values<float>().data() + slice * Moments::kArrays * channels_;
    return Moments::at(memory, channels_, rows);
  }

  Operand x_, out_;
  std::int64_t channels_;
  mutable Tensor parts_;
};

bool is_over_last_axis(const Node& node) {
  const std::vector<std::int64_t>& axes = node.integers("axes");
  const Shape& x = node.inputs[0].shape();
  return axes.size() == 1 && axes[0] == static_cast<std::int64_t>(x.size()) - 1 && x.back() > 0;
}

bool has_variance_kernel(const Node& node) {
  if (is_over_last_axis(node) || sliced_examples(node) > 0) return true;
  return neighbours(node.integers("axes")) && element_count(node.inputs[0].shape()) > 0;
}

InstructionPtr lower_row_variances(const Operand& x, const Operand& out, std::int64_t columns) {
  return instruction([=](const Machine& machine) {
    const std::int64_t rows = x.size() / columns;
    for_each_chunk(machine, rows, rows_per_chunk(columns),
                   [&](std::int64_t begin, std::int64_t end, int) {
                     row_variances(x.f32(), out.f32(), columns, begin, end);
                   });
  });
}

// Over neighbouring axes before the last, some columns at a time.
InstructionPtr lower_column_variances(const Operand& x, const Operand& out, const Block& b) {
  constexpr std::int64_t kColumns = 64;
  const std::int64_t pieces = (b.inner + kColumns - 1) / kColumns;
  InstructionPtr made = instruction([=](const Machine& machine) {
    for_each_chunk(machine, b.outer * pieces, rows_per_chunk(b.reduced * kColumns),
                   [&](std::int64_t begin, std::int64_t end, int worker) {
                     float* const own = reinterpret_cast<float*>(machine.scratch_of(worker));
                     for (std::int64_t piece = begin; piece < end; ++piece) {
                       const std::int64_t o = piece / pieces;
                       const std::int64_t column = piece % pieces * kColumns;
                       const std::int64_t n = std::min(kColumns, b.inner - column);
                       Moments moments = Moments::at(own, n);
                       add_rows(x.f32() + o * b.reduced * b.inner + column, b.reduced, n, b.inner,
                                moments, own + Moments::kArrays * n);
                       variances(moments, n, out.f32() + o * b.inner + column);
                     }
                   });
  });
  made->scratch_bytes = 2 * static_cast<std::size_t>(Moments::kArrays * kColumns) * sizeof(float);
  return made;
}

InstructionPtr lower_variance(const Binding& binding) {
  if (is_over_last_axis(binding.node)) {
    return lower_row_variances(binding.in[0], binding.out[0], columns_of(binding.in[0]));
  }
  if (const std::int64_t examples = sliced_examples(binding.node); examples > 0) {
    return std::make_unique<ChannelVariances>(binding, examples);
  }
  const Block block = block_of(binding.in[0].shape(), binding.node.integers("axes"));
  if (block.inner == 1) return lower_row_variances(binding.in[0], binding.out[0], block.reduced);
  return lower_column_variances(binding.in[0], binding.out[0], block);
}

// ── argmax ───────────────────────────────────────────────────────────────────

InstructionPtr lower_argmax(const Binding& binding) {
  return instruction([x = binding.in[0], out = binding.out[0]](const Machine& machine) {
    const std::int64_t columns = columns_of(x);
    for_each_chunk(machine, rows_of(x), rows_per_chunk(columns),
                   [&](std::int64_t begin, std::int64_t end, int) {
                     argmax(x.f32(), out.mutable_i32(), columns, begin, end);
                   });
  });
}

// ── softmax ──────────────────────────────────────────────────────────────────

using RowKernel = void (*)(const float* x, float* y, std::int64_t columns, std::int64_t begin,
                           std::int64_t end);
using RowGradientKernel = void (*)(const float* y, const float* dy, float* dx, std::int64_t columns,
                                   std::int64_t begin, std::int64_t end);

template <RowKernel kernel>
InstructionPtr lower_rows(const Binding& binding) {
  return instruction([x = binding.in[0], y = binding.out[0]](const Machine& machine) {
    const std::int64_t columns = columns_of(x);
    for_each_chunk(machine, rows_of(x), rows_per_chunk(columns),
                   [&](std::int64_t begin, std::int64_t end, int) {
                     kernel(x.f32(), y.f32(), columns, begin, end);
                   });
  });
}

template <RowGradientKernel kernel>
InstructionPtr lower_rows_backward(const Binding& binding) {
  return instruction(
      [y = binding.in[0], dy = binding.in[1], dx = binding.out[0]](const Machine& machine) {
        const std::int64_t columns = columns_of(y);
        for_each_chunk(machine, rows_of(y), rows_per_chunk(columns),
                       [&](std::int64_t begin, std::int64_t end, int) {
                         kernel(y.f32(), dy.f32(), dx.f32(), columns, begin, end);
                       });
      });
}

// ── softmax_cross_entropy ────────────────────────────────────────────────────

[[noreturn]] void bad_label(const Operand& labels, std::int64_t row, std::int64_t classes) {
  throw DataError("label " + std::to_string(labels.i32()[row]) + " in row " + std::to_string(row) +
                  " of the batch is not in 0 … " + std::to_string(classes - 1));
}

// On the calling thread: losses are computed once a step on few numbers, and a bad label must be
// reported from here.
InstructionPtr lower_softmax_cross_entropy(const Binding& binding) {
  const auto smoothing = static_cast<float>(binding.node.real("smoothing"));
  return instruction([x = binding.in[0], target = binding.in[1], losses = binding.out[0],
                      smoothing](const Machine&) {
    const std::int64_t columns = columns_of(x);
    const CrossEntropyOutputs outputs{.losses = losses.f32()};
    if (target.dtype() == DType::kF32) {
      cross_entropy(x.f32(), target.f32(), smoothing, outputs, columns, 0, rows_of(x));
      return;
    }
    const std::int64_t bad =
        cross_entropy(x.f32(), target.i32(), smoothing, outputs, columns, 0, rows_of(x));
    if (bad >= 0) bad_label(target, bad, columns);
  });
}

InstructionPtr lower_cross_entropy(const Binding& binding) {
  const auto epsilon = static_cast<float>(binding.node.real("epsilon"));
  return instruction([p = binding.in[0], target = binding.in[1], losses = binding.out[0],
                      epsilon](const Machine&) {
    probability_cross_entropy(p.f32(), target.f32(), epsilon, losses.f32(), columns_of(p), 0,
                              rows_of(p));
  });
}

InstructionPtr lower_softmax_cross_entropy_backward(const Binding& binding) {
  const auto smoothing = static_cast<float>(binding.node.real("smoothing"));
  return instruction([x = binding.in[0], target = binding.in[1], dy = binding.in[2],
                      dx = binding.out[0], smoothing](const Machine& machine) {
    const std::int64_t columns = columns_of(x);
    const auto rows = [&](std::int64_t begin, std::int64_t end, int) {
      softmax(x.f32(), dx.f32(), columns, begin, end);
      for (std::int64_t row = begin; row < end; ++row) {
        const float scale = dy.f32()[row];
        if (target.dtype() == DType::kF32) {
          cross_entropy_gradient(dx.f32(), target.f32(), smoothing, scale, dx.f32(), columns, row,
                                 row + 1);
        } else {
          // A bad label was reported by the forward pass.
          cross_entropy_gradient(dx.f32(), target.i32(), smoothing, scale, dx.f32(), columns, row,
                                 row + 1);
        }
      }
    };
    for_each_chunk(machine, rows_of(x), rows_per_chunk(columns), rows);
  });
}

// ── random numbers ───────────────────────────────────────────────────────────

void normal(const PhiloxStream& stream, float* out, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const double radius = std::sqrt(-2 * std::log(1 - stream.uniform(2 * at)));
    const double angle = 2 * std::numbers::pi * stream.uniform(2 * at + 1);
    out[i] = static_cast<float>(radius * std::cos(angle));
  }
}

using RandomKernel = void (*)(const PhiloxStream& stream, float* out, std::int64_t begin,
                              std::int64_t end);

template <RandomKernel kernel>
InstructionPtr lower_random(const Binding& binding) {
  const PhiloxStream stream{static_cast<std::uint64_t>(binding.node.integer("seed")),
                            static_cast<std::uint32_t>(binding.node.integer("stream")), 0};
  return instruction([stream, step = binding.in[0], out = binding.out[0]](const Machine& machine) {
    PhiloxStream now = stream;
    now.step = static_cast<std::uint32_t>(*step.f32());
    for_each_chunk(
        machine, out.size(), kElementsPerChunk,
        [&](std::int64_t begin, std::int64_t end, int) { kernel(now, out.f32(), begin, end); });
  });
}

constexpr Kernel kKernels[] = {
    {"sum", lower_sum},
    {"mean", lower_sum},
    {"variance", lower_variance, has_variance_kernel},
    {"max", lower_reduction<max_kernel>},
    {"argmax", lower_argmax},
    {"softmax", lower_rows<softmax>},
    {"softmax_backward", lower_rows_backward<softmax_gradient>},
    {"log_softmax", lower_rows<log_softmax>},
    {"log_softmax_backward", lower_rows_backward<log_softmax_gradient>},
    {"cross_entropy", lower_cross_entropy},
    {"softmax_cross_entropy", lower_softmax_cross_entropy},
    {"softmax_cross_entropy_backward", lower_softmax_cross_entropy_backward},
    {"random_uniform", lower_random<uniform>},
    {"random_normal", lower_random<normal>},
};

}  // namespace

std::span<const Kernel> dense_kernels() { return kKernels; }

}  // namespace chainrule::cpu
