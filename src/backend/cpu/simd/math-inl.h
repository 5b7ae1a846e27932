// Elementary functions on vectors of floats: at most about 4 units in the last place from the true
// value over the whole range, infinities and zeros as in C, NaN in gives NaN out. Highway's own
// Exp, Log and Tanh are not used: they flush small results, or are slower. Included once per
// instruction set.
//
// Sources: Moshier, Cephes library (exp, log, sin, cos); Juffa's erff.
#if defined(CHAINRULE_BACKEND_CPU_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_BACKEND_CPU_MATH_INL_H_
#undef CHAINRULE_BACKEND_CPU_MATH_INL_H_
#else
#define CHAINRULE_BACKEND_CPU_MATH_INL_H_
#endif

#include <cmath>
#include <limits>

#include "backend/cpu/simd/far_angle.h"
#include "backend/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

// Not x ≠ x: some instruction sets compare NaN as equal to itself there.
HWY_INLINE M is_nan(V x) { return hn::IsNaN(x); }

/// The polynomial c0·xⁿ + c1·xⁿ⁻¹ + … by Horner's rule, highest power first.
HWY_INLINE V horner(V, V sum) { return sum; }
template <class... Rest>
HWY_INLINE V horner(V x, V sum, float next, Rest... rest) {
  return horner(x, hn::MulAdd(sum, x, set(next)), rest...);
}

/// p·2ⁿ, rounded once where the result is subnormal, infinite where it overflows. |n| ≤ 252.
HWY_INLINE V scale_by_power(V p, V n) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  return V{_mm512_scalef_ps(p.raw, n.raw)};
#else
  // In two steps, since 2ⁿ itself may lie outside the normal numbers.
  const VI whole = hn::ConvertTo(kInts, n);
  const VI half = hn::ShiftRight<1>(whole);
  const VI bias = hn::Set(kInts, 127);
  const V first = hn::BitCast(kFloats, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const V second = hn::BitCast(kFloats, hn::ShiftLeft<23>(hn::Add(hn::Sub(whole, half), bias)));
  return hn::Mul(hn::Mul(p, first), second);
#endif
}

/// e^r − 1 for |r| ≤ log(2)/2.
HWY_INLINE V exp_minus_one_of_rest(V r) {
  const V p = horner(r, set(1.9875691500e-4F), 1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F,
                     1.6666665459e-1F, 5.0000001201e-1F);
  return hn::MulAdd(p, hn::Mul(r, r), r);
}

/// e^x for x in [-110, 95]; anything finite outside it must have been clamped.
HWY_INLINE V exp_clamped(V x) {
  const V n = hn::Round(hn::Mul(x, set(1.44269504088896341F)));
  V r = hn::NegMulAdd(n, set(0.693359375F), x);
  r = hn::NegMulAdd(n, set(-2.12194440e-4F), r);
  return scale_by_power(hn::Add(exp_minus_one_of_rest(r), set(1.0F)), n);
}

/// x limited to [low, high]; NaN gives either limit or NaN.
HWY_INLINE V clamp(V x, float low, float high) { return hn::Max(hn::Min(x, set(high)), set(low)); }

HWY_INLINE V vector_exp(V x) {
  return hn::IfThenElse(is_nan(x), x, exp_clamped(clamp(x, -105.0F, 90.0F)));
}

/// e^x for x ≤ 0 (or NaN).
HWY_INLINE V exp_of_negative(V x) {
  return hn::IfThenElse(is_nan(x), x, exp_clamped(hn::Max(x, set(-105.0F))));
}

/// e^x − 1, as exact near 0 as anywhere.
HWY_INLINE V vector_expm1(V x) {
  // x = n·log 2 + r, and e^x − 1 = 2ⁿ·(e^r − 1) + (2ⁿ − 1). Half of it is computed, since 2ⁿ itself
  // may be infinite where the result is not.
  const V c = clamp(x, -20.0F, 89.0F);
  const V n = hn::Round(hn::Mul(c, set(1.44269504088896341F)));
  V r = hn::NegMulAdd(n, set(0.693359375F), c);
  r = hn::NegMulAdd(n, set(-2.12194440e-4F), r);
  const V p = exp_minus_one_of_rest(r);
  const VI exponent = hn::Add(hn::ConvertTo(kInts, n), hn::Set(kInts, 126));
  const V half = hn::BitCast(kFloats, hn::ShiftLeft<23>(exponent));  // 2ⁿ⁻¹
  const V y = hn::MulAdd(p, half, hn::Sub(half, set(0.5F)));
  return hn::IfThenElse(hn::Or(is_nan(x), hn::Eq(x, zero())), x, hn::Add(y, y));
}

/// log(1 + f) + e·log 2 for f in [√½ − 1, √2 − 1].
HWY_INLINE V log_of_parts(V f, V e) {
  const V f2 = hn::Mul(f, f);
  V p = horner(f, set(7.0376836292e-2F), -1.1514610310e-1F, 1.1676998740e-1F, -1.2420140846e-1F,
               1.4249322787e-1F, -1.6668057665e-1F, 2.0000714765e-1F, -2.4999993993e-1F,
               3.3333331174e-1F);
  p = hn::Mul(hn::Mul(p, f), f2);
  p = hn::MulAdd(e, set(-2.12194440e-4F), p);
  p = hn::NegMulAdd(f2, set(0.5F), p);
  return hn::MulAdd(e, set(0.693359375F), hn::Add(f, p));
}

HWY_INLINE V vector_log(V x) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const M small = hn::Lt(x, set(std::numeric_limits<float>::min()));
  const V normal = hn::IfThenElse(small, hn::Mul(x, set(0x1p25F)), x);
  // Subtracting the bits of √½ leaves the exponent of a mantissa in [√½, √2).
  const VI bits = hn::BitCast(kInts, normal);
  const VI above = hn::Sub(bits, hn::Set(kInts, 0x3F3504F3));
  const VI exponent = hn::ShiftRight<23>(above);
  const V mantissa = hn::BitCast(kFloats, hn::Sub(bits, hn::ShiftLeft<23>(exponent)));
  const V e = hn::Sub(hn::ConvertTo(kFloats, exponent), hn::IfThenElseZero(small, set(25.0F)));
  V y = log_of_parts(hn::Sub(mantissa, set(1.0F)), e);
  y = hn::IfThenElse(hn::Eq(x, zero()), set(-kInfinity), y);
  y = hn::IfThenElse(hn::Lt(x, zero()), set(std::numeric_limits<float>::quiet_NaN()), y);
  return hn::IfThenElse(hn::Lt(x, set(kInfinity)), y, x);  // +∞ and NaN stay what they are
}

/// log(1 + e) for e in [0, 1].
HWY_INLINE V log1p_of_fraction(V e) {
  const V one = set(1.0F);
  const M large = hn::Gt(e, set(0.41421356F));
  // Above √2 − 1 the mantissa is (1 + e)/2; (1 + e)/2 − 1 = (e − 1)/2 is exact.
  const V f = hn::IfThenElse(large, hn::Mul(hn::Sub(e, one), set(0.5F)), e);
  return log_of_parts(f, hn::IfThenElseZero(large, one));
}

/// log(1 + x), as exact near 0 as anywhere.
HWY_INLINE V vector_log1p(V x) {
  const V one = set(1.0F);
  const V u = hn::Add(one, x);
  // What rounding 1 + x has lost; from the larger of the two, so that it is exact.
  const V lost =
      hn::IfThenElse(hn::Gt(x, one), hn::Sub(one, hn::Sub(u, x)), hn::Sub(x, hn::Sub(u, one)));
  const M finite =
      hn::And(hn::Gt(u, zero()), hn::Lt(u, set(std::numeric_limits<float>::infinity())));
  const V far = hn::Add(vector_log(u), hn::IfThenElseZero(finite, hn::Div(lost, u)));
  const M is_near = hn::And(hn::Gt(x, set(-0.29289322F)), hn::Lt(x, set(0.41421356F)));
  const V y = hn::IfThenElse(is_near, log_of_parts(x, zero()), far);
  return hn::IfThenElse(hn::Or(is_nan(x), hn::Eq(x, zero())), x, y);
}

HWY_INLINE V vector_tanh(V x) {
  // Up to 2.5 x·(1 + s·P(s))/(1 + s·Q(s)), s = x², fitted to 6e-9 of its value.
  constexpr float kFar = 2.5F;
  const V one = set(1.0F);
  const V size = hn::Abs(x);
  const V c = clamp(x, -kFar, kFar);
  const V s = hn::Mul(c, c);
  const V p = hn::MulAdd(hn::Mul(c, s),
                         horner(s, set(1.90676015627820950e-03F), 1.19980867244645961e-01F), c);
  const V q = horner(s, set(8.55588041384133137e-05F), 1.96783519021137235e-02F,
                     4.53314138476481308e-01F, 1.0F);
  V y = hn::Div(p, q);
  const M is_far = hn::Gt(size, set(kFar));
  if (!hn::AllFalse(kFloats, is_far)) {
    // 1 − 2e/(1 + e), e = e^(−2|x|): the last digits of tanh are all that is left of its slope
    // here.
    const V e = exp_clamped(hn::Max(hn::Mul(size, set(-2.0F)), set(-105.0F)));
    const V far = hn::Sub(one, hn::Div(hn::Add(e, e), hn::Add(one, e)));
    y = hn::IfThenElse(is_far, hn::CopySign(far, x), y);
  }
  return hn::IfThenElse(is_nan(x), x, y);
}

/// 1 / (1 + e^−x), to full relative accuracy on both sides.
HWY_INLINE V vector_sigmoid(V x) {
  const V one = set(1.0F);
  const V e = exp_of_negative(hn::Neg(hn::Abs(x)));
  const V numerator = hn::IfThenElse(hn::Lt(x, zero()), e, one);
  return hn::Div(numerator, hn::Add(one, e));
}

/// log(1 + e^x).
HWY_INLINE V vector_softplus(V x) {
  const V e = exp_clamped(hn::Max(hn::Neg(hn::Abs(x)), set(-105.0F)));
  const V positive = hn::IfThenElse(hn::Gt(x, zero()), x, zero());
  return hn::IfThenElse(is_nan(x), x, hn::Add(positive, log1p_of_fraction(e)));
}

HWY_INLINE V vector_erf(V x) {
  const V t = hn::Min(hn::Abs(x), set(4.0F));
  const V s = hn::Mul(t, t);
  // 1 − e^q(t) for large t.
  V r = hn::MulAdd(set(-1.72853470e-5F), t, set(3.83197126e-4F));
  const V u = hn::MulAdd(set(-3.88396438e-3F), t, set(2.42546219e-2F));
  r = hn::MulAdd(r, s, u);
  r = horner(t, r, -1.06777877e-1F, -6.34846687e-1F, -1.28717512e-1F);
  r = hn::Sub(hn::Mul(r, t), t);
  const V large = hn::Sub(set(1.0F), exp_clamped(hn::Max(r, set(-105.0F))));
  V p = horner(s, set(-5.96761703e-4F), 4.99119423e-3F, -2.67681349e-2F, 1.12819925e-1F,
               -3.76125336e-1F, 1.28379166e-1F);
  p = hn::MulAdd(p, t, t);
  const V y = hn::IfThenElse(hn::Gt(t, set(0.927734375F)), large, p);
  return hn::IfThenElse(is_nan(x), x, hn::CopySign(y, x));
}

/// Φ(x) and e^(−x²/2), of which one exponential serves both: Φ(−a) = e^(−a²/2)·q(1/(1 + 0.3a)) for
/// a ≥ 0, q a polynomial fitted to 1.5e-7 of its value for a ≤ 14, beyond which the power is 0.
struct Normal {
  V distribution;
  V power;
};
HWY_INLINE Normal normal(V x) {
  const V a = hn::Min(hn::Abs(x), set(14.5F));
  const V power = exp_clamped(hn::Mul(hn::Mul(a, a), set(-0.5F)));
  const V t = hn::Div(set(1.0F), hn::MulAdd(a, set(0.3F), set(1.0F)));
  const V q = horner(t, set(0.0356750041F), -0.157203928F, 0.206354797F, -0.0536846817F,
                     0.128562108F, 0.0999133661F, 0.120753974F, 0.119629301F);
  const V tail = hn::Mul(hn::Mul(power, t), q);
  const V upper = hn::Sub(set(1.0F), tail);
  const V distribution = hn::IfThenElse(hn::Gt(x, zero()), upper, tail);
  return {hn::IfThenElse(is_nan(x), x, distribution), power};
}
/// x·Φ(x).
HWY_INLINE V vector_gelu(V x) { return hn::Mul(x, normal(x).distribution); }
/// Its derivative, Φ(x) + x·φ(x), φ the normal density.
HWY_INLINE V vector_gelu_slope(V x) {
  const Normal n = normal(x);
  return hn::MulAdd(hn::Mul(x, set(0.398942280401432678F)), n.power, n.distribution);
}

/// An angle as quadrant·π/2 + rest, |rest| ≤ π/4.
struct Angle {
  V rest;
  VI quadrant;
};

#if HWY_TARGET == HWY_SCALAR
using HalfFloats = Floats;  // one lane has no halves
#else
using HalfFloats = hn::Half<Floats>;
#endif
using HalfInts = hn::RebindToSigned<HalfFloats>;
using Doubles = hn::Rebind<double, HalfFloats>;

struct HalfAngle {
  hn::Vec<HalfFloats> rest;
  hn::Vec<HalfInts> quadrant;
};

/// For |x| < 2²⁷, in doubles: π/2 in parts of 25 bits, so that their multiples and all differences
/// but the last are exact, however near x is to a multiple.
HWY_INLINE HalfAngle half_angle(hn::Vec<HalfFloats> x) {
  const Doubles d;
  const auto wide = hn::PromoteTo(d, x);
  const auto n = hn::Round(hn::Mul(wide, hn::Set(d, 0x1.45F306DC9C883p-1)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0x1.921FB5p+0), wide);
  r = hn::NegMulAdd(n, hn::Set(d, 0x1.110B46p-26), r);
  r = hn::NegMulAdd(n, hn::Set(d, 0x1.1A62633145C07p-54), r);
  return {hn::DemoteTo(HalfFloats(), r), hn::DemoteTo(HalfInts(), n)};
}

HWY_INLINE Angle near_angle(V x) {
#if HWY_TARGET == HWY_SCALAR
  const HalfAngle angle = half_angle(x);
  return {angle.rest, angle.quadrant};
#else
  const HalfFloats half;
  const HalfAngle low = half_angle(hn::LowerHalf(half, x));
  const HalfAngle high = half_angle(hn::UpperHalf(half, x));
  return {hn::Combine(kFloats, high.rest, low.rest),
          hn::Combine(kInts, high.quadrant, low.quadrant)};
#endif
}

/// `near`, but for the lanes of x that are farther away than half_angle() goes: lane by lane, as
/// they are seldom.
inline HWY_NOINLINE Angle with_far_lanes(V x, const Angle& near) {
  alignas(64) float at[16];
  alignas(64) float rest[16];
  alignas(64) std::int32_t quadrant[16];
  hn::Store(x, kFloats, at);
  hn::Store(near.rest, kFloats, rest);
  hn::Store(near.quadrant, kInts, quadrant);
  for (std::size_t i = 0; i < lanes(); ++i) {
    if (!std::isfinite(at[i]) || std::abs(at[i]) < 0x1p27F) continue;
    const FarAngle far = far_angle(at[i]);
    rest[i] = far.rest;
    quadrant[i] = far.n;
  }
  return {hn::Load(kFloats, rest), hn::Load(kInts, quadrant)};
}

/// sin(x + quarter·π/2), to 2 units in the last place for every finite x; NaN for infinities.
HWY_INLINE V sin_from_quadrant(V x, std::int32_t quarter) {
  const M is_near = hn::Lt(hn::Abs(x), set(0x1p27F));
  Angle angle = near_angle(hn::IfThenElseZero(is_near, x));
  if (!hn::AllTrue(kFloats, is_near)) angle = with_far_lanes(x, angle);
  const V r = angle.rest;
  const VI quadrant = hn::Add(angle.quadrant, hn::Set(kInts, quarter));
  const V s = hn::Mul(r, r);
  V sine = horner(s, set(-1.9515295891e-4F), 8.3321608736e-3F, -1.6666654611e-1F);
  sine = hn::MulAdd(hn::Mul(sine, s), r, r);
  V cosine = horner(s, set(2.443315711809948e-5F), -1.388731625493765e-3F, 4.166664568298827e-2F);
  cosine = hn::MulAdd(cosine, hn::Mul(s, s), hn::NegMulAdd(s, set(0.5F), set(1.0F)));
  const auto odd = hn::TestBit(quadrant, hn::Set(kInts, 1));
  const V y = hn::IfThenElse(hn::RebindMask(kFloats, odd), cosine, sine);
  const V flip = hn::BitCast(kFloats, hn::ShiftLeft<30>(hn::And(quadrant, hn::Set(kInts, 2))));
  // x − x is NaN for infinities and NaN.
  return hn::IfThenElse(hn::IsFinite(x), hn::Xor(y, flip), hn::Sub(x, x));
}
HWY_INLINE V vector_sin(V x) { return sin_from_quadrant(x, 0); }
HWY_INLINE V vector_cos(V x) { return sin_from_quadrant(x, 1); }

/// a^b as std::pow has it, lane by lane: its special cases are many and it is seldom hot.
HWY_INLINE V vector_pow(V a, V b) {
  alignas(64) float base[16];
  alignas(64) float power[16];
  hn::Store(a, kFloats, base);
  hn::Store(b, kFloats, power);
  for (std::size_t i = 0; i < lanes(); ++i) base[i] = std::pow(base[i], power[i]);
  return hn::Load(kFloats, base);
}

/// The larger of two; NaN where either is NaN.
HWY_INLINE V maximum(V a, V b) { return hn::IfThenElse(hn::Or(hn::Gt(a, b), is_nan(a)), a, b); }
HWY_INLINE V minimum(V a, V b) { return hn::IfThenElse(hn::Or(hn::Lt(a, b), is_nan(a)), a, b); }

HWY_INLINE V relu(V x) { return hn::IfThenElse(hn::Le(x, zero()), zero(), x); }

/// −1, 0 or 1; NaN for NaN.
HWY_INLINE V sign(V x) {
  const V one = set(1.0F);
  const V y =
      hn::IfThenElse(hn::Lt(x, zero()), hn::Neg(one), hn::IfThenElseZero(hn::Gt(x, zero()), one));
  return hn::IfThenElse(is_nan(x), x, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#endif
