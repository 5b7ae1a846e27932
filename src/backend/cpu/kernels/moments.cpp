// Means and variances, compiled once for every instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/moments.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "backend/cpu/kernels/moments.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// The sum over rows of term(row's vector), in four chains that hide the latency of addition.
template <class Join, class Access, class Term>
HWY_INLINE typename Join::Value sum_down(const float* x, std::int64_t rows, std::int64_t stride,
                                         Join join, Access access, const Term& term) {
  typename Join::Value a = Join::neutral();
  typename Join::Value b = a;
  typename Join::Value c = a;
  typename Join::Value d = a;
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * stride) {
    a = join(a, term(access.load(x)));
    b = join(b, term(access.load(x + stride)));
    c = join(c, term(access.load(x + 2 * stride)));
    d = join(d, term(access.load(x + 3 * stride)));
  }
  for (; r < rows; ++r, x += stride) a = join(a, term(access.load(x)));
  return join(join(a, b), join(c, d));
}

void moments_of_block(const float* x, std::int64_t rows, std::int64_t channels, std::int64_t stride,
                      const float* origin, float* mean, float* squares) {
  const V share = set(1.0F / static_cast<float>(rows));
  sweep(static_cast<std::size_t>(channels), [&](std::size_t j, auto access) HWY_ATTR {
    const V from = access.load(origin + j);
    const V m = hn::Mul(share, sum_down(x + j, rows, stride, AddJoin{}, access,
                                        [&](V v) HWY_ATTR { return hn::Sub(v, from); }));
    const AddTwoJoin::Value sums =
        sum_down(x + j, rows, stride, AddTwoJoin{}, access, [&](V v) HWY_ATTR {
          const V deviation = hn::Sub(hn::Sub(v, from), m);
          return AddTwoJoin::Value{deviation, hn::Mul(deviation, deviation)};
        });
    // What the deviations sum to is the rounding of m.
    const V off = hn::Mul(share, sums.first);
    access.store(hn::Add(m, off), mean + j);
    const V about_mean = hn::Sub(sums.second, hn::Mul(sums.first, off));
    access.store(hn::IfThenElse(hn::Lt(about_mean, zero()), zero(), about_mean), squares + j);
  });
}

void variances_of_rows(const float* x, float* out, std::int64_t columns, std::int64_t begin,
                       std::int64_t end) {
  for (std::int64_t r = begin; r < end; ++r) {
    out[r] = row_moments(x + r * columns, static_cast<std::size_t>(columns)).variance;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(moments_of_block);
HWY_EXPORT(variances_of_rows);

Moments Moments::at(float* memory, std::int64_t channels, std::int64_t rows) {
  return {rows, memory, memory + channels, memory + 2 * channels, memory + 3 * channels};
}

void add_rows(const float* x, std::int64_t rows, std::int64_t channels, std::int64_t stride,
              Moments& to, float* own) {
  constexpr std::int64_t kFloatsInL1 = 4096;
  constexpr std::int64_t kMostRows = 32;  // that are added up plainly
  const std::int64_t most = std::clamp<std::int64_t>(kFloatsInL1 / channels, 1, kMostRows);
  if (rows > 0 && to.rows == 0) std::copy_n(x, channels, to.origin);
  Moments block = Moments::at(own, channels);
  std::copy_n(to.origin, channels, block.origin);
  std::fill_n(block.lost, channels, 0.0F);
  for (std::int64_t row = 0; row < rows; row += most) {
    block.rows = std::min(most, rows - row);
    chosen(HWY_DISPATCH_TABLE(moments_of_block))(x + row * stride, block.rows, channels, stride,
                                                 block.origin, block.mean, block.squares);
    add_moments(block, channels, to);
  }
}

void add_moments(const Moments& from, std::int64_t channels, Moments& to) {
  if (from.rows == 0) return;
  if (to.rows == 0) {
    std::copy_n(from.origin, channels, to.origin);
    std::copy_n(from.mean, channels, to.mean);
    std::copy_n(from.squares, channels, to.squares);
    std::copy_n(from.lost, channels, to.lost);
    to.rows = from.rows;
    return;
  }
  const std::int64_t rows = to.rows + from.rows;
  const float share = static_cast<float>(from.rows) / static_cast<float>(rows);
  const float weight = share * static_cast<float>(to.rows);
  for (std::int64_t i = 0; i < channels; ++i) {
    const float apart = (from.origin[i] - to.origin[i]) + (from.mean[i] - to.mean[i]);
    to.mean[i] += share * apart;
    // As in reduce-inl.h.
    const float term = from.squares[i] + weight * apart * apart + to.lost[i];
    const float next = to.squares[i] + term;
    const float added = next - to.squares[i];
    const float rest = (to.squares[i] - (next - added)) + (term - added);
    to.lost[i] = std::isfinite(next) ? rest : 0.0F;
    to.squares[i] = next;
  }
  to.rows = rows;
}

void variances(const Moments& moments, std::int64_t channels, float* out) {
  const float share = 1.0F / static_cast<float>(moments.rows);
  for (std::int64_t i = 0; i < channels; ++i) out[i] = share * moments.squares[i];
}

void row_variances(const float* x, float* out, std::int64_t columns, std::int64_t begin,
                   std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(variances_of_rows))(x, out, columns, begin, end);
}

}  // namespace chainrule::cpu
#endif
