// The elementwise functions on vectors. Included once per instruction set.
#if defined(CHAINRULE_BACKEND_CPU_FUNCTIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_BACKEND_CPU_FUNCTIONS_INL_H_
#undef CHAINRULE_BACKEND_CPU_FUNCTIONS_INL_H_
#else
#define CHAINRULE_BACKEND_CPU_FUNCTIONS_INL_H_
#endif

#include "backend/cpu/simd/function.h"
#include "backend/cpu/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

HWY_INLINE V truth(M m) { return hn::IfThenElseZero(m, set(1.0F)); }

template <Fn fn>
HWY_INLINE V apply(V a, V b, V c) {
  (void)b;
  (void)c;
  if constexpr (fn == Fn::kCopy) return a;
  if constexpr (fn == Fn::kNeg) return hn::Neg(a);
  if constexpr (fn == Fn::kExp) return vector_exp(a);
  if constexpr (fn == Fn::kExpm1) return vector_expm1(a);
  if constexpr (fn == Fn::kLog) return vector_log(a);
  if constexpr (fn == Fn::kLog1p) return vector_log1p(a);
  if constexpr (fn == Fn::kSqrt) return hn::Sqrt(a);
  if constexpr (fn == Fn::kAbs) return hn::Abs(a);
  if constexpr (fn == Fn::kRelu) return relu(a);
  if constexpr (fn == Fn::kSigmoid) return vector_sigmoid(a);
  if constexpr (fn == Fn::kTanh) return vector_tanh(a);
  if constexpr (fn == Fn::kSoftplus) return vector_softplus(a);
  if constexpr (fn == Fn::kErf) return vector_erf(a);
  if constexpr (fn == Fn::kGelu) return vector_gelu(a);
  if constexpr (fn == Fn::kGeluSlope) return vector_gelu_slope(a);
  if constexpr (fn == Fn::kSign) return sign(a);
  if constexpr (fn == Fn::kSquare) return hn::Mul(a, a);
  if constexpr (fn == Fn::kReciprocal) return hn::Div(set(1.0F), a);
  if constexpr (fn == Fn::kSin) return vector_sin(a);
  if constexpr (fn == Fn::kCos) return vector_cos(a);
  if constexpr (fn == Fn::kFromInt) return hn::ConvertTo(kFloats, hn::BitCast(kInts, a));
  if constexpr (fn == Fn::kAdd) return hn::Add(a, b);
  if constexpr (fn == Fn::kSub) return hn::Sub(a, b);
  if constexpr (fn == Fn::kMul) return hn::Mul(a, b);
  if constexpr (fn == Fn::kDiv) return hn::Div(a, b);
  if constexpr (fn == Fn::kPow) return vector_pow(a, b);
  if constexpr (fn == Fn::kMaximum) return maximum(a, b);
  if constexpr (fn == Fn::kMinimum) return minimum(a, b);
  if constexpr (fn == Fn::kLess) return truth(hn::Lt(a, b));
  if constexpr (fn == Fn::kLessEqual) return truth(hn::Le(a, b));
  if constexpr (fn == Fn::kGreater) return truth(hn::Gt(a, b));
  if constexpr (fn == Fn::kGreaterEqual) return truth(hn::Ge(a, b));
  if constexpr (fn == Fn::kEqual) return truth(hn::Eq(a, b));
  if constexpr (fn == Fn::kNotEqual) return truth(hn::Not(hn::Eq(a, b)));
  if constexpr (fn == Fn::kWhere) return hn::IfThenElse(hn::Eq(a, zero()), c, b);
  if constexpr (fn == Fn::kMulAdd) return hn::MulAdd(a, b, c);
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#endif
