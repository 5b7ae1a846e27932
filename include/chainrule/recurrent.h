// The recurrent ops: a cell applied step after step along a sequence. Each op's expansion is the
// unrolled cell, so that backpropagation through time can be printed, checked and walked through.
#pragma once

#include "chainrule/graph.h"

namespace chainrule {

/// What a recurrent op gives.
struct Recurrence {
  Value y;  // [B, T, H]: the hidden state after each step, 0 beyond a row's length
  Value h;  // [B, H]: the hidden state after the last step
  Value c;  // [B, H]: the cell after the last step (lstm alone)
};

struct RecurrentOptions {
  /// i32[B]: how many steps of each row count; without it, all T. A step t ≥ lengths[b] leaves row
  /// b's state as it is and gives y[b, t] = 0, so h is the state after the row's last valid step.
  Value lengths = {};
  /// From the last step to the first: y[b, t] then depends on the steps t, t + 1, …
  bool reverse = false;
};

enum class RnnActivation { kTanh, kRelu };

/// A layer of simple recurrent units.
///
///     hₜ = f(xₜ·wx + hₜ₋₁·wh + b),   yₜ = hₜ,   f = tanh or relu
///
/// x: [B, T, F]    h0: [B, H]    wx: [F, H]    wh: [H, H]    b: [H]
/// requires  T ≥ 1.
/// gradient  backpropagation through time: dzₜ = (dyₜ + dzₜ₊₁·whᵀ) ⊙ f'(zₜ), dwh = Σₜ hₜ₋₁ᵀ·dzₜ,
///           dwx = Σₜ xₜᵀ·dzₜ, db = Σₜ Σ_b dzₜ, dxₜ = dzₜ·wxᵀ.
/// throws    ShapeError naming the input, the shape it should have and the one it has.
/// Source: Elman, "Finding structure in time", 1990; Werbos, 1990, for the gradient.
///
/// Example:  Value last = rnn(x, h0, wx, wh, b).h;   // [32, 28, 8] → [32, 64]
Recurrence rnn(Value x, Value h0, Value wx, Value wh, Value b,
               RnnActivation activation = RnnActivation::kTanh, RecurrentOptions options = {});

/// A layer of long short-term memory cells.
///
///     [i f g o] = xₜ·wx + hₜ₋₁·wh + b       four parts of H columns, in this order
///     cₜ = σ(f) ⊙ cₜ₋₁ + σ(i) ⊙ tanh(g)
///     hₜ = σ(o) ⊙ tanh(cₜ),   yₜ = hₜ
///
/// x: [B, T, F]    h0, c0: [B, H]    wx: [F, 4H]    wh: [H, 4H]    b: [4H]
/// requires  T ≥ 1.
/// gradient  backpropagation through time, as for rnn.
/// throws    ShapeError naming the input, the shape it should have and the one it has.
/// Source: Hochreiter & Schmidhuber, "Long short-term memory", 1997; the forget gate f: Gers et
/// al., 2000. The order of the gates is PyTorch's; its two biases add up to b.
Recurrence lstm(Value x, Value h0, Value c0, Value wx, Value wh, Value b,
                RecurrentOptions options = {});

/// A layer of gated recurrent units.
///
///     [r z n] = xₜ·wx + b,   [r' z' n'] = hₜ₋₁·wh + bh       three parts of H columns
///     hₜ = (1 − u) ⊙ tanh(n + σ(r + r') ⊙ n') + u ⊙ hₜ₋₁,   u = σ(z + z'),   yₜ = hₜ
///
/// x: [B, T, F]    h0: [B, H]    wx: [F, 3H]    wh: [H, 3H]    b, bh: [3H]
/// The reset gate acts on the recurrent product, which therefore has a bias of its own, bh.
/// requires  T ≥ 1.
/// gradient  backpropagation through time, as for rnn.
/// throws    ShapeError naming the input, the shape it should have and the one it has.
/// Source: Cho et al., 2014, in the form (version 1 of the paper) that PyTorch and cuDNN have.
Recurrence gru(Value x, Value h0, Value wx, Value wh, Value b, Value bh,
               RecurrentOptions options = {});

}  // namespace chainrule
