// The operations of tiny programs, compiled once for every instruction set. With AVX-512 a register
// of sixteen numbers is one vector and a shuffle one instruction; elsewhere a register is two or
// four vectors and a shuffle a loop.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/program/tiny_run.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <string>
#include <utility>

#include "backend/cpu/program/tiny.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/functions-inl.h"
#include "chainrule/error.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// Sixteen numbers, in as many vectors as they need.
struct Sixteen {
  static constexpr std::size_t kStep = hn::MaxLanes(Floats());
  static constexpr std::size_t kVectors = kTinyLanes / kStep;
  V part[kVectors];

  // Written out, because NEON's vectors have a constructor that only a function compiled for NEON
  // may call, which GCC's own would not be.
  HWY_INLINE Sixteen() {}

  static HWY_INLINE Sixteen load(const float* from) {
    Sixteen s;
    for (std::size_t i = 0; i < kVectors; ++i) s.part[i] = hn::Load(kFloats, from + i * kStep);
    return s;
  }
  static HWY_INLINE Sixteen zero() {
    Sixteen s;
    for (V& v : s.part) v = hn::Zero(kFloats);
    return s;
  }
  HWY_INLINE void store(float* to) const {
    for (std::size_t i = 0; i < kVectors; ++i) hn::Store(part[i], kFloats, to + i * kStep);
  }
};

/// Sixteen numbers in memory, read in any order.
class Source {
 public:
#if HWY_TARGET == HWY_AVX3
  explicit HWY_INLINE Source(const float* from) : whole_(hn::Load(kFloats, from)) {}
  HWY_INLINE Sixteen operator[](const TinyLanes& lanes) const {
    Sixteen s;
    s.part[0] = hn::TableLookupLanes(whole_, hn::SetTableIndices(kFloats, lanes.data()));
    return s;
  }

 private:
  V whole_;
#else
  explicit HWY_INLINE Source(const float* from) : from_(from) {}
  HWY_INLINE Sixteen operator[](const TinyLanes& lanes) const {
    alignas(64) float moved[kTinyLanes];
    for (std::size_t i = 0; i < kTinyLanes; ++i) moved[i] = from_[lanes[i]];
    return Sixteen::load(moved);
  }

 private:
  const float* from_;
#endif
};

template <Fn fn>
void tiny_elementwise(const TinyOperation& o) {
  const Sixteen a = Sixteen::load(o.a);
  const Sixteen b = Sixteen::load(o.b);
  const Sixteen c = Sixteen::load(o.c);
  Sixteen y;
  for (std::size_t i = 0; i < Sixteen::kVectors; ++i) {
    y.part[i] = apply<fn>(a.part[i], b.part[i], c.part[i]);
  }
  y.store(o.to);
}

void tiny_load(const TinyOperation& o) {
  const float* const from = reinterpret_cast<const float*>(o.slot->data);
  sweep(static_cast<std::size_t>(o.count),
        [&](std::size_t i, auto part) { Whole{}.store(part.load(from + i), o.to + i); });
}

void tiny_copy(const TinyOperation& o) { Sixteen::load(o.a).store(o.to); }

void tiny_shuffle(const TinyOperation& o) { Source(o.a)[o.a_lanes[0]].store(o.to); }

void tiny_sum(const TinyOperation& o) {
  const Source a(o.a);
  Sixteen total = a[o.a_lanes[0]];
  for (std::int32_t k = 1; k < o.terms; ++k) {
    const Sixteen term = a[o.a_lanes[k]];
    for (std::size_t i = 0; i < Sixteen::kVectors; ++i) {
      total.part[i] = hn::Add(total.part[i], term.part[i]);
    }
  }
  const V scale = set(o.scale);
  for (V& v : total.part) v = hn::Mul(v, scale);
  total.store(o.to);
}

void tiny_maximum(const TinyOperation& o) {
  const Source a(o.a);
  Sixteen most = a[o.a_lanes[0]];
  for (std::int32_t k = 1; k < o.terms; ++k) {
    const Sixteen term = a[o.a_lanes[k]];
    for (std::size_t i = 0; i < Sixteen::kVectors; ++i) {
      most.part[i] = maximum(most.part[i], term.part[i]);
    }
  }
  most.store(o.to);
}

void tiny_product(const TinyOperation& o) {
  const Source a(o.a);
  const Source b(o.b);
  Sixteen total = Sixteen::zero();
  for (std::int32_t k = 0; k < o.terms; ++k) {
    const Sixteen x = a[o.a_lanes[k]];
    const Sixteen y = b[o.b_lanes[k]];
    for (std::size_t i = 0; i < Sixteen::kVectors; ++i) {
      total.part[i] = hn::MulAdd(x.part[i], y.part[i], total.part[i]);
    }
  }
  total.store(o.to);
}

void tiny_one_hot(const TinyOperation& o) {
  const auto* const labels = reinterpret_cast<const std::int32_t*>(o.a);
  for (std::int32_t i = 0; i < o.count; ++i) {
    if (labels[i] < 0 || labels[i] >= o.classes) {
      throw DataError("label " + std::to_string(labels[i]) + " at position " + std::to_string(i) +
                      " is not in 0 … " + std::to_string(o.classes - 1));
    }
  }
  const Sixteen label = Source(o.a)[o.a_lanes[0]];
  Sixteen y;
  for (std::size_t i = 0; i < Sixteen::kVectors; ++i) {
    const VI wanted = hn::LoadU(kInts, o.a_lanes[1].data() + i * Sixteen::kStep);
    const auto hit = hn::Eq(hn::BitCast(kInts, label.part[i]), wanted);
    y.part[i] = truth(hn::RebindMask(kFloats, hit));
  }
  y.store(o.to);
}

template <std::size_t... I>
TinyFunctions functions_of(std::index_sequence<I...>) {
  return {{&tiny_elementwise<static_cast<Fn>(I)>...},
          &tiny_load,
          &tiny_copy,
          &tiny_shuffle,
          &tiny_sum,
          &tiny_maximum,
          &tiny_product,
          &tiny_one_hot};
}

TinyFunctions make_functions() { return functions_of(std::make_index_sequence<kFnCount>()); }

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(make_functions);

TinyFunctions tiny_functions() { return HWY_DYNAMIC_DISPATCH(make_functions)(); }

}  // namespace chainrule::cpu
#endif
