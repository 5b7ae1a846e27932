// The elementwise functions by number.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chainrule::cpu {

/// The elementwise functions that chains and tiny programs are made of. Comparisons give 1 or 0. Maximum, minimum, relu and sign
/// give NaN for NaN.
enum class Fn : std::uint8_t {
  kCopy,
  kNeg,
  kExp,
  kExpm1,
  kLog,
  kLog1p,
  kSqrt,
  kAbs,
  kRelu,
  kSigmoid,
  kTanh,
  kSoftplus,
  kErf,
  kGelu,
  kGeluSlope,
  kSign,
  kSquare,
  kReciprocal,
  kSin,
  kCos,
  kFromInt,  // a's bits are an int32; its value as a float
  kAdd,
  kSub,
  kMul,
  kDiv,
  kPow,
  kMaximum,
  kMinimum,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual,
  kWhere,   // a ≠ 0 ? b : c
  kMulAdd,  // a·b + c, rounded once where the machine can
};
constexpr std::size_t kFnCount = static_cast<std::size_t>(Fn::kMulAdd) + 1;

/// The number of operands of a function: 1, 2 or 3.
constexpr int operand_count(Fn fn) { return fn >= Fn::kWhere ? 3 : fn >= Fn::kAdd ? 2 : 1; }

}  // namespace chainrule::cpu
