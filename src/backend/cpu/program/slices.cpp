// Which nodes may run slice by slice, and running them so.
#include "backend/cpu/program/slices.h"

#include <algorithm>

#include "backend/cpu/kernels/reduce.h"
#include "compiler/passes.h"
#include "graph/op.h"
#include "ops/window.h"

namespace chainrule::cpu {
namespace {

bool is_convolution(const Node& node) { return is(node, "conv2d") || is(node, "conv2d_transpose"); }
bool is_depthwise(const Node& node) {
  return is(node, "depthwise_conv2d") || is(node, "depthwise_conv2d_input_backward");
}
bool is_weight_gradient(const Node& node) {
  return is(node, "conv2d_weight_backward") || is(node, "depthwise_conv2d_weight_backward");
}

// A sum, mean or variance over all examples and all pixels for each channel.
bool sums_channels(const Node& node) {
  if (!is(node, "sum") && !is(node, "mean") && !is(node, "variance")) return false;
  return reduces_to_channels(node);
}

bool makes_one_result_of_all(const Node& node) {
  return is_weight_gradient(node) || sums_channels(node) ||
         (is(node, "fused") && sum_of_chain(node) != nullptr);
}

// The shape over which a fused node's chain runs.
const Shape& chain_shape(const Node& fused) {
  const Node* sum = sum_of_chain(fused);
  return sum != nullptr ? sum->inputs[0].shape() : fused.types[0].shape;
}

// Whether the fused node is an elementwise chain on images or sequences, perhaps behind a
// convolution.
bool is_sliceable_chain(const Node& fused) {
  if (chain_shape(fused).size() < 3 || fused.types[0].dtype != DType::kF32) return false;
  return std::ranges::all_of(fused.body->nodes(), [](const Node& node) {
    return !node.op->update && (!node.op->product || is_convolution(node));
  });
}

std::int64_t enough(std::int64_t examples) { return examples >= Slices::kCount ? examples : 0; }

// The array that a value is another name for.
Value storage(Value v) {
  while (is(v, "reshape")) v = v.node().inputs[0];
  return v;
}

// The weights of a convolution, also of one that a chain finishes; every example reads all of them.
Value weights_of(const Node& node) {
  if (is_convolution(node) || is_depthwise(node)) return node.inputs[1];
  if (!is(node, "fused")) return {};
  for (const Node& inner : node.body->nodes()) {
    if (!is_convolution(inner)) continue;
    const std::vector<Value>& inputs = node.body->inputs();
    const auto at = std::find(inputs.begin(), inputs.end(), inner.inputs[1]);
    return node.inputs[static_cast<std::size_t>(at - inputs.begin())];
  }
  return {};
}

// Whether the node reads of this input only the examples that it writes.
bool reads_by_example(const Node& node, const Value& input, std::int64_t examples) {
  if (input.shape().empty() || input.extent(0) != examples) return false;
  if (input == weights_of(node)) return false;
  // Stretched along a new leading axis, every example would read all of it.
  return !is(node, "fused") || input.shape().size() == chain_shape(node).size();
}

}  // namespace

std::int64_t sliced_examples(const Node& node) {
  if (is(node, "conv2d_weight_backward")) {
    return window_of(node).dilation[1] == 1 ? enough(node.inputs[0].extent(0)) : 0;
  }
  if (sums_channels(node)) return enough(node.inputs[0].extent(0));
  if (is(node, "depthwise_conv2d_weight_backward")) return enough(node.inputs[0].extent(0));
  const bool by_image = is_convolution(node) || is_depthwise(node) || is(node, "max_pool2d") ||
                        is(node, "max_pool2d_backward") || is(node, "unfold") || is(node, "fold");
  if (by_image) return enough(node.types[0].shape[0]);
  if (is(node, "fused") && is_sliceable_chain(node)) return enough(chain_shape(node)[0]);
  return 0;
}

const Node* sum_of_chain(const Node& fused) {
  const Node& root = fused.body->outputs().front().second.node();
  return is(root, "sum") || is(root, "mean") ? &root : nullptr;
}

std::vector<SliceGroup> slice_groups(const std::vector<const Node*>& order) {
  std::vector<SliceGroup> groups;
  SliceGroup group;
  std::int64_t examples = 0;  // of the group; 0 when there is none
  std::int64_t members = 0;
  std::set<std::int64_t> made;  // nodes of the group
  const auto finish = [&](std::size_t end) {
    if (members > 1) groups.push_back({group.begin, end});
    examples = members = 0;
    made.clear();
  };
  for (std::size_t step = 0; step < order.size(); ++step) {
    const Node& node = *order[step];
    if (is(node, "reshape") || is(node, "constant")) continue;
    const std::int64_t own = sliced_examples(node);
    const bool fits = std::ranges::all_of(node.inputs, [&](const Value& input) {
      const Value source = storage(input);
      if (!made.contains(source.node().id)) return true;
      return !makes_one_result_of_all(source.node()) && source.extent(0) == own &&
             reads_by_example(node, input, own);
    });
    if (examples != own || !fits) finish(step);
    if (own == 0) continue;
    if (examples == 0) group.begin = step;
    examples = own;
    ++members;
    made.insert(node.id);
  }
  finish(order.size());
  return groups;
}

std::int64_t floats_of_example(const Node& node, std::int64_t examples) {
  std::int64_t most = 0;
  const auto count = [&](const Shape& shape) {
    if (!shape.empty() && shape[0] == examples)
      most = std::max(most, element_count(shape) / examples);
  };
  for (const Value& input : node.inputs) count(input.shape());
  for (const Type& type : node.types) count(type.shape);
  return most;
}

std::int64_t examples_of_part(std::int64_t largest_floats_of_example) {
  // 512 KB: of 64 KB to 512 KB an array the best for ResNet-20, by 7 %.
  constexpr std::int64_t kFloatsOfPart = 131072;
  return std::max<std::int64_t>(
      1, kFloatsOfPart / std::max<std::int64_t>(1, largest_floats_of_example));
}

float* SlicePart::f32(const Operand& x) const {
  const Slot& slot = x.slot();
  if (slot.local_example == 0) return x.f32();
  // The beginning lies outside of what is there; only the part's examples are touched.
  const auto before =
      static_cast<std::ptrdiff_t>(begin) * static_cast<std::ptrdiff_t>(slot.local_example);
  std::byte* const at =
      machine.scratch_of(worker) + (static_cast<std::ptrdiff_t>(slot.local) - before);
  return reinterpret_cast<float*>(at);
}

void SliceTotals::add(const float* x, std::int64_t slice, bool first) const {
  float* const total = sums() + slice * floats_;
  float* const rest = lost() + slice * floats_;
  if (first) {
    std::copy_n(x, floats_, total);
    std::fill_n(rest, floats_, 0.0F);
  } else {
    add_to_sum(x, total, rest, floats_);
  }
}

void SliceTotals::finish(float* out, float scale) const {
  sum(sums(), out, {Slices::kCount, floats_, 0, 1, 0, floats_}, scale);
}

namespace {

class Together final : public Instruction {
 public:
  Together(std::vector<InstructionPtr> instructions, std::int64_t part_examples,
           std::size_t local_bytes)
      : instructions_(std::move(instructions)),
        part_examples_(part_examples),
        local_bytes_(local_bytes) {
    for (const InstructionPtr& one : instructions_) {
      scratch_bytes = std::max(scratch_bytes, one->scratch_bytes);
      shared_bytes = std::max(shared_bytes, one->shared_bytes);
      flop += one->flop;
      parts_.push_back(static_cast<const Sliced*>(one.get()));
    }
    scratch_bytes += local_bytes;
  }
  void run(const Machine& machine) const override {
    const Slices slices = parts_.front()->slices();
    for (const Sliced* one : parts_) one->before(machine);
    machine.pool->run(Slices::kCount, [&](std::int64_t slice, int worker) {
      const std::int64_t end = slices.end(slice);
      SlicePart part{machine, worker, slice, slices.begin(slice), 0, true, local_bytes_};
      for (; part.begin < end; part.begin = part.end, part.first = false) {
        part.end = std::min(end, part.begin + part_examples_);
        for (const Sliced* one : parts_) one->run_part(part);
      }
    });
    for (const Sliced* one : parts_) one->after(machine);
  }

 private:
  std::vector<InstructionPtr> instructions_;
  std::int64_t part_examples_;
  std::size_t local_bytes_;
  std::vector<const Sliced*> parts_;
};

}  // namespace

void Sliced::run(const Machine& machine) const {
  before(machine);
  machine.pool->run(Slices::kCount, [&](std::int64_t slice, int worker) {
    run_part({machine, worker, slice, slices_.begin(slice), slices_.end(slice)});
  });
  after(machine);
}

InstructionPtr run_together(std::vector<InstructionPtr> instructions, std::int64_t part_examples,
                            std::size_t local_bytes) {
  return std::make_unique<Together>(std::move(instructions), part_examples, local_bytes);
}

}  // namespace chainrule::cpu
