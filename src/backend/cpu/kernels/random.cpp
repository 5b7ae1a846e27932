// Philox on vectors: lane b computes block first + b, whose four words are elements 4b … 4b + 3.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/random.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>

#include "backend/cpu/kernels/random.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR

using VU = hn::Vec<Words>;

struct Product {
  VU low;
  VU high;
};

/// All 64 bits of a·b for a number b that is the same in every lane.
HWY_INLINE Product multiply(VU a, VU b) {
  const VU even = hn::BitCast(kWords, hn::MulEven(a, b));
  const VU odd = hn::BitCast(kWords, hn::MulEven(hn::Shuffle2301(a), b));
  return {hn::OddEven(hn::Shuffle2301(odd), even), hn::OddEven(odd, hn::Shuffle2301(even))};
}

/// The elements of blocks [block, block + lanes()), all of whose numbers share their upper word.
HWY_INLINE void uniform_blocks(const PhiloxStream& stream, std::uint64_t block, float* to) {
  VU c0 = hn::Iota(kWords, static_cast<std::uint32_t>(block));
  VU c1 = hn::Set(kWords, static_cast<std::uint32_t>(block >> 32));
  VU c2 = hn::Set(kWords, stream.stream);
  VU c3 = hn::Set(kWords, stream.step);
  auto k0 = static_cast<std::uint32_t>(stream.seed);
  auto k1 = static_cast<std::uint32_t>(stream.seed >> 32);
  const VU m0 = hn::Set(kWords, 0xD2511F53U);
  const VU m1 = hn::Set(kWords, 0xCD9E8D57U);
  for (int round = 0; round < 10; ++round) {
    const Product p0 = multiply(c0, m0);
    const Product p1 = multiply(c2, m1);
    c0 = hn::Xor(hn::Xor(p1.high, c1), hn::Set(kWords, k0));
    c1 = p1.low;
    c2 = hn::Xor(hn::Xor(p0.high, c3), hn::Set(kWords, k1));
    c3 = p0.low;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  const auto number = [](VU word) HWY_ATTR {
    const VI bits = hn::BitCast(kInts, hn::ShiftRight<8>(word));
    return hn::Mul(hn::ConvertTo(kFloats, bits), set(0x1p-24F));
  };
  hn::StoreInterleaved4(number(c0), number(c1), number(c2), number(c3), kFloats, to);
}

#endif

void uniform_range(const PhiloxStream& stream, float* out, std::int64_t begin, std::int64_t end) {
  const auto scalar = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to;) {
      const auto words = stream.words(static_cast<std::uint64_t>(i) / 4);
      const std::int64_t stop = std::min(to, (i / 4 + 1) * 4);
      for (; i < stop; ++i)
        out[i] = static_cast<float>(words[static_cast<std::size_t>(i % 4)] >> 8) * 0x1p-24F;
    }
  };
#if HWY_TARGET == HWY_SCALAR
  scalar(begin, end);
#else
  const auto batch = static_cast<std::int64_t>(4 * lanes());
  // From a multiple of the batch on, the lower words of the blocks of one batch never wrap.
  std::int64_t at = std::min(end, (begin + batch - 1) / batch * batch);
  scalar(begin, at);
  for (; at + batch <= end; at += batch)
    uniform_blocks(stream, static_cast<std::uint64_t>(at) / 4, out + at);
  scalar(at, end);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(uniform_range);

void uniform(const PhiloxStream& stream, float* out, std::int64_t begin, std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(uniform_range))(stream, out, begin, end);
}

}  // namespace chainrule::cpu
#endif
