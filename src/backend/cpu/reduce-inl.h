// The reduction of one contiguous row, with a function applied to each element on the way; shared
// by the reductions and by softmax. Included once per instruction set.
#if defined(CHAINRULE_BACKEND_CPU_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_BACKEND_CPU_REDUCE_INL_H_
#undef CHAINRULE_BACKEND_CPU_REDUCE_INL_H_
#else
#define CHAINRULE_BACKEND_CPU_REDUCE_INL_H_
#endif

#include <limits>

#include "backend/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

struct AddJoin {
  static constexpr float kNeutral = 0.0F;
  HWY_INLINE V operator()(V a, V b) const { return hn::Add(a, b); }
  HWY_INLINE float across(V v) const { return hn::GetLane(hn::SumOfLanes(kFloats, v)); }
};

struct MaxJoin {
  static constexpr float kNeutral = -std::numeric_limits<float>::infinity();
  HWY_INLINE V operator()(V a, V b) const { return maximum(a, b); }
  HWY_INLINE float across(V v) const {
    const M nan = is_nan(v);
    if (!hn::AllFalse(kFloats, nan)) return std::numeric_limits<float>::quiet_NaN();
    float largest = hn::GetLane(hn::MaxOfLanes(kFloats, v));
#if HWY_TARGET == HWY_EMU128
    // The emulation starts from the lowest finite number, which is not below −∞.
    if (hn::AllTrue(kFloats, hn::Eq(v, set(kNeutral)))) largest = kNeutral;
#endif
    return largest;
  }
};

struct Identity {
  template <class Access>
  HWY_INLINE V operator()(V v, std::size_t, Access) const {
    return v;
  }
};
struct Square {
  template <class Access>
  HWY_INLINE V operator()(V v, std::size_t, Access) const {
    return hn::Mul(v, v);
  }
};
struct SquaredDeviation {
  float mean;
  template <class Access>
  HWY_INLINE V operator()(V v, std::size_t, Access) const {
    const V deviation = hn::Sub(v, set(mean));
    return hn::Mul(deviation, deviation);
  }
};
struct Vanish {
  template <class Access>
  HWY_INLINE V operator()(V v, std::size_t, Access) const {
    return hn::Mul(v, zero());
  }
};

/// join over i of map(x[i], i). The order depends on n and the instruction set only. `map` may
/// store what it computes, by the access that it is given.
template <class Join, class Map>
HWY_INLINE float reduce_row(const float* x, std::size_t n, Join join, const Map& map) {
  const std::size_t step = lanes();
  const V neutral = set(Join::kNeutral);
  V a = neutral;
  std::size_t i = 0;
  if (n >= 4 * step) {
    V b = neutral;
    V c = neutral;
    V d = neutral;
    for (; i + 4 * step <= n; i += 4 * step) {
      a = join(a, map(hn::LoadU(kFloats, x + i), i, Whole{}));
      b = join(b, map(hn::LoadU(kFloats, x + i + step), i + step, Whole{}));
      c = join(c, map(hn::LoadU(kFloats, x + i + 2 * step), i + 2 * step, Whole{}));
      d = join(d, map(hn::LoadU(kFloats, x + i + 3 * step), i + 3 * step, Whole{}));
    }
    a = join(join(a, b), join(c, d));
  }
  for (; i + step <= n; i += step) a = join(a, map(hn::LoadU(kFloats, x + i), i, Whole{}));
  if (i < n) {
    const Part part{n - i};
    a = join(a, part.keep(map(part.load(x + i), i, part), neutral));
  }
  return join.across(a);
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#endif
