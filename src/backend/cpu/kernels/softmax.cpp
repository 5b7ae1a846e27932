// Softmax and cross-entropy, a row at a time: the row is read three times (largest, sum of
// exponentials, result) but only the first time from memory.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/softmax.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <cmath>
#include <limits>

#include "backend/cpu/kernels/softmax.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

/// The largest of a row, and Σ exp(x − largest), whose terms go to `terms` unless it is null.
struct RowStatistics {
  float largest;
  float total;
};

HWY_INLINE RowStatistics statistics(const float* x, std::size_t n, float* terms) {
  const float largest = reduce_row(x, n, MaxJoin{}, Identity{});
  const V shift = set(largest);
  const auto exponential = [&](V v, std::size_t i, auto access) HWY_ATTR {
    const V e = exp_of_negative(hn::Sub(v, shift));
    if (terms != nullptr) access.store(e, terms + i);
    return e;
  };
  return {largest, reduce_row(x, n, AddJoin{}, exponential)};
}

HWY_INLINE void scale_row(const float* x, float* y, std::size_t n, float factor) {
  const V f = set(factor);
  sweep(n, [&](std::size_t i, auto access)
               HWY_ATTR { access.store(hn::Mul(access.load(x + i), f), y + i); });
}

/// y = (x − largest) − log_total: two subtractions, so that a large `largest` costs no accuracy.
HWY_INLINE void shift_row(const float* x, float* y, std::size_t n, float largest, float log_total) {
  const V a = set(largest);
  const V b = set(log_total);
  sweep(n, [&](std::size_t i, auto access)
               HWY_ATTR { access.store(hn::Sub(hn::Sub(access.load(x + i), a), b), y + i); });
}

/// softmax of a row that fits one vector, without a detour through memory.
template <class Access>
HWY_INLINE RowStatistics softmax_narrow(const float* x, float* y, Access access) {
  const V v = access.load(x);
  const float largest = MaxJoin{}.across(access.keep(v, set(MaxJoin::kNeutral)));
  const V e = exp_of_negative(hn::Sub(v, set(largest)));
  const float total = AddJoin{}.across(access.keep(e, zero()));
  access.store(hn::Mul(e, set(1.0F / total)), y);
  return {largest, total};
}

HWY_INLINE RowStatistics softmax_row(const float* x, float* y, std::size_t n) {
  if (n == lanes()) return softmax_narrow(x, y, Whole{});
  if (n < lanes()) return softmax_narrow(x, y, Part{n});
  const RowStatistics row = statistics(x, n, y);
  scale_row(y, y, n, 1.0F / row.total);
  return row;
}

HWY_INLINE float log_of(float x) { return hn::GetLane(vector_log(set(x))); }

void softmax_rows(const float* x, float* y, std::int64_t columns, std::int64_t begin,
                  std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  for (std::int64_t r = begin; r < end; ++r) softmax_row(x + r * columns, y + r * columns, n);
}

void log_softmax_rows(const float* x, float* y, std::int64_t columns, std::int64_t begin,
                      std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const from = x + r * columns;
    const RowStatistics row = statistics(from, n, nullptr);
    shift_row(from, y + r * columns, n, row.largest, log_of(row.total));
  }
}

void softmax_gradient_rows(const float* y, const float* dy, float* dx, std::int64_t columns,
                           std::int64_t begin, std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const row_y = y + r * columns;
    const float* const row_dy = dy + r * columns;
    float* const row_dx = dx + r * columns;
    const auto product = [&](V v, std::size_t i, auto access)
                             HWY_ATTR { return hn::Mul(v, access.load(row_dy + i)); };
    const V dot = set(reduce_row(row_y, n, AddJoin{}, product));
    sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
      const V d = hn::Sub(access.load(row_dy + i), dot);
      access.store(hn::Mul(access.load(row_y + i), d), row_dx + i);
    });
  }
}

void log_softmax_gradient_rows(const float* y, const float* dy, float* dx, std::int64_t columns,
                               std::int64_t begin, std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const row_y = y + r * columns;
    const float* const row_dy = dy + r * columns;
    float* const row_dx = dx + r * columns;
    const V total = set(reduce_row(row_dy, n, AddJoin{}, Identity{}));
    sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
      const V p = vector_exp(access.load(row_y + i));
      access.store(hn::NegMulAdd(p, total, access.load(row_dy + i)), row_dx + i);
    });
  }
}

/// The dense outputs of one row; x may be overwritten, so the loss must have been computed.
HWY_INLINE void write_row(const float* x, const RowStatistics& row, float log_total,
                          const CrossEntropyOutputs& outputs, std::int64_t at, std::size_t n) {
  // First the one that is not in place: the other may be written over the logits.
  float* const logs = outputs.log_softmax == nullptr ? nullptr : outputs.log_softmax + at;
  float* const p = outputs.probabilities == nullptr ? nullptr : outputs.probabilities + at;
  const auto write_probabilities = [&]() HWY_ATTR {
    const V shift = set(row.largest);
    const V factor = set(1.0F / row.total);
    sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
      const V e = exp_of_negative(hn::Sub(access.load(x + i), shift));
      access.store(hn::Mul(e, factor), p + i);
    });
  };
  if (p != nullptr && p != x) write_probabilities();
  if (logs != nullptr) shift_row(x, logs, n, row.largest, log_total);
  if (p == x) write_probabilities();
}

std::int64_t cross_entropy_label_rows(const float* x, const std::int32_t* labels, float smoothing,
                                      const CrossEntropyOutputs& outputs, std::int64_t columns,
                                      std::int64_t begin, std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  std::int64_t bad = -1;
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const from = x + r * columns;
    // When nothing but probabilities is asked for, they are made on the way.
    const bool direct = outputs.probabilities != nullptr && outputs.probabilities != x &&
                        outputs.log_softmax == nullptr;
    const RowStatistics row = direct ? softmax_row(from, outputs.probabilities + r * columns, n)
                                     : statistics(from, n, nullptr);
    const float log_total = log_of(row.total);
    const std::int64_t label = labels[r];
    float loss = std::numeric_limits<float>::quiet_NaN();
    if (label >= 0 && label < columns) {
      loss = log_total + (row.largest - from[label]);
      if (smoothing != 0.0F) {
        const float sum = reduce_row(from, n, AddJoin{}, [&](V v, std::size_t, auto) HWY_ATTR {
          return hn::Sub(set(row.largest), v);
        });
        const float mean = log_total + sum / static_cast<float>(columns);
        loss = (1.0F - smoothing) * loss + smoothing * mean;
      }
    } else if (bad < 0) {
      bad = r;
    }
    if (outputs.losses != nullptr) outputs.losses[r] = loss;
    if (!direct) write_row(from, row, log_total, outputs, r * columns, n);
  }
  return bad;
}

void cross_entropy_target_rows(const float* x, const float* targets, float smoothing,
                               const CrossEntropyOutputs& outputs, std::int64_t columns,
                               std::int64_t begin, std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  const V keep = set(1.0F - smoothing);
  const V spread = set(smoothing / static_cast<float>(columns));
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const from = x + r * columns;
    const float* const t = targets + r * columns;
    const RowStatistics row = statistics(from, n, nullptr);
    const float log_total = log_of(row.total);
    if (outputs.losses != nullptr) {
      const V top = set(row.largest);
      const V log_sum = set(log_total);
      outputs.losses[r] =
          reduce_row(from, n, AddJoin{}, [&](V v, std::size_t i, auto access) HWY_ATTR {
            const V minus_log = hn::Add(log_sum, hn::Sub(top, v));
            const V target = hn::MulAdd(access.load(t + i), keep, spread);
            // A class without weight costs nothing, even where its logit is −∞.
            const V cost = hn::Mul(target, minus_log);
            return hn::IfThenElse(hn::Eq(target, zero()), zero(), cost);
          });
    }
    write_row(from, row, log_total, outputs, r * columns, n);
  }
}

void probability_cross_entropy_rows(const float* p, const float* targets, float epsilon,
                                    float* losses, std::int64_t columns, std::int64_t begin,
                                    std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  const V guard = set(epsilon);
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const t = targets + r * columns;
    const auto cost = [&](V v, std::size_t i, auto access) HWY_ATTR {
      return hn::Mul(access.load(t + i), vector_log(hn::Add(v, guard)));
    };
    losses[r] = -reduce_row(p + r * columns, n, AddJoin{}, cost);
  }
}

std::int64_t label_gradient_rows(const float* probabilities, const std::int32_t* labels,
                                 float smoothing, float scale, float* dx, std::int64_t columns,
                                 std::int64_t begin, std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  const V spread = set(smoothing / static_cast<float>(columns));
  const V factor = set(scale);
  std::int64_t bad = -1;
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const p = probabilities + r * columns;
    float* const to = dx + r * columns;
    const std::int64_t label = labels[r];
    const bool good = label >= 0 && label < columns;
    const float at_label = good ? p[label] : 0.0F;
    sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
      access.store(hn::Mul(hn::Sub(access.load(p + i), spread), factor), to + i);
    });
    if (good) {
      const float target = (1.0F - smoothing) + smoothing / static_cast<float>(columns);
      to[label] = (at_label - target) * scale;
    } else if (bad < 0) {
      bad = r;
    }
  }
  return bad;
}

void target_gradient_rows(const float* probabilities, const float* targets, float smoothing,
                          float scale, float* dx, std::int64_t columns, std::int64_t begin,
                          std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  const V keep = set(1.0F - smoothing);
  const V spread = set(smoothing / static_cast<float>(columns));
  const V factor = set(scale);
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const p = probabilities + r * columns;
    const float* const t = targets + r * columns;
    float* const to = dx + r * columns;
    const V total = set((1.0F - smoothing) * reduce_row(t, n, AddJoin{}, Identity{}) + smoothing);
    sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
      const V target = hn::MulAdd(access.load(t + i), keep, spread);
      const V d = hn::Sub(hn::Mul(access.load(p + i), total), target);
      access.store(hn::Mul(d, factor), to + i);
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(softmax_rows);
HWY_EXPORT(log_softmax_rows);
HWY_EXPORT(softmax_gradient_rows);
HWY_EXPORT(log_softmax_gradient_rows);
HWY_EXPORT(cross_entropy_label_rows);
HWY_EXPORT(cross_entropy_target_rows);
HWY_EXPORT(probability_cross_entropy_rows);
HWY_EXPORT(label_gradient_rows);
HWY_EXPORT(target_gradient_rows);

void softmax(const float* x, float* y, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(softmax_rows))(x, y, columns, begin, end);
}

void log_softmax(const float* x, float* y, std::int64_t columns, std::int64_t begin,
                 std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(log_softmax_rows))(x, y, columns, begin, end);
}

void softmax_gradient(const float* y, const float* dy, float* dx, std::int64_t columns,
                      std::int64_t begin, std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(softmax_gradient_rows))(y, dy, dx, columns, begin, end);
}

void log_softmax_gradient(const float* y, const float* dy, float* dx, std::int64_t columns,
                          std::int64_t begin, std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(log_softmax_gradient_rows))(y, dy, dx, columns, begin, end);
}

std::int64_t cross_entropy(const float* x, const std::int32_t* labels, float smoothing,
                           const CrossEntropyOutputs& outputs, std::int64_t columns,
                           std::int64_t begin, std::int64_t end) {
  return chosen(HWY_DISPATCH_TABLE(cross_entropy_label_rows))(x, labels, smoothing, outputs,
                                                              columns, begin, end);
}

void cross_entropy(const float* x, const float* targets, float smoothing,
                   const CrossEntropyOutputs& outputs, std::int64_t columns, std::int64_t begin,
                   std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(cross_entropy_target_rows))(x, targets, smoothing, outputs, columns,
                                                        begin, end);
}

void probability_cross_entropy(const float* p, const float* targets, float epsilon, float* losses,
                               std::int64_t columns, std::int64_t begin, std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(probability_cross_entropy_rows))(p, targets, epsilon, losses, columns,
                                                             begin, end);
}

std::int64_t cross_entropy_gradient(const float* probabilities, const std::int32_t* labels,
                                    float smoothing, float scale, float* dx, std::int64_t columns,
                                    std::int64_t begin, std::int64_t end) {
  return chosen(HWY_DISPATCH_TABLE(label_gradient_rows))(probabilities, labels, smoothing, scale,
                                                         dx, columns, begin, end);
}

void cross_entropy_gradient(const float* probabilities, const float* targets, float smoothing,
                            float scale, float* dx, std::int64_t columns, std::int64_t begin,
                            std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(target_gradient_rows))(probabilities, targets, smoothing, scale, dx,
                                                   columns, begin, end);
}

}  // namespace chainrule::cpu
#endif
