// The elementwise half of attention, for each instruction set: a strip of scores becomes weights,
// and on the way back weights and the cotangents of scores. The products stand in attention.cpp.
//
// A strip is a few rows of numbers `stride` apart. Its columns are computed in whole vectors, so up
// to the next multiple of 16 its memory is written.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// Scores of some queries (rows) against some keys (columns), which become exp(score − largest):
/// scores = q·kᵀ before scaling, and weights 2^(scores·scale − largest), scale = log₂e / √D.
struct AttentionStrip {
  float* scores;
  std::int64_t stride, rows, columns;
  // Row r may read the columns below limit + r·limit_step, and of them those whose mask is not 0.
  std::int64_t limit, limit_step;
  const float* mask;  // or null; [r·mask_stride + column]
  std::int64_t mask_stride;
  float scale;
  // By row, over all keys so far: the largest score in powers of 2, the sum of the weights, and the
  // weighted sum of values, which are brought to the new largest score.
  bool first;
  float* largest;
  float* total;
  float* y;
  std::int64_t y_stride, y_columns;
};
void attention_weights(const AttentionStrip& strip);

/// y /= total, and lse + lse_rest = the natural logarithm of the sum of exponentials. With a mask a
/// row may have read nothing: it becomes 0.
struct AttentionRows {
  std::int64_t rows;
  const float* largest;
  const float* total;
  bool masked;
  float* y;
  std::int64_t y_stride, y_columns;
  float* lse;
  float* lse_rest;
};
void finish_attention(const AttentionRows& rows);

/// Sums over columns of y·dy, and lse times log₂e.
struct AttentionSums {
  const float* y;
  const float* dy;
  std::int64_t stride, rows, columns;
  const float* lse;
  const float* lse_rest;
  float* delta;
  float* power;       // (lse + lse_rest)·log₂e
  float* power_rest;  // and what rounding cut off it
};
void attention_sums(const AttentionSums& sums);

/// Scores of some keys (rows) against some queries (columns): weights = 2^(weights·scale − power −
/// power_rest), and dscores = weights ⊙ (dscores − delta) / √D.
struct AttentionStripBackward {
  float* weights;
  float* dscores;
  std::int64_t stride, rows, columns;
  // Row r is read by the columns from begin + r·begin_step on, and of them by those whose mask is
  // not 0: [r·mask_row + column·mask_column], mask_column 0 or 1.
  std::int64_t begin, begin_step;
  const float* mask;  // or null
  std::int64_t mask_row, mask_column;
  const float* power;  // by column
  const float* power_rest;
  const float* delta;
  float scale;    // log₂e / √D
  float inverse;  // 1 / √D
};
void attention_weights_backward(const AttentionStripBackward& strip);

/// What a row without anything to read takes for its largest score, in powers of 2, as in
/// src/ops/attention.cpp.
inline constexpr float kLeastScore = -5e29F * 1.44269504088896341F;

}  // namespace chainrule::cpu
