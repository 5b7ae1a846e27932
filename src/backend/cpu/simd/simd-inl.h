// Vectors of at most 16 floats, and loads and stores that touch only the first n of them. Every
// kernel runs its tail through the same vector arithmetic as its body, so that splitting a range
// anywhere gives the same bits. Included once per instruction set.
#if defined(CHAINRULE_BACKEND_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_BACKEND_CPU_SIMD_INL_H_
#undef CHAINRULE_BACKEND_CPU_SIMD_INL_H_
#else
#define CHAINRULE_BACKEND_CPU_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Ints = hn::RebindToSigned<Floats>;
using Words = hn::RebindToUnsigned<Floats>;
using V = hn::Vec<Floats>;
using VI = hn::Vec<Ints>;
using M = hn::Mask<Floats>;

constexpr Floats kFloats;
constexpr Ints kInts;
constexpr Words kWords;

HWY_INLINE std::size_t lanes() { return hn::Lanes(kFloats); }
HWY_INLINE V set(float x) { return hn::Set(kFloats, x); }
HWY_INLINE V zero() { return hn::Zero(kFloats); }

// Whether masked loads and stores leave the memory of inactive lanes alone.
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || \
    !HWY_MEM_OPS_MIGHT_FAULT
constexpr bool kMaskedMemory = true;
#else
constexpr bool kMaskedMemory = false;
#endif

/// A whole vector of memory.
struct Whole {
  HWY_INLINE V load(const float* p) const { return hn::LoadU(kFloats, p); }
  HWY_INLINE void store(V v, float* p) const { hn::StoreU(v, kFloats, p); }
  HWY_INLINE V keep(V v, V) const { return v; }
};

/// The first n lanes of a vector of memory, 0 < n < lanes(); the others load as zero.
struct Part {
  std::size_t n;
  HWY_INLINE V load(const float* p) const {
    if constexpr (kMaskedMemory) {
      return hn::MaskedLoad(hn::FirstN(kFloats, n), kFloats, p);
    } else {
      alignas(64) float buffer[16] = {};
      for (std::size_t i = 0; i < n; ++i) buffer[i] = p[i];
      return hn::Load(kFloats, buffer);
    }
  }
  HWY_INLINE void store(V v, float* p) const {
    if constexpr (kMaskedMemory) {
      hn::BlendedStore(v, hn::FirstN(kFloats, n), kFloats, p);
    } else {
      alignas(64) float buffer[16];
      hn::Store(v, kFloats, buffer);
      for (std::size_t i = 0; i < n; ++i) p[i] = buffer[i];
    }
  }
  /// v in the first n lanes, `other` in the rest.
  HWY_INLINE V keep(V v, V other) const { return hn::IfThenElse(hn::FirstN(kFloats, n), v, other); }
};

/// Calls body(i, Whole) for each whole vector of [0, n) and body(i, Part) for what is left.
template <class Body>
HWY_INLINE void sweep(std::size_t n, const Body& body) {
  const std::size_t step = lanes();
  std::size_t i = 0;
  for (; i + step <= n; i += step) body(i, Whole{});
  if (i < n) body(i, Part{n - i});
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#endif
