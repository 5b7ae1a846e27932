// Weights of attention and their derivatives, strip by strip, for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/attention_kernels.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "backend/cpu/kernels/attention_kernels.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// 2^x for x ≤ about 90, to 2 units in the last place; 0 below 2^−126, NaN for NaN.
HWY_INLINE V exp2_of(V x) {
  const M vanishes = hn::Lt(x, set(-126.0F));  // false for NaN, which a maximum would lose
  const V bounded = hn::IfThenZeroElse(vanishes, x);
  const V n = hn::Round(bounded);
  const V r = hn::Sub(bounded, n);
  const V p =
      horner(r, set(1.32647e-3F), 9.67151e-3F, 5.550734e-2F, 2.4022242e-1F, 6.9314698e-1F, 1.0F);
  return hn::IfThenZeroElse(vanishes, scale_by_power(p, n));
}

HWY_INLINE float exp2_of(float x) { return hn::GetLane(exp2_of(set(x))); }

// Lanes of a vector that begins `left` columns before an end.
HWY_INLINE M lanes_below(std::int64_t left) {
  return hn::FirstN(kFloats, static_cast<std::size_t>(std::max<std::int64_t>(left, 0)));
}

// Calls body(i, readable) for the vectors of [0, n), where readable(v, otherwise) chooses by lane.
struct All {
  HWY_INLINE V operator()(V v, V) const { return v; }
};
struct Some {
  M mask;
  HWY_INLINE V operator()(V v, V otherwise) const { return hn::IfThenElse(mask, v, otherwise); }
};

template <class Body>
HWY_INLINE void for_readable(std::int64_t n, const float* mask, const Body& body) {
  const auto step = static_cast<std::int64_t>(lanes());
  std::int64_t i = 0;
  if (mask == nullptr) {
    for (; i + step <= n; i += step) body(i, All{});
    if (i < n) body(i, Some{lanes_below(n - i)});
    return;
  }
  for (; i + step <= n; i += step) {
    body(i, Some{hn::Ne(hn::LoadU(kFloats, mask + i), zero())});
  }
  if (i < n) {
    const V m = Part{static_cast<std::size_t>(n - i)}.load(mask + i);
    body(i, Some{hn::Ne(m, zero())});
  }
}

void weights(const AttentionStrip& s) {
  const V scale = set(s.scale);
  const auto step = static_cast<std::int64_t>(lanes());
  for (std::int64_t r = 0; r < s.rows; ++r) {
    float* const row = s.scores + r * s.stride;
    const float* const mask = s.mask == nullptr ? nullptr : s.mask + r * s.mask_stride;
    const std::int64_t limit = std::clamp<std::int64_t>(s.limit + r * s.limit_step, 0, s.columns);
    const float before = s.first ? kLeastScore : s.largest[r];
    V top = set(before);
    for_readable(limit, mask, [&](std::int64_t i, auto readable) HWY_ATTR {
      top = hn::Max(readable(hn::Mul(hn::LoadU(kFloats, row + i), scale), top), top);
    });
    const float largest = hn::GetLane(hn::MaxOfLanes(kFloats, top));
    const V shift = set(largest);
    V total = zero();
    for_readable(limit, mask, [&](std::int64_t i, auto readable) HWY_ATTR {
      const V x = hn::LoadU(kFloats, row + i);
      const V p = readable(exp2_of(hn::MulSub(x, scale, shift)), zero());
      total = hn::Add(total, p);
      hn::StoreU(p, kFloats, row + i);
    });
    for (std::int64_t i = (limit + step - 1) / step * step; i < s.columns; i += step) {
      hn::StoreU(zero(), kFloats, row + i);
    }
    const float sum = hn::GetLane(hn::SumOfLanes(kFloats, total));
    s.largest[r] = largest;
    if (s.first) {
      s.total[r] = sum;
      continue;
    }
    const float factor = exp2_of(before - largest);
    s.total[r] = s.total[r] * factor + sum;
    if (factor == 1) continue;
    float* const y = s.y + r * s.y_stride;
    sweep(static_cast<std::size_t>(s.y_columns), [&](std::size_t i, auto access) HWY_ATTR {
      access.store(hn::Mul(access.load(y + i), set(factor)), y + i);
    });
  }
}

void finish(const AttentionRows& t) {
  constexpr double kLog2 = 0.693147180559945309;
  for (std::int64_t r = 0; r < t.rows; ++r) {
    const bool reads_nothing = t.masked && t.total[r] < 0.5F;
    const float total = reads_nothing ? 0.5F : t.total[r];
    const V factor = set(1 / total);
    float* const y = t.y + r * t.y_stride;
    sweep(static_cast<std::size_t>(t.y_columns), [&](std::size_t i, auto access) HWY_ATTR {
      access.store(hn::Mul(access.load(y + i), factor), y + i);
    });
    const double lse =
        static_cast<double>(t.largest[r]) * kLog2 + std::log(static_cast<double>(total));
    t.lse[r] = static_cast<float>(lse);
    t.lse_rest[r] = reads_nothing ? 0.0F : static_cast<float>(lse - static_cast<double>(t.lse[r]));
  }
}

void sums(const AttentionSums& t) {
  for (std::int64_t r = 0; r < t.rows; ++r) {
    const float* const dy = t.dy + r * t.stride;
    t.delta[r] = reduce_row(t.y + r * t.stride, static_cast<std::size_t>(t.columns), AddJoin{},
                            [&](V v, std::size_t i, auto access)
                                HWY_ATTR { return hn::Mul(v, access.load(dy + i)); });
    const double lse = static_cast<double>(t.lse[r]) + static_cast<double>(t.lse_rest[r]);
    const double power = lse * 1.44269504088896341;
    t.power[r] = static_cast<float>(power);
    t.power_rest[r] = static_cast<float>(power - static_cast<double>(t.power[r]));
  }
}

void weights_backward(const AttentionStripBackward& s) {
  const V scale = set(s.scale);
  const V inverse = set(s.inverse);
  const auto step = static_cast<std::int64_t>(lanes());
  for (std::int64_t r = 0; r < s.rows; ++r) {
    float* const p_row = s.weights + r * s.stride;
    float* const d_row = s.dscores + r * s.stride;
    const auto put = [&](std::int64_t i, auto readable) HWY_ATTR {
      const V x = hn::LoadU(kFloats, p_row + i);
      const V power = hn::LoadU(kFloats, s.power + i);
      const V exponent = hn::Sub(hn::MulSub(x, scale, power), hn::LoadU(kFloats, s.power_rest + i));
      const V p = readable(exp2_of(exponent), zero());
      const V dp = hn::Sub(hn::LoadU(kFloats, d_row + i), hn::LoadU(kFloats, s.delta + i));
      hn::StoreU(p, kFloats, p_row + i);
      hn::StoreU(hn::Mul(hn::Mul(p, inverse), dp), kFloats, d_row + i);
    };
    const std::int64_t begin = s.begin + r * s.begin_step;
    std::int64_t i = 0;
    for (; i + step <= begin && i < s.columns; i += step) {
      hn::StoreU(zero(), kFloats, p_row + i);
      hn::StoreU(zero(), kFloats, d_row + i);
    }
    const float* const mask = s.mask == nullptr ? nullptr : s.mask + r * s.mask_row;
    if (mask == nullptr) {
      if (i < begin && i < s.columns) {
        put(i, Some{hn::Not(lanes_below(begin - i))});
        i += step;
      }
      for (; i < s.columns; i += step) put(i, All{});
      continue;
    }
    for (; i < s.columns; i += step) {
      const V m = s.mask_column == 0 ? set(*mask) : hn::LoadU(kFloats, mask + i);
      put(i, Some{hn::AndNot(lanes_below(begin - i), hn::Ne(m, zero()))});
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(weights);
HWY_EXPORT(finish);
HWY_EXPORT(sums);
HWY_EXPORT(weights_backward);

void attention_weights(const AttentionStrip& strip) { chosen(HWY_DISPATCH_TABLE(weights))(strip); }
void finish_attention(const AttentionRows& rows) { chosen(HWY_DISPATCH_TABLE(finish))(rows); }
void attention_sums(const AttentionSums& s) { chosen(HWY_DISPATCH_TABLE(sums))(s); }
void attention_weights_backward(const AttentionStripBackward& strip) {
  chosen(HWY_DISPATCH_TABLE(weights_backward))(strip);
}

}  // namespace chainrule::cpu
#endif
