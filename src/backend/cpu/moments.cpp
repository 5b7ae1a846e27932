// Means and variances, compiled once for every instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/moments.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>

#include "backend/cpu/dispatch.h"
#include "backend/cpu/moments.h"
#include "backend/cpu/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// The sum over rows of term(row's vector), in four chains that hide the latency of addition.
template <class Access, class Term>
HWY_INLINE V sum_down(const float* x, std::int64_t rows, std::int64_t stride, Access access,
                      const Term& term) {
  V a = zero();
  V b = zero();
  V c = zero();
  V d = zero();
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * stride) {
    a = hn::Add(a, term(access.load(x)));
    b = hn::Add(b, term(access.load(x + stride)));
    c = hn::Add(c, term(access.load(x + 2 * stride)));
    d = hn::Add(d, term(access.load(x + 3 * stride)));
  }
  for (; r < rows; ++r, x += stride) a = hn::Add(a, term(access.load(x)));
  return hn::Add(hn::Add(a, b), hn::Add(c, d));
}

void moments_of_block(const float* x, std::int64_t rows, std::int64_t channels, float* mean,
                      float* squares) {
  const V share = set(1.0F / static_cast<float>(rows));
  sweep(static_cast<std::size_t>(channels), [&](std::size_t j, auto access) HWY_ATTR {
    const V m =
        hn::Mul(share, sum_down(x + j, rows, channels, access, [](V v) HWY_ATTR { return v; }));
    access.store(m, mean + j);
    access.store(sum_down(x + j, rows, channels, access,
                          [&](V v) HWY_ATTR {
                            const V deviation = hn::Sub(v, m);
                            return hn::Mul(deviation, deviation);
                          }),
                 squares + j);
  });
}

void variances_of_rows(const float* x, float* out, std::int64_t columns, std::int64_t begin,
                       std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  const float share = 1.0F / static_cast<float>(columns);
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const row = x + r * columns;
    const float mean = share * reduce_row(row, n, AddJoin{}, Identity{});
    out[r] = share * reduce_row(row, n, AddJoin{}, SquaredDeviation{mean});
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(moments_of_block);
HWY_EXPORT(variances_of_rows);

void add_rows(const float* x, std::int64_t rows, std::int64_t channels, Moments& to, float* own) {
  constexpr std::int64_t kFloatsInL1 = 4096;
  const std::int64_t most = std::max<std::int64_t>(1, kFloatsInL1 / channels);
  for (std::int64_t row = 0; row < rows; row += most) {
    const Moments block{std::min(most, rows - row), own, own + channels};
    chosen(HWY_DISPATCH_TABLE(moments_of_block))(x + row * channels, block.rows, channels,
                                                 block.mean, block.squares);
    add_moments(block, channels, to);
  }
}

void add_moments(const Moments& from, std::int64_t channels, Moments& to) {
  if (from.rows == 0) return;
  const std::int64_t rows = to.rows + from.rows;
  const float share = static_cast<float>(from.rows) / static_cast<float>(rows);
  const float weight = share * static_cast<float>(to.rows);
  const bool first = to.rows == 0;
  for (std::int64_t i = 0; i < channels; ++i) {
    const float apart = first ? 0.0F : from.mean[i] - to.mean[i];
    to.mean[i] = first ? from.mean[i] : to.mean[i] + share * apart;
    to.squares[i] = (first ? 0.0F : to.squares[i]) + from.squares[i] + weight * apart * apart;
  }
  to.rows = rows;
}

void row_variances(const float* x, float* out, std::int64_t columns, std::int64_t begin,
                   std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(variances_of_rows))(x, out, columns, begin, end);
}

}  // namespace chainrule::cpu
#endif
