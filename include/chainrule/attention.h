// Attention: rows of a sequence read other rows, weighted by how well a query matches their keys.
#pragma once

#include <cstdint>

#include "chainrule/graph.h"

namespace chainrule {

/// The numbers 0, 1 … count − 1 as f32 [count].
Value arange(Graph& graph, std::int64_t count);

/// Scaled dot-product attention, for each batch entry and head on its own.
///
///     y[…, t, :] = Σ_s p[t, s] · v[…, s, :],   p[t, :] = softmax_s(q[…, t, :]·k[…, s, :] / √D)
///
/// q: [..., T, D]    k: [..., S, D]    v: [..., S, E]    y: [..., T, E]
/// With `causal`, row t reads rows s ≤ t only.
/// throws  ShapeError naming the shapes.
/// Source: Vaswani et al., 2017.
///
/// Example:  Value y = attention(q, k, v, true);   // [B,H,T,D]
Value attention(Value q, Value k, Value v, bool causal = false);

/// Turns pairs of features by an angle that grows with the row's place, so that q·k depends on the
/// distance of the two rows.
///
///     (y₂ᵢ, y₂ᵢ₊₁) = rotation by t·base^(−2i/D) of (x₂ᵢ, x₂ᵢ₊₁), the pairs taken as (i, i + D/2)
///
/// x: [..., T, D], D even    y: [..., T, D]
/// Source: Su et al., 2021.
Value rotary(Value x, double base = 10000);

/// Fixed sines and cosines of a row's place, one wavelength for each pair of features.
///
///     y[t, 2i] = sin(t / 10000^(2i/D)),  y[t, 2i + 1] = cos(…), all sines first
///
/// → [T, D], D even
/// Source: Vaswani et al., 2017.
Value sinusoidal_positions(Graph& graph, std::int64_t length, std::int64_t features);

}  // namespace chainrule
