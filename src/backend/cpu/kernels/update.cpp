// The update rules. Which terms a rule has (momentum, decay, …) is decided once per call: a decay
// of zero multiplies by zero rather than branching, but state that is not there is never touched.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/update.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <cmath>

#include "backend/cpu/kernels/update.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// ĝ of update.h. Without a bound the clamp is skipped, which also keeps infinities.
class Transform {
 public:
  HWY_INLINE explicit Transform(const GradientTransform& transform)
      : scale_(set(transform.scale)),
        bound_(set(transform.bound)),
        clips_(transform.bound < std::numeric_limits<float>::infinity()) {}
  HWY_INLINE V operator()(V g) const {
    g = hn::Mul(g, scale_);
    if (!clips_) return g;
    return maximum(minimum(g, bound_), hn::Neg(bound_));
  }

 private:
  V scale_;
  V bound_;
  bool clips_;
};

HWY_INLINE V rounded(double x) { return set(static_cast<float>(x)); }

template <bool kMomentum, bool kNesterov>
HWY_INLINE void sgd(const Sgd& rule, float* w, float* velocity, const float* g, std::size_t n) {
  const Transform transform(rule.gradient);
  const V rate = rounded(rule.learning_rate);
  const V momentum = rounded(rule.momentum);
  const V decay = rounded(rule.weight_decay);
  sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
    const V weight = access.load(w + i);
    const V d = hn::MulAdd(decay, weight, transform(access.load(g + i)));
    V change = d;
    if constexpr (kMomentum) {
      const V v = hn::MulAdd(momentum, access.load(velocity + i), d);
      access.store(v, velocity + i);
      change = kNesterov ? hn::MulAdd(momentum, v, d) : v;
    }
    access.store(hn::NegMulAdd(rate, change, weight), w + i);
  });
}

void sgd_range(const Sgd& rule, float* w, float* velocity, const float* g, std::size_t n) {
  if (rule.momentum == 0) {
    sgd<false, false>(rule, w, velocity, g, n);
  } else if (rule.nesterov) {
    sgd<true, true>(rule, w, velocity, g, n);
  } else {
    sgd<true, false>(rule, w, velocity, g, n);
  }
}

template <bool kCentred, bool kMomentum>
HWY_INLINE void rms_prop(const RmsProp& rule, float* w, float* square, float* mean, float* buffer,
                         const float* g, std::size_t n) {
  const Transform transform(rule.gradient);
  const V rate = rounded(rule.learning_rate);
  const V alpha = rounded(rule.alpha);
  const V rest = rounded(1 - rule.alpha);
  const V epsilon = rounded(rule.epsilon);
  const V momentum = rounded(rule.momentum);
  const V decay = rounded(rule.weight_decay);
  sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
    const V weight = access.load(w + i);
    const V d = hn::MulAdd(decay, weight, transform(access.load(g + i)));
    const V s = hn::MulAdd(alpha, access.load(square + i), hn::Mul(hn::Mul(rest, d), d));
    access.store(s, square + i);
    V variance = s;
    if constexpr (kCentred) {
      const V a = hn::MulAdd(alpha, access.load(mean + i), hn::Mul(rest, d));
      access.store(a, mean + i);
      // Rounding may leave a tiny negative number where the true variance is zero.
      variance = maximum(hn::NegMulAdd(a, a, s), zero());
    }
    V change = hn::Div(d, hn::Add(hn::Sqrt(variance), epsilon));
    if constexpr (kMomentum) {
      change = hn::MulAdd(momentum, access.load(buffer + i), change);
      access.store(change, buffer + i);
    }
    access.store(hn::NegMulAdd(rate, change, weight), w + i);
  });
}

void rms_prop_range(const RmsProp& rule, float* w, float* square, float* mean, float* buffer,
                    const float* g, std::size_t n) {
  if (rule.centred) {
    if (rule.momentum != 0) {
      rms_prop<true, true>(rule, w, square, mean, buffer, g, n);
    } else {
      rms_prop<true, false>(rule, w, square, mean, buffer, g, n);
    }
  } else if (rule.momentum != 0) {
    rms_prop<false, true>(rule, w, square, mean, buffer, g, n);
  } else {
    rms_prop<false, false>(rule, w, square, mean, buffer, g, n);
  }
}

/// a / (√v · root + epsilon). On AVX-512 by approximations with a Newton step each, since dividing
/// and taking roots would take longer than the memory: 3e-7 instead of 1e-7 of error.
HWY_INLINE V divided_by_root(V a, V v, V root, V epsilon) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  // Below the normal numbers √v is far below any epsilon.
  const V bounded = V{_mm512_max_ps(set(std::numeric_limits<float>::min()).raw, v.raw)};
  const V guess = V{_mm512_rsqrt14_ps(bounded.raw)};
  const V half = hn::Mul(set(0.5F), guess);
  const V s = hn::Mul(bounded, guess);
  const V error = hn::NegMulAdd(s, half, set(0.5F));
  const V denominator = hn::MulAdd(hn::MulAdd(s, error, s), root, epsilon);
  const V inverse = V{_mm512_rcp14_ps(denominator.raw)};
  const V quotient = hn::Mul(a, inverse);
  return hn::MulAdd(hn::NegMulAdd(denominator, quotient, a), inverse, quotient);
#else
  return hn::Div(a, hn::MulAdd(hn::Sqrt(v), root, epsilon));
#endif
}

void adam_range(const Adam& rule, float* w, float* m, float* v, const float* g, std::size_t n) {
  const Transform transform(rule.gradient);
  const V step = rounded(rule.learning_rate / rule.correction1);
  const V beta2 = rounded(rule.beta2);
  const V rest1 = rounded(1 - rule.beta1);
  const V rest2 = rounded(1 - rule.beta2);
  const V root = rounded(1 / std::sqrt(rule.correction2));
  const V epsilon = rounded(rule.epsilon);
  const V coupled = rounded(rule.decoupled ? 0 : rule.weight_decay);
  const V shrink = rounded(rule.decoupled ? 1 - rule.learning_rate * rule.weight_decay : 1);
  sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
    const V weight = access.load(w + i);
    const V old_m = access.load(m + i);
    const V d = hn::MulAdd(coupled, weight, transform(access.load(g + i)));
    // β·m + (1 − β)·d as m + (1 − β)·(d − m), as PyTorch does.
    const V new_m = hn::MulAdd(rest1, hn::Sub(d, old_m), old_m);
    const V new_v = hn::MulAdd(beta2, access.load(v + i), hn::Mul(hn::Mul(rest2, d), d));
    access.store(new_m, m + i);
    access.store(new_v, v + i);
    const V change = divided_by_root(hn::Mul(step, new_m), new_v, root, epsilon);
    access.store(hn::Sub(hn::Mul(weight, shrink), change), w + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(sgd_range);
HWY_EXPORT(rms_prop_range);
HWY_EXPORT(adam_range);

namespace {

std::size_t length(std::int64_t begin, std::int64_t end) {
  return end > begin ? static_cast<std::size_t>(end - begin) : 0;
}

// State that a rule does not have stays null, whatever the offset.
float* advance(float* state, std::int64_t by) { return state == nullptr ? nullptr : state + by; }

// Asks for a cache line in order to write it. A line that another core has read since the last
// update must first be taken back from it, and that takes as long as memory.
void fetch_to_write(const float* line) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*line));
#else
  __builtin_prefetch(line, 1, 3);
#endif
}

constexpr std::int64_t kRowsAhead = 4;

void fetch_row(const float* array, std::int64_t at, std::int64_t n) {
  constexpr std::int64_t kFloatsPerLine = 16;
  if (array == nullptr) return;
  for (std::int64_t i = 0; i < n; i += kFloatsPerLine) fetch_to_write(array + at + i);
}

template <class Row, class... Arrays>
void for_each_row(const GradientBlock& g, const Row& row, const Arrays*... arrays) {
  const auto start = [&](std::int64_t r) {
    return (g.rectangle.row + r) * g.row_length + g.rectangle.column;
  };
  for (std::int64_t r = 0; r < g.rectangle.rows; ++r) {
    if (r + kRowsAhead < g.rectangle.rows) {
      (fetch_row(arrays, start(r + kRowsAhead), g.rectangle.columns), ...);
    }
    row(start(r), g.block + r * g.stride, length(0, g.rectangle.columns));
  }
}

}  // namespace

void update(const Sgd& rule, float* weight, float* velocity, const float* gradient,
            std::int64_t begin, std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(sgd_range))(rule, weight + begin, advance(velocity, begin),
                                        gradient + begin, length(begin, end));
}

void update(const RmsProp& rule, float* weight, float* square, float* mean, float* buffer,
            const float* gradient, std::int64_t begin, std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(rms_prop_range))(rule, weight + begin, square + begin,
                                             advance(mean, begin), advance(buffer, begin),
                                             gradient + begin, length(begin, end));
}

void update(const Adam& rule, float* weight, float* m, float* v, const float* gradient,
            std::int64_t begin, std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(adam_range))(rule, weight + begin, m + begin, v + begin,
                                         gradient + begin, length(begin, end));
}

void update(const Sgd& rule, float* weight, float* velocity, const GradientBlock& gradient) {
  for_each_row(
      gradient,
      [&](std::int64_t at, const float* g, std::size_t n) {
        chosen(HWY_DISPATCH_TABLE(sgd_range))(rule, weight + at, advance(velocity, at), g, n);
      },
      weight, velocity);
}

void update(const RmsProp& rule, float* weight, float* square, float* mean, float* buffer,
            const GradientBlock& gradient) {
  for_each_row(
      gradient,
      [&](std::int64_t at, const float* g, std::size_t n) {
        chosen(HWY_DISPATCH_TABLE(rms_prop_range))(rule, weight + at, square + at,
                                                   advance(mean, at), advance(buffer, at), g, n);
      },
      weight, square, mean, buffer);
}

void update(const Adam& rule, float* weight, float* m, float* v, const GradientBlock& gradient) {
  for_each_row(
      gradient,
      [&](std::int64_t at, const float* g, std::size_t n) {
        chosen(HWY_DISPATCH_TABLE(adam_range))(rule, weight + at, m + at, v + at, g, n);
      },
      weight, m, v);
}

}  // namespace chainrule::cpu
#endif
