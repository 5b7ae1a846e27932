// Working through a batch slice by slice: where one instruction after the other treats examples
// independently, a few examples are taken through all of them before the next few come, so that
// what lies between two instructions is read while it is still in cache.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "backend/cpu/kernels/instruction.h"

namespace chainrule::cpu {

/// The cut of a batch into slices, the same for all instructions and any number of threads. A
/// thread takes a slice through all instructions in parts of a few examples.
struct Slices {
  static constexpr std::int64_t kCount = 16;
  std::int64_t examples = 0;

  std::int64_t begin(std::int64_t slice) const { return slice * examples / kCount; }
  std::int64_t end(std::int64_t slice) const { return begin(slice + 1); }
};

/// Examples [begin, end) of a slice, and the thread that works on them; the parts of a slice come
/// in order and on one thread.
struct SlicePart {
  const Machine& machine;
  int worker = 0;
  std::int64_t slice = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool first = true;              // of its slice
  std::size_t scratch_begin = 0;  // behind the arrays that live within the pass

  /// Where element 0 of an array lies, or would lie if all of it were there.
  float* f32(const Operand& x) const;
  std::byte* scratch() const { return machine.scratch_of(worker) + scratch_begin; }
};

/// An instruction that treats the examples of a batch independently, apart from what it does before
/// and after: a convolution arranges its weights, the gradient of a weight joins its slices' sums.
class Sliced : public Instruction {
 public:
  explicit Sliced(std::int64_t examples) : slices_{examples} {}

  virtual void before(const Machine& machine) const { static_cast<void>(machine); }
  virtual void run_part(const SlicePart& part) const = 0;
  virtual void after(const Machine& machine) const { static_cast<void>(machine); }
  void run(const Machine& machine) const override;

  const Slices& slices() const { return slices_; }

 private:
  Slices slices_;
};

/// Sums of arrays, one for each slice, to which the slice's parts add in their order.
class SliceTotals {
 public:
  explicit SliceTotals(std::int64_t floats)
      : floats_(floats), memory_(DType::kF32, {2, Slices::kCount, floats}) {}

  void add(const float* x, const SlicePart& part) const { add(x, part.slice, part.first); }
  void add(const float* x, std::int64_t slice, bool first) const;
  /// out = scale · the sum over all slices.
  void finish(float* out, float scale) const;

 private:
  float* sums() const { return memory_.values<float>().data(); }
  float* lost() const { return sums() + Slices::kCount * floats_; }

  std::int64_t floats_;
  mutable Tensor memory_;  // the sums, then what each rounded off
};

/// A Sliced that calls f(part).
template <typename F>
std::unique_ptr<Sliced> sliced(std::int64_t examples, F f) {
  class Call final : public Sliced {
   public:
    Call(std::int64_t of, F function) : Sliced(of), function_(std::move(function)) {}
    void run_part(const SlicePart& part) const override { function_(part); }

   private:
    F function_;
  };
  return std::make_unique<Call>(examples, std::move(f));
}

/// How many examples the node's instruction treats independently; 0 when it is no Sliced. Batches
/// of fewer examples than there are slices are left to other ways of cutting.
std::int64_t sliced_examples(const Node& node);

/// The sum or mean over all axes but the last that ends a fused node's chain, or nullptr.
const Node* sum_of_chain(const Node& fused);

/// Neighbouring instructions that may run slice by slice: steps [begin, end) of a list of nodes.
struct SliceGroup {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The groups of two or more among nodes in the order in which they run; reshapes and constants,
/// which are no instructions, may stand between. Within a group every node reads of an earlier one
/// only the examples of its own slice.
std::vector<SliceGroup> slice_groups(const std::vector<const Node*>& order);

/// The floats of one example in the largest array that the node reads or writes.
std::int64_t floats_of_example(const Node& node, std::int64_t examples);

/// The examples of a part: so many that some of its arrays fit into L2.
std::int64_t examples_of_part(std::int64_t largest_floats_of_example);

/// Several Sliced in one pass over the slices, in parts of so many examples; their scratch memory
/// begins with so many bytes for the arrays that live within the pass.
///
/// requires  each is a Sliced of the same number of examples.
InstructionPtr run_together(std::vector<InstructionPtr> instructions, std::int64_t part_examples,
                            std::size_t local_bytes);

}  // namespace chainrule::cpu
