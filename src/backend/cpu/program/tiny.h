// Tiny programs: where every array of a graph has at most sixteen numbers, the whole step is a list
// of operations on sixteen-number registers. A product, a sum or a broadcast is then a few
// shuffles, no operation knows of shapes, and one costs some nanoseconds instead of the tens that
// an instruction for arrays of any size takes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/kernels/chain.h"
#include "backend/cpu/kernels/instruction.h"
#include "graph/value_map.h"

namespace chainrule::cpu {

constexpr std::size_t kTinyLanes = 16;

/// Which number of an operand stands in each lane.
using TinyLanes = std::array<std::int32_t, kTinyLanes>;

struct TinyOperation;
using TinyFunction = void (*)(const TinyOperation& operation);

/// One operation. All pointers lead to sixteen numbers that may be read and written whole, but for
/// `slot`.
struct TinyOperation {
  TinyFunction run = nullptr;
  float* to = nullptr;
  const float* a = nullptr;
  const float* b = nullptr;
  const float* c = nullptr;
  const TinyLanes* a_lanes = nullptr;  // one a term
  const TinyLanes* b_lanes = nullptr;
  std::int32_t terms = 0;      // of a sum, product or maximum
  float scale = 1;             // of a sum
  const Slot* slot = nullptr;  // of an input, whose memory may change and end with its last number
  std::int32_t count = 0;      // the numbers of an input, or of labels
  std::int32_t classes = 0;    // of one-hot rows
};

/// What the operations are on this machine.
struct TinyFunctions {
  TinyFunction elementwise[kFnCount];  // to = fn(a, b, c)
  TinyFunction load;                   // to = the first `count` numbers at `slot`
  TinyFunction copy;                   // to = a
  TinyFunction shuffle;                // to = a[a_lanes]
  TinyFunction sum;                    // to = scale · Σ a[a_lanes[k]]
  TinyFunction maximum;                // to = max_k a[a_lanes[k]]
  TinyFunction product;                // to = Σ a[a_lanes[k]] · b[b_lanes[k]]
  TinyFunction one_hot;                // to = [a[a_lanes[0]] = a_lanes[1]], a i32
};
TinyFunctions tiny_functions();

/// A graph as operations. It owns the registers; the operations keep pointers to them and to the
/// slots and parameters that it was given.
class TinyProgram {
 public:
  /// Whether every array of the graph has one to sixteen numbers.
  static bool fits(const Graph& graph);

  /// None when the graph has an op that has no tiny form.
  ///
  /// requires  fits(graph).
  /// `slots` has an entry for every input and parameter; a parameter's memory is a multiple of 64
  /// bytes and stays where it is.
  static std::unique_ptr<TinyProgram> make(const Graph& graph, const ValueMap<Slot*>& slots);

  /// Everything but the updates.  throws  DataError naming a label out of range.
  void compute() const {
    for (const TinyOperation& operation : compute_) operation.run(operation);
  }
  /// The updates.
  void apply() const {
    for (const TinyOperation& operation : apply_) operation.run(operation);
  }

  /// Where a value stands after compute().
  ///
  /// requires  it is an output of the graph.
  float* result(const Value& output) const { return results_.at(output); }
  std::size_t bytes() const { return registers_.size() * sizeof(Register); }
  double flop() const { return flop_; }
  std::vector<std::string> listing() const { return listing_; }

 private:
  struct alignas(64) Register {
    float lane[kTinyLanes] = {};
  };
  friend class TinyBuilder;

  std::deque<Register> registers_;  // deques, so that pointers stay valid
  std::deque<std::vector<TinyLanes>> lanes_;
  std::vector<TinyOperation> compute_;
  std::vector<TinyOperation> apply_;
  ValueMap<float*> results_;
  std::vector<std::string> listing_;
  double flop_ = 0;
};

}  // namespace chainrule::cpu
