// Attention: rows of a sequence read other rows, weighted by how well a query matches their keys.
#pragma once

#include <cstdint>

#include "chainrule/graph.h"

namespace chainrule {

/// The numbers 0, 1 … count − 1 as f32 [count].
Value arange(Graph& graph, std::int64_t count);

struct AttentionOptions {
  /// Cuts the last axes into so many heads, which are side by side in every row: no array needs
  /// to be moved for them.
  std::int64_t heads = 1;
  /// Row t reads rows s ≤ t only.
  bool causal = false;
  /// f32[..., T, S], where all extents but the last may be 1: 0 where row t may not read row s, 1
  /// where it may. Lengths of the sequences of a batch make a mask [B, 1, S].
  Value mask = {};
};

/// Scaled dot-product attention, for each batch entry and head on its own.
///
///     y[…, t, :] = Σ_s p[t, s] · v[…, s, :],   p[t, :] = softmax_s(q[…, t, :]·k[…, s, :] / √D)
///
/// q: [..., T, C]    k: [..., S, C]    v: [..., S, E]    y: [..., T, E]
/// With h heads, head i is columns i·C/h … of q and k, i·E/h … of v and y; D = C/h.
/// A row that may read no other gives 0.
/// requires  S > 0; h divides C and E.
/// gradient  dv = pᵀ·dy,  ds = p ⊙ (dy·vᵀ − Σ dy ⊙ y),  dq = ds·k / √D,  dk = dsᵀ·q / √D.
/// throws    ShapeError naming the shapes.
/// Source: Vaswani et al., 2017. The node's second output, lse: [..., h, T], is the logarithm of
/// each row's Σ_s exp(score), from which the gradient makes p again: Dao et al., 2022. The third is
/// what float32 cut off lse, so that p keeps its digits where scores are large.
///
/// Example:  Value y = attention(q, k, v, {.heads = 4, .causal = true});   // [B,T,C]
Value attention(Value q, Value k, Value v, AttentionOptions options = {});

/// Turns pairs of features by an angle that grows with the row's place, so that q·k depends on the
/// distance of the two rows. Feature i of the first half goes with feature i of the second:
///
///     y[t, i]     = x[t, i]·cos a − x[t, h + i]·sin a
///     y[t, h + i] = x[t, i]·sin a + x[t, h + i]·cos a,   a = t·base^(−i/h),  h = D/2,  i < h
///
/// x: [..., T, D], D even    y: [..., T, D]
/// Source: Su et al., 2021, whose pairs are neighbours (2i, 2i + 1); halves are what GPT-NeoX and
/// LLaMA as published take. The two differ by an order of the features, which W_q and W_k learn.
Value rotary(Value x, double base = 10000);

/// Fixed sines and cosines of a row's place, one wavelength for each pair of features: sines in the
/// first half, cosines in the second.
///
///     y[t, i] = sin a,  y[t, h + i] = cos a,   a = t·10000^(−i/h),  h = D/2,  i < h
///
/// → [T, D], D even
/// Source: Vaswani et al., 2017, who let sines and cosines take turns.
Value sinusoidal_positions(Graph& graph, std::int64_t length, std::int64_t features);

}  // namespace chainrule
