// What a Program is made of: instructions with every shape, pointer and size bound beforehand, and
// the slots through which they find their arrays.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/threads/thread_pool.h"
#include "graph/op.h"

namespace chainrule::cpu {

/// Where an array lies. Slots stay put while a Program lives; an input's may be pointed elsewhere.
///
/// An array that lives within one pass over the slices of a batch (slices.h) lies nowhere as a
/// whole: each thread holds the examples that it is working on, at `local` in its scratch memory.
struct Slot {
  std::byte* data = nullptr;
  std::size_t local = 0;
  std::size_t local_example = 0;  // bytes of an example; 0 for an array that lies at `data`
};

/// An array that an instruction reads or writes.
class Operand {
 public:
  Operand() = default;
  Operand(const Slot* slot, const Type* type) : slot_(slot), type_(type) {}

  float* f32() const { return reinterpret_cast<float*>(slot_->data); }
  const std::int32_t* i32() const { return reinterpret_cast<const std::int32_t*>(slot_->data); }
  std::int32_t* mutable_i32() const { return reinterpret_cast<std::int32_t*>(slot_->data); }
  const Slot& slot() const { return *slot_; }
  const Shape& shape() const { return type_->shape; }
  DType dtype() const { return type_->dtype; }
  std::int64_t size() const { return element_count(type_->shape); }

 private:
  const Slot* slot_ = nullptr;
  const Type* type_ = nullptr;
};

/// What an instruction runs on: the threads, scratch memory for each of them, and more of it that
/// they share.
struct Machine {
  ThreadPool* pool = nullptr;
  std::byte* scratch = nullptr;
  std::size_t scratch_stride = 0;
  std::byte* shared = nullptr;

  std::byte* scratch_of(int worker) const {
    return scratch + static_cast<std::size_t>(worker) * scratch_stride;
  }
};

class Instruction {
 public:
  Instruction() = default;
  Instruction(const Instruction&) = delete;
  Instruction& operator=(const Instruction&) = delete;
  virtual ~Instruction() = default;

  /// throws  DataError for an index or label out of range.
  virtual void run(const Machine& machine) const = 0;

  std::size_t scratch_bytes = 0;  // for each thread
  std::size_t shared_bytes = 0;   // for all of them together
  double flop = 0;                // of matrix products
};
using InstructionPtr = std::unique_ptr<Instruction>;

/// An instruction that calls f(machine).
template <typename F>
InstructionPtr instruction(F f) {
  class Call final : public Instruction {
   public:
    explicit Call(F function) : function_(std::move(function)) {}
    void run(const Machine& machine) const override { function_(machine); }

   private:
    F function_;
  };
  return std::make_unique<Call>(std::move(f));
}

/// What a kernel is bound to: the node and its arrays.
struct Binding {
  const Node& node;
  std::vector<Operand> in;
  std::vector<Operand> out;
};

/// Makes the instruction for a node.
using Lower = InstructionPtr (*)(const Binding& binding);

struct Kernel {
  std::string_view op;
  Lower lower;
  bool (*suits)(const Node& node) = nullptr;  // none: every node of that op
  int overwrites = -1;  // the input, of the same type, over which output 0 may be written
};

/// The tables of kernels, one a file; an op in one of them needs no expansion.
std::span<const Kernel> fused_kernels();
std::span<const Kernel> dense_kernels();
std::span<const Kernel> movement_kernels();
std::span<const Kernel> image_kernels();
std::span<const Kernel> recurrent_kernels();
std::span<const Kernel> layer_norm_kernels();
std::span<const Kernel> attention_kernels();

/// The kernel for a node, or nullptr.
const Kernel* find_kernel(const Node& node);

/// Large elementwise work is cut into pieces of this many elements: 64 KB an operand, and 2 µs of
/// work against about 1 µs for waking a thread.
constexpr std::int64_t kElementsPerChunk = 16384;

/// An array as rows of its last axis, and how many of them make a piece.
inline std::int64_t columns_of(const Operand& x) { return x.shape().back(); }
inline std::int64_t rows_of(const Operand& x) {
  return columns_of(x) == 0 ? 0 : x.size() / columns_of(x);
}
inline std::int64_t rows_per_chunk(std::int64_t columns) {
  return std::max<std::int64_t>(1, kElementsPerChunk / std::max<std::int64_t>(1, columns));
}

/// Calls f(begin, end, worker) on fixed pieces of [0, count).
template <typename F>
void for_each_chunk(const Machine& machine, std::int64_t count, std::int64_t per_chunk, F f) {
  if (count <= per_chunk) {  // a small network's step is made of these: no division, no call
    if (count > 0) f(std::int64_t{0}, count, 0);
    return;
  }
  const std::int64_t chunks = (count + per_chunk - 1) / per_chunk;
  machine.pool->run(chunks, [&](std::int64_t chunk, int worker) {
    const std::int64_t begin = chunk * per_chunk;
    f(begin, begin + per_chunk < count ? begin + per_chunk : count, worker);
  });
}

}  // namespace chainrule::cpu
