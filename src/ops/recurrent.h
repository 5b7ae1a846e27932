// What the recurrent ops share: the shapes of their inputs and outputs, the walk along a sequence
// and back, and the gradients of the weights.
//
// A node's inputs are x, the initial states, wx, wh, the biases, then perhaps lengths. Its outputs
// are y and the final states, and then what its backward op reads, with the step as the first axis,
// since a step is what is read at a time: the gates [T, B, saved_gates·H], and each state as it was
// before each step, [T, B, H].
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "chainrule/recurrent.h"
#include "graph/op.h"

namespace chainrule {

struct RecurrentLayout {
  std::size_t states;
  std::size_t biases;
  std::int64_t gates;        // a weight has gates·H columns
  std::int64_t saved_gates;  // what a step's gradient needs, in H columns each

  std::size_t wx() const { return 1 + states; }
  std::size_t wh() const { return 2 + states; }
  std::size_t bias() const { return 3 + states; }
  std::size_t inputs() const { return 3 + states + biases; }
  std::size_t saved() const { return 1 + states; }  // the first output that is for the backward op
};

/// The value of lengths, or the empty Value.
Value lengths_of(const Node& node, std::size_t inputs_without);

Types infer_recurrent(const Node& node, const RecurrentLayout& layout);

/// What one step makes of xₜ: [B, F] and the states before it.
struct RecurrentStep {
  std::vector<Value> states;  // the hidden one first, each [B, H]
  Value gates;                // [B, saved_gates·H]
};
using RecurrentCell = std::function<RecurrentStep(Value x, const std::vector<Value>& states)>;

/// All outputs of a recurrent node.
std::vector<Value> unrolled(const Node& node, const RecurrentLayout& layout,
                            const RecurrentCell& cell);

/// Emits `op` with its options.
Recurrence emit_recurrent(const Op& op, const RecurrentLayout& layout, std::vector<Value> inputs,
                          Attributes attributes, const RecurrentOptions& options);

/// Part `index` of `units` columns of z.
Value gate(Value z, std::int64_t index, std::int64_t units);

// ── backwards ────────────────────────────────────────────────────────────────
// The inputs of a backward op are wh, gates, further saved arrays [T, B, H], dy, the cotangents of
// the final states, then perhaps lengths. Its outputs are the cotangents of the arguments of the
// gates, [T, B, gates·H] each, then those of the biases, which are their sums over steps and rows,
// [gates·H] each, then those of the initial states.

struct BackwardLayout {
  std::size_t saved;  // arrays before dy, gates among them
  std::size_t states;
  std::int64_t gates;  // of wh
  std::int64_t saved_gates;
  std::size_t arguments;  // outputs [T, B, gates·H], and as many sums

  std::size_t dy() const { return 1 + saved; }
  std::size_t inputs() const { return 2 + saved + states; }
  std::size_t state() const { return 2 * arguments; }  // the output for the first of the states
};

Types infer_recurrent_backward(const Node& node, const BackwardLayout& layout);

/// What one step back makes of the saved arrays' rows, [B, …] each, and of the cotangents of the
/// states after the step, dyₜ already added to the hidden one's.
struct BackwardStep {
  std::vector<Value> arguments;  // [B, gates·H]
  std::vector<Value> states;     // cotangents of the states before the step
};
using BackwardCell =
    std::function<BackwardStep(const std::vector<Value>& saved, const std::vector<Value>& dstates)>;

/// All outputs of a backward node.
std::vector<Value> unrolled_backward(const Node& node, const BackwardLayout& layout,
                                     const BackwardCell& cell);

/// The joint gradient rule of a recurrent op; its backward op reads the last `saved_states` of the
/// saved states beside the gates.
/// No Grads where a saved output is differentiated, as second derivatives do.
Grads recurrent_gradient(const Node& node, const RecurrentLayout& layout, const Op& backward,
                         std::size_t saved_states, std::span<const Value> dy);

// ── samples ──────────────────────────────────────────────────────────────────

using RecurrentMaker =
    std::function<Recurrence(Value x, const std::vector<Value>& states,
                             const std::vector<Value>& weights, const RecurrentOptions& options)>;

/// Small cases: plain, from the end, with lengths.
void sample_recurrent(Sampler& sampler, const RecurrentLayout& layout, const RecurrentMaker& make);

/// The same of a backward op.
void sample_recurrent_backward(Sampler& sampler, const BackwardLayout& layout, const Op& op,
                               const Attributes& attributes = {});

}  // namespace chainrule
