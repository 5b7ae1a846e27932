// Layer normalisation of rows, each read from memory once: a row is in L1 while its sums are taken.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// y = (x − mean)·scale ⊙ gamma + beta for rows [begin, end), with scale = 1/√(variance + epsilon).
///
/// x, y: [rows, columns]    gamma, beta: [columns]    mean, scale: [rows]
void layer_norm(const float* x, const float* gamma, const float* beta, float epsilon, float* y,
                float* mean, float* scale, std::int64_t columns, std::int64_t begin,
                std::int64_t end);

/// The arrays of layer_norm_gradient().
struct LayerNormGradient {
  const float* x;
  const float* gamma;
  const float* mean;
  const float* scale;
  const float* dy;
  float* dx;
};

/// dx = scale·(g − mean(g) − x̂·mean(g ⊙ x̂)) of rows [begin, end), g = dy ⊙ gamma; and
/// dgamma += Σ dy ⊙ x̂, dbeta += Σ dy over them.
void layer_norm_gradient(const LayerNormGradient& arrays, std::int64_t columns, std::int64_t begin,
                         std::int64_t end, float* dgamma, float* dbeta);

}  // namespace chainrule::cpu
