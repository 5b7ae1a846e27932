// Softmax over the last axis, its logarithm, their gradients, and the cross-entropy of logits. Each
// kernel works on rows [begin, end) of a row-major matrix, so a caller may split over rows.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// y[r, c] = exp(x[r, c] − m) / Σ exp(x[r, ·] − m), m the largest of the row.  y may be x.
void softmax(const float* x, float* y, std::int64_t columns, std::int64_t begin, std::int64_t end);

/// y[r, c] = x[r, c] − log Σ exp(x[r, ·]), without overflow.  y may be x.
void log_softmax(const float* x, float* y, std::int64_t columns, std::int64_t begin,
                 std::int64_t end);

/// dx = y ⊙ (dy − Σ dy·y), for y = softmax(x).  dx may be dy or y.
void softmax_gradient(const float* y, const float* dy, float* dx, std::int64_t columns,
                      std::int64_t begin, std::int64_t end);

/// dx = dy − exp(y)·Σ dy, for y = log_softmax(x).  dx may be dy or y.
void log_softmax_gradient(const float* y, const float* dy, float* dx, std::int64_t columns,
                          std::int64_t begin, std::int64_t end);

/// What a cross-entropy leaves for its gradient.
struct CrossEntropyOutputs {
  float* losses = nullptr;         // [rows], or null
  float* probabilities = nullptr;  // softmax(logits) [rows, columns], or null; may be the logits
  float* log_softmax = nullptr;    // [rows, columns], or null; may be the logits
};

/// losses[r] = −Σ_c t[r, c] · log_softmax(x)[r, c], with t = (1 − s)·onehot(label) + s / columns.
///
/// x: [rows, columns]    labels: [rows]    s: the label smoothing
/// returns  the first row whose label is outside [0, columns), whose loss is then NaN; −1 if none.
std::int64_t cross_entropy(const float* x, const std::int32_t* labels, float smoothing,
                           const CrossEntropyOutputs& outputs, std::int64_t columns,
                           std::int64_t begin, std::int64_t end);

/// The same with a row of target numbers t [rows, columns] (one-hot or soft labels); smoothing
/// mixes them: (1 − s)·t + s / columns.
void cross_entropy(const float* x, const float* targets, float smoothing,
                   const CrossEntropyOutputs& outputs, std::int64_t columns, std::int64_t begin,
                   std::int64_t end);

/// losses[r] = −Σ_c t[r, c] · log(p[r, c] + epsilon), for probabilities p [rows, columns].
void probability_cross_entropy(const float* p, const float* targets, float epsilon, float* losses,
                               std::int64_t columns, std::int64_t begin, std::int64_t end);

/// dx = (p − t)·scale, with p = softmax(x) and t as above.  dx may be p.
///
/// returns  the first row whose label is outside [0, columns), whose one-hot part is then left
///          out; −1 if none.
std::int64_t cross_entropy_gradient(const float* probabilities, const std::int32_t* labels,
                                    float smoothing, float scale, float* dx, std::int64_t columns,
                                    std::int64_t begin, std::int64_t end);

/// dx = (p·Σt − t)·scale for target numbers whose rows need not sum to 1.  dx may be p.
void cross_entropy_gradient(const float* probabilities, const float* targets, float smoothing,
                            float scale, float* dx, std::int64_t columns, std::int64_t begin,
                            std::int64_t end);

}  // namespace chainrule::cpu
