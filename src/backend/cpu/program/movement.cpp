// Ops that move numbers, on the CPU: strided copies and rows by index.
#include <string>

#include "backend/cpu/kernels/instruction.h"
#include "backend/cpu/kernels/move.h"
#include "chainrule/error.h"
#include "ops/index.h"

namespace chainrule::cpu {
namespace {

using Axes = std::vector<std::int64_t>;

void run_copy(const Machine& machine, const StridedCopy& strided, const float* from, float* to) {
  for_each_chunk(
      machine, strided.size(), kElementsPerChunk,
      [&](std::int64_t begin, std::int64_t end, int) { copy(strided, from, to, begin, end); });
}

InstructionPtr copy_instruction(const Binding& binding, const StridedCopy& strided,
                                std::int64_t from_offset) {
  return instruction(
      [strided, from_offset, x = binding.in[0], y = binding.out[0]](const Machine& machine) {
        run_copy(machine, strided, x.f32() + from_offset, y.f32());
      });
}

InstructionPtr lower_broadcast_to(const Binding& binding) {
  const Shape& x = binding.in[0].shape();
  const Shape& y = binding.out[0].shape();
  const Axes strides = strides_of(x);
  Axes from(y.size(), 0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] != 1) from[y.size() - x.size() + i] = strides[i];
  }
  return copy_instruction(binding, StridedCopy(y, from, strides_of(y)), 0);
}

InstructionPtr lower_transpose(const Binding& binding) {
  const Axes strides = strides_of(binding.in[0].shape());
  Axes from;
  for (const std::int64_t axis : binding.node.integers("permutation")) {
    from.push_back(strides[static_cast<std::size_t>(axis)]);
  }
  const Shape& y = binding.out[0].shape();
  return copy_instruction(binding, StridedCopy(y, from, strides_of(y)), 0);
}

std::int64_t offset_of(const Axes& at, const Axes& strides) {
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < at.size(); ++i) offset += at[i] * strides[i];
  return offset;
}

InstructionPtr lower_slice(const Binding& binding) {
  const Axes strides = strides_of(binding.in[0].shape());
  const Shape& y = binding.out[0].shape();
  return copy_instruction(binding, StridedCopy(y, strides, strides_of(y)),
                          offset_of(binding.node.integers("starts"), strides));
}

InstructionPtr lower_pad(const Binding& binding) {
  const Axes strides = strides_of(binding.out[0].shape());
  const Shape& x = binding.in[0].shape();
  const StridedCopy strided(x, strides_of(x), strides);
  const std::int64_t offset = offset_of(binding.node.integers("before"), strides);
  return instruction(
      [strided, offset, from = binding.in[0], y = binding.out[0]](const Machine& machine) {
        fill(y.f32(), 0.0F, 0, y.size());
        run_copy(machine, strided, from.f32(), y.f32() + offset);
      });
}

InstructionPtr lower_concatenate(const Binding& binding) {
  struct Part {
    StridedCopy strided;
    Operand from;
    std::int64_t offset;
  };
  const auto axis = static_cast<std::size_t>(binding.node.integer("axis"));
  const Axes strides = strides_of(binding.out[0].shape());
  std::vector<Part> parts;
  std::int64_t start = 0;
  for (const Operand& x : binding.in) {
    parts.push_back(
        {StridedCopy(x.shape(), strides_of(x.shape()), strides), x, start * strides[axis]});
    start += x.shape()[axis];
  }
  return instruction([parts, y = binding.out[0]](const Machine& machine) {
    for (const Part& part : parts) {
      run_copy(machine, part.strided, part.from.f32(), y.f32() + part.offset);
    }
  });
}

// ── rows by index ────────────────────────────────────────────────────────────

[[noreturn]] void bad_index(const Operand& indices, std::int64_t at, std::int64_t bound,
                            const char* what) {
  throw DataError(std::string(what) + " " + std::to_string(indices.i32()[at]) + " at position " +
                  std::to_string(at) + " is not in 0 … " + std::to_string(bound - 1));
}

std::int64_t row_width(const Operand& table) {
  std::int64_t width = 1;
  for (std::size_t i = 1; i < table.shape().size(); ++i) width *= table.shape()[i];
  return width;
}

InstructionPtr lower_gather(const Binding& binding) {
  return instruction([table = binding.in[0], indices = binding.in[1], y = binding.out[0],
                      width = row_width(binding.in[0])](const Machine&) {
    const std::int64_t rows = table.shape()[0];
    const std::int64_t bad =
        gather_rows(table.f32(), rows, width, indices.i32(), y.f32(), 0, indices.size());
    if (bad >= 0) bad_index(indices, bad, rows, "index");
  });
}

InstructionPtr lower_scatter_add(const Binding& binding) {
  return instruction([x = binding.in[0], indices = binding.in[1], y = binding.out[0],
                      width = row_width(binding.out[0])](const Machine& machine) {
    const std::int64_t rows = y.shape()[0];
    for (std::int64_t i = 0; i < indices.size(); ++i) {
      const std::int32_t index = indices.i32()[i];
      if (index < 0 || index >= rows) bad_index(indices, i, rows, "index");
    }
    for_each_chunk(machine, width, 64, [&](std::int64_t begin, std::int64_t end, int) {
      scatter_add_rows(x.f32(), indices.i32(), indices.size(), width, y.f32(), rows, begin, end);
    });
  });
}

InstructionPtr lower_one_hot(const Binding& binding) {
  return instruction([labels = binding.in[0], y = binding.out[0],
                      classes = binding.node.integer("classes")](const Machine&) {
    const std::int64_t bad = one_hot(labels.i32(), classes, y.f32(), 0, labels.size());
    if (bad >= 0) bad_index(labels, bad, classes, "label");
  });
}

InstructionPtr lower_arange(const Binding& binding) {
  return instruction([y = binding.out[0]](const Machine&) {
    for (std::int64_t i = 0; i < y.size(); ++i) y.f32()[i] = static_cast<float>(i);
  });
}

constexpr Kernel kKernels[] = {
    {"arange", lower_arange},
    {"broadcast_to", lower_broadcast_to},
    {"transpose", lower_transpose},
    {"slice", lower_slice},
    {"pad", lower_pad},
    {"concatenate", lower_concatenate},
    {"gather", lower_gather},
    {"scatter_add", lower_scatter_add},
    {"one_hot", lower_one_hot},
};

}  // namespace

std::span<const Kernel> movement_kernels() { return kKernels; }

}  // namespace chainrule::cpu
