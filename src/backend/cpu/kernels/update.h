// Optimiser updates, one pass over parameter, state and gradient. The meaning of every setting is
// PyTorch's. Each rule works on a range of elements, or on a rectangle of a parameter matrix whose
// gradient is a private block, so that it can run right behind the matrix product that made it.
// Settings are doubles because 1 − 0.999 loses a third of its digits in float.
#pragma once

#include <cstdint>
#include <limits>

#include "backend/cpu/kernels/rectangle.h"

namespace chainrule::cpu {

/// What is done to a gradient before any rule sees it: ĝ = clamp(scale·g, −bound, bound).
/// NaN stays NaN.
struct GradientTransform {
  float scale = 1.0F;                                    // 1, or what clips the global norm
  float bound = std::numeric_limits<float>::infinity();  // clipping by value
};

/// A gradient that covers only a rectangle of its parameter, seen as a row-major matrix with rows
/// of row_length: element (r, c) is block[(r − rectangle.row)·stride + c − rectangle.column].
struct GradientBlock {
  const float* block = nullptr;
  std::int64_t stride = 0;
  Rectangle rectangle = {};
  std::int64_t row_length = 0;
};

/// Gradient descent: with d = ĝ + weight_decay·w,
///
///     momentum = 0:  w ← w − learning_rate·d
///     momentum > 0:  v ← momentum·v + d,  w ← w − learning_rate·v
///     Nesterov:      v ← momentum·v + d,  w ← w − learning_rate·(d + momentum·v)
///
/// From v = 0 the first step is PyTorch's too (without dampening).
struct Sgd {
  double learning_rate = 0.01;
  double momentum = 0.0;
  double weight_decay = 0.0;
  bool nesterov = false;
  GradientTransform gradient = {};
};

/// RMSProp: with d = ĝ + weight_decay·w,
///
///     s ← alpha·s + (1 − alpha)·d²,  centred: a ← alpha·a + (1 − alpha)·d
///     u = d / (√s + epsilon),        centred: u = d / (√(s − a²) + epsilon)
///     momentum = 0: w ← w − learning_rate·u;  else b ← momentum·b + u, w ← w − learning_rate·b
struct RmsProp {
  double learning_rate = 0.01;
  double alpha = 0.99;
  double epsilon = 1e-8;
  double momentum = 0.0;
  double weight_decay = 0.0;
  bool centred = false;
  GradientTransform gradient = {};
};

/// Adam and AdamW at step t:
///
///     Adam: d = ĝ + weight_decay·w        AdamW: d = ĝ, w ← w·(1 − learning_rate·weight_decay)
///     m ← beta1·m + (1 − beta1)·d,  v ← beta2·v + (1 − beta2)·d²
///     w ← w − learning_rate / correction1 · m / (√v / √correction2 + epsilon)
///
/// The caller computes the corrections: correction1 = 1 − beta1ᵗ, correction2 = 1 − beta2ᵗ.
struct Adam {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  bool decoupled = false;  // AdamW
  double correction1 = 1.0;
  double correction2 = 1.0;
  GradientTransform gradient = {};
};

/// Updates elements [begin, end). The state arrays are as long as the parameter and start at zero;
/// `velocity`, `mean` and `buffer` may be null where the settings do not use them.
///
/// requires  no two of the arrays overlap.
void update(const Sgd& rule, float* weight, float* velocity, const float* gradient,
            std::int64_t begin, std::int64_t end);
void update(const RmsProp& rule, float* weight, float* square, float* mean, float* buffer,
            const float* gradient, std::int64_t begin, std::int64_t end);
void update(const Adam& rule, float* weight, float* m, float* v, const float* gradient,
            std::int64_t begin, std::int64_t end);

/// Updates the elements of gradient.rectangle; weight and state are the whole arrays.
void update(const Sgd& rule, float* weight, float* velocity, const GradientBlock& gradient);
void update(const RmsProp& rule, float* weight, float* square, float* mean, float* buffer,
            const GradientBlock& gradient);
void update(const Adam& rule, float* weight, float* m, float* v, const GradientBlock& gradient);

}  // namespace chainrule::cpu
