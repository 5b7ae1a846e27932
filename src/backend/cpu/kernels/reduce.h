// Sums, maxima and counts. Every kernel works on the part that it is given; the order of additions
// within one result is fixed, so a caller may split the work over results without changing a bit.
#pragma once

#include <cstdint>

namespace chainrule::cpu {

/// A reduction over the middle of an array seen as [outer, reduced, inner], giving [outer, inner].
/// The kernels compute the results outer_begin … outer_end − 1 by inner_begin … inner_end − 1 only.
struct ReduceRange {
  std::int64_t reduced = 1;
  std::int64_t inner = 1;
  std::int64_t outer_begin = 0;
  std::int64_t outer_end = 1;
  std::int64_t inner_begin = 0;
  std::int64_t inner_end = 1;
};

/// out[o, i] = scale · Σ_r x[o, r, i].  A mean has scale 1 / reduced; an empty sum is 0.
///
/// requires  out overlaps nothing of x.
void sum(const float* x, float* out, const ReduceRange& range, float scale = 1.0F);

/// out[o, i] = max_r x[o, r, i]; NaN where one of them is NaN, −∞ where there are none.
void max(const float* x, float* out, const ReduceRange& range);

/// out[o] = the first r at which x[o, r] is largest; NaN counts as largest, as in NumPy.
///
/// x: [outer, reduced]    out: [outer]
/// requires  reduced ≥ 1.
void argmax(const float* x, std::int32_t* out, std::int64_t reduced, std::int64_t outer_begin,
            std::int64_t outer_end);

/// The elements of one chunk of a full reduction: fixed, whatever the number of threads.
constexpr std::int64_t kSumChunk = 4096;
constexpr std::int64_t sum_chunk_count(std::int64_t n) { return (n + kSumChunk - 1) / kSumChunk; }

/// partials[c] = the sum (or the sum of squares) of chunk c of x [n], for c in [begin, end).
///
/// Example:  a full sum, which any number of threads may share
///     sum_chunks(x, n, 0, sum_chunk_count(n), partials);
///     float total = sum_partials(partials, sum_chunk_count(n));
void sum_chunks(const float* x, std::int64_t n, std::int64_t begin, std::int64_t end,
                float* partials);
void sum_squares_chunks(const float* x, std::int64_t n, std::int64_t begin, std::int64_t end,
                        float* partials);

/// The sum of count partial sums by a fixed pairwise tree; 0 for none.
float sum_partials(const float* partials, std::int64_t count);

/// sum[i] += x[i] for i in [0, n): one of many arrays that are added one after the other. What an
/// addition rounds off is in `lost`, zeros at first, and goes along with the next, so that the
/// error does not grow with the number of arrays.
void add_to_sum(const float* x, float* sum, float* lost, std::int64_t n);

/// How many elements are not finite.
struct NonFinite {
  std::int64_t nan = 0;
  std::int64_t inf = 0;
};

/// The count of NaN and of ±∞ among x[0 … n − 1].
NonFinite count_non_finite(const float* x, std::int64_t n);

/// Whether every one of x[0 … n − 1] is finite; at memory speed.
bool all_finite(const float* x, std::int64_t n);

}  // namespace chainrule::cpu
