// The reduction of one contiguous row, with a function applied to each element on the way; shared
// by the reductions and by softmax. Included once per instruction set.
#if defined(CHAINRULE_BACKEND_CPU_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_BACKEND_CPU_REDUCE_INL_H_
#undef CHAINRULE_BACKEND_CPU_REDUCE_INL_H_
#else
#define CHAINRULE_BACKEND_CPU_REDUCE_INL_H_
#endif

#include <algorithm>
#include <limits>

#include "backend/cpu/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// A sum of many terms that takes what each addition rounds off along to the next one, so that the
/// error does not grow with their number.  Source: Kahan, 1965, with Knuth's two-sum.
struct Total {
  V sum;
  V lost = zero();

  HWY_INLINE explicit Total(V first) : sum(first) {}
  HWY_INLINE void add(V x) {
    const V term = hn::Add(x, lost);
    const V next = hn::Add(sum, term);
    const V added = hn::Sub(next, sum);
    const V rest = hn::Add(hn::Sub(sum, hn::Sub(next, added)), hn::Sub(term, added));
    lost = hn::IfThenElseZero(hn::IsFinite(next), rest);  // else ∞ − ∞
    sum = next;
  }
  HWY_INLINE V result() const { return sum; }
};

struct AddJoin {
  using Value = V;
  using Result = float;
  using Running = Total;
  static constexpr float kNeutral = 0.0F;
  static HWY_INLINE V neutral() { return zero(); }
  HWY_INLINE V operator()(V a, V b) const { return hn::Add(a, b); }
  HWY_INLINE float across(V v) const { return hn::GetLane(hn::SumOfLanes(kFloats, v)); }
};

struct MaxJoin {
  using Value = V;
  using Result = float;
  static constexpr float kNeutral = -std::numeric_limits<float>::infinity();
  static HWY_INLINE V neutral() { return set(kNeutral); }
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
  /// A maximum rounds nothing.
  struct Running {
    V most;
    HWY_INLINE explicit Running(V first) : most(first) {}
    HWY_INLINE void add(V x) { most = maximum(most, x); }
    HWY_INLINE V result() const { return most; }
  };
};

/// Two sums at once.
struct AddTwoJoin {
  struct Value {
    V first;
    V second;
  };
  struct Result {
    float first;
    float second;
  };
  struct Running {
    Total first;
    Total second;
    HWY_INLINE explicit Running(const Value& v) : first(v.first), second(v.second) {}
    HWY_INLINE void add(const Value& v) {
      first.add(v.first);
      second.add(v.second);
    }
    HWY_INLINE Value result() const { return {first.result(), second.result()}; }
  };
  static HWY_INLINE Value neutral() { return {zero(), zero()}; }
  HWY_INLINE Value operator()(const Value& a, const Value& b) const {
    return {hn::Add(a.first, b.first), hn::Add(a.second, b.second)};
  }
  HWY_INLINE Result across(const Value& v) const {
    return {AddJoin{}.across(v.first), AddJoin{}.across(v.second)};
  }
};

HWY_INLINE V kept(Part part, V v, V other) { return part.keep(v, other); }
HWY_INLINE AddTwoJoin::Value kept(Part part, const AddTwoJoin::Value& v,
                                  const AddTwoJoin::Value& other) {
  return {part.keep(v.first, other.first), part.keep(v.second, other.second)};
}

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
/// x − mean, and its square.
struct Deviation {
  float mean;
  template <class Access>
  HWY_INLINE AddTwoJoin::Value operator()(V v, std::size_t, Access) const {
    const V deviation = hn::Sub(v, set(mean));
    return {deviation, hn::Mul(deviation, deviation)};
  }
};
struct Vanish {
  template <class Access>
  HWY_INLINE V operator()(V v, std::size_t, Access) const {
    return hn::Mul(v, zero());
  }
};

/// join over i in [begin, end) of map(x[i], i), lane by lane.
template <class Join, class Map>
HWY_INLINE typename Join::Value reduce_stretch(const float* x, std::size_t begin, std::size_t end,
                                               Join join, const Map& map) {
  using Value = typename Join::Value;
  const std::size_t step = lanes();
  const Value neutral = Join::neutral();
  Value a = neutral;
  std::size_t i = begin;
  if (end - begin >= 4 * step) {
    Value b = neutral;
    Value c = neutral;
    Value d = neutral;
    for (; i + 4 * step <= end; i += 4 * step) {
      a = join(a, map(hn::LoadU(kFloats, x + i), i, Whole{}));
      b = join(b, map(hn::LoadU(kFloats, x + i + step), i + step, Whole{}));
      c = join(c, map(hn::LoadU(kFloats, x + i + 2 * step), i + 2 * step, Whole{}));
      d = join(d, map(hn::LoadU(kFloats, x + i + 3 * step), i + 3 * step, Whole{}));
    }
    a = join(join(a, b), join(c, d));
  }
  for (; i + step <= end; i += step) a = join(a, map(hn::LoadU(kFloats, x + i), i, Whole{}));
  if (i < end) {
    const Part part{end - i};
    a = join(a, kept(part, map(part.load(x + i), i, part), neutral));
  }
  return a;
}

/// join over i of map(x[i], i). The order depends on n and the instruction set only. `map` may
/// store what it computes, by the access that it is given.
template <class Join, class Map>
HWY_INLINE typename Join::Result reduce_row(const float* x, std::size_t n, Join join,
                                            const Map& map) {
  // So many vectors are added up plainly: 16 in each of four chains.
  const std::size_t stretch = 64 * lanes();
  typename Join::Running running(Join::neutral());
  for (std::size_t i = 0;; i += stretch) {
    const typename Join::Value part = reduce_stretch(x, i, std::min(n, i + stretch), join, map);
    if (n <= stretch) return join.across(part);
    running.add(part);
    if (n - i <= stretch) return join.across(running.result());
  }
}

/// The mean of a row and its variance, which loses no digits where the mean is far from 0.
///
/// The mean is off by its own rounding, δ, and the squares about it by δ².
struct RowMoments {
  float mean;
  float variance;
};
HWY_INLINE RowMoments row_moments(const float* x, std::size_t n) {
  const float share = 1.0F / static_cast<float>(n);
  const float mean = share * reduce_row(x, n, AddJoin{}, Identity{});
  const AddTwoJoin::Result sums = reduce_row(x, n, AddTwoJoin{}, Deviation{mean});
  const float off = share * sums.first;
  const float variance = share * sums.second - off * off;
  return {mean, variance < 0 ? 0.0F : variance};
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#endif
