// Strided copies reduce to rows: contiguous ones are memcpy, repeated numbers a fill, and where the
// source is contiguous along the next axis instead, a transpose by tiles of 4 × 4 in registers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/move.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "backend/cpu/kernels/move.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/simd-inl.h"
#include "chainrule/error.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

void fill_range(float* to, float value, std::int64_t n) {
  const V v = set(value);
  sweep(static_cast<std::size_t>(n),
        [&](std::size_t i, auto access) HWY_ATTR { access.store(v, to + i); });
}

void add_range(const float* x, float* to, std::int64_t n) {
  sweep(static_cast<std::size_t>(n), [&](std::size_t i, auto access) HWY_ATTR {
    access.store(hn::Add(access.load(to + i), access.load(x + i)), to + i);
  });
}

/// to[r·to_stride + c] = from[r + c·from_stride], without vectors.
HWY_INLINE void transpose_plain(const float* from, std::int64_t from_stride, float* to,
                                std::int64_t to_stride, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) to[r * to_stride + c] = from[r + c * from_stride];
}

#if HWY_TARGET != HWY_SCALAR

HWY_INLINE void transpose_4x4(const float* from, std::int64_t from_stride, float* to,
                              std::int64_t to_stride) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const auto a = hn::LoadU(d, from);
  const auto b = hn::LoadU(d, from + from_stride);
  const auto e = hn::LoadU(d, from + 2 * from_stride);
  const auto f = hn::LoadU(d, from + 3 * from_stride);
  const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));   // a0 b0 a1 b1
  const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));  // a2 b2 a3 b3
  const auto ef_low = hn::BitCast(pairs, hn::InterleaveLower(d, e, f));
  const auto ef_high = hn::BitCast(pairs, hn::InterleaveUpper(d, e, f));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab_low, ef_low)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_low, ef_low)), d, to + to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ef_high)), d, to + 2 * to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ef_high)), d, to + 3 * to_stride);
}

#endif

/// to[r·to_stride + c] = from[r + c·from_stride], by tiles of 16 × 16: a tile's cache lines are
/// each used whole while they are in L1, even where the strides are powers of two.
void transpose(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride,
               std::int64_t rows, std::int64_t columns) {
#if HWY_TARGET == HWY_SCALAR
  transpose_plain(from, from_stride, to, to_stride, rows, columns);
#else
  constexpr std::int64_t kTile = 16;
  for (std::int64_t r0 = 0; r0 < rows; r0 += kTile) {
    const std::int64_t r1 = std::min(rows, r0 + kTile);
    const std::int64_t r4 = r0 + (r1 - r0) / 4 * 4;
    for (std::int64_t c0 = 0; c0 < columns; c0 += kTile) {
      const std::int64_t c1 = std::min(columns, c0 + kTile);
      const std::int64_t c4 = c0 + (c1 - c0) / 4 * 4;
      for (std::int64_t r = r0; r < r4; r += 4)
        for (std::int64_t c = c0; c < c4; c += 4)
          transpose_4x4(from + r + c * from_stride, from_stride, to + r * to_stride + c, to_stride);
      transpose_plain(from + r0 + c4 * from_stride, from_stride, to + r0 * to_stride + c4,
                      to_stride, r4 - r0, c1 - c4);
      transpose_plain(from + r4 + c0 * from_stride, from_stride, to + r4 * to_stride + c0,
                      to_stride, r1 - r4, c1 - c0);
    }
  }
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(fill_range);
HWY_EXPORT(add_range);
HWY_EXPORT(transpose);

namespace {

/// A walk over the axes outside the innermost one: the offsets of the present row.
class Walk {
 public:
  Walk(std::span<const StridedCopy::Axis> outer, std::int64_t row) : outer_(outer) {
    for (std::size_t k = outer.size(); k-- > 0;) {
      index_[k] = row % outer[k].extent;
      row /= outer[k].extent;
      from_ += index_[k] * outer[k].from;
      to_ += index_[k] * outer[k].to;
    }
  }
  std::int64_t from() const { return from_; }
  std::int64_t to() const { return to_; }
  /// The rows from here to the end of the innermost of the outer axes.
  std::int64_t rows_left() const {
    return outer_.empty() ? 1 : outer_.back().extent - index_[outer_.size() - 1];
  }
  /// Goes `rows` on, at most rows_left().
  void advance(std::int64_t rows) {
    std::int64_t by = rows;
    for (std::size_t k = outer_.size(); k-- > 0;) {
      const StridedCopy::Axis& axis = outer_[k];
      index_[k] += by;
      from_ += by * axis.from;
      to_ += by * axis.to;
      if (index_[k] < axis.extent) return;
      from_ -= axis.extent * axis.from;
      to_ -= axis.extent * axis.to;
      index_[k] = 0;
      by = 1;
    }
  }

 private:
  std::span<const StridedCopy::Axis> outer_;
  std::int64_t index_[StridedCopy::kMaxRank] = {};
  std::int64_t from_ = 0;
  std::int64_t to_ = 0;
};

void copy_row(const StridedCopy::Axis& axis, const float* from, float* to, std::int64_t n) {
  if (axis.to == 1 && axis.from == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
  } else if (axis.to == 1 && axis.from == 0) {
    chosen(HWY_DISPATCH_TABLE(fill_range))(to, *from, n);
  } else {
    for (std::int64_t i = 0; i < n; ++i) to[i * axis.to] = from[i * axis.from];
  }
}

}  // namespace

StridedCopy::StridedCopy(std::span<const std::int64_t> extents,
                         std::span<const std::int64_t> from_strides,
                         std::span<const std::int64_t> to_strides) {
  if (extents.size() > kMaxRank || extents.size() != from_strides.size() ||
      extents.size() != to_strides.size()) {
    throw ShapeError("copy: expected at most 8 axes with two strides each, got " +
                     std::to_string(extents.size()) + " axes with " +
                     std::to_string(from_strides.size()) + " and " +
                     std::to_string(to_strides.size()) + " strides");
  }
  for (std::size_t k = 0; k < extents.size(); ++k) {
    size_ *= extents[k];
    if (extents[k] == 1) continue;
    const Axis axis{extents[k], from_strides[k], to_strides[k]};
    if (rank_ > 0) {
      Axis& outer = axes_[rank_ - 1];
      if (outer.from == axis.from * axis.extent && outer.to == axis.to * axis.extent) {
        outer = {outer.extent * axis.extent, axis.from, axis.to};
        continue;
      }
    }
    axes_[rank_++] = axis;
  }
  if (rank_ == 0) axes_[rank_++] = {1, 1, 1};
}

void copy(const StridedCopy& copy, const float* from, float* to, std::int64_t begin,
          std::int64_t end) {
  if (begin >= end) return;
  const std::span<const StridedCopy::Axis> axes = copy.axes();
  const StridedCopy::Axis inner = axes.back();
  const std::span<const StridedCopy::Axis> outer = axes.first(axes.size() - 1);
  const bool transposes = inner.to == 1 && inner.from != 1 && inner.from != 0 && !outer.empty() &&
                          outer.back().from == 1;
  Walk walk(outer, begin / inner.extent);
  std::int64_t column = begin % inner.extent;
  for (std::int64_t at = begin; at < end;) {
    const float* const source = from + walk.from() + column * inner.from;
    float* const target = to + walk.to() + column * inner.to;
    const std::int64_t rows =
        column == 0 ? std::min(walk.rows_left(), (end - at) / inner.extent) : 0;
    if (transposes && rows > 1) {
      chosen(HWY_DISPATCH_TABLE(transpose))(source, inner.from, target, outer.back().to, rows,
                                            inner.extent);
      at += rows * inner.extent;
      walk.advance(rows);
      continue;
    }
    const std::int64_t n = std::min(inner.extent - column, end - at);
    copy_row(inner, source, target, n);
    at += n;
    column = 0;
    walk.advance(1);
  }
}

void fill(float* out, float value, std::int64_t begin, std::int64_t end) {
  if (begin < end) chosen(HWY_DISPATCH_TABLE(fill_range))(out + begin, value, end - begin);
}

std::int64_t gather_rows(const float* table, std::int64_t rows, std::int64_t columns,
                         const std::int32_t* index, float* out, std::int64_t begin,
                         std::int64_t end) {
  std::int64_t bad = -1;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t row = index[i];
    const auto bytes = static_cast<std::size_t>(columns) * sizeof(float);
    if (row >= 0 && row < rows) {
      std::memcpy(out + i * columns, table + row * columns, bytes);
    } else {
      std::memset(out + i * columns, 0, bytes);
      if (bad < 0) bad = i;
    }
  }
  return bad;
}

std::int64_t scatter_add_rows(const float* x, const std::int32_t* index, std::int64_t n,
                              std::int64_t columns, float* out, std::int64_t rows,
                              std::int64_t begin, std::int64_t end) {
  if (begin >= end) return -1;
  for (std::int64_t r = 0; r < rows; ++r)
    chosen(HWY_DISPATCH_TABLE(fill_range))(out + r * columns + begin, 0.0F, end - begin);
  std::int64_t bad = -1;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t row = index[i];
    if (row >= 0 && row < rows) {
      chosen(HWY_DISPATCH_TABLE(add_range))(x + i * columns + begin, out + row * columns + begin,
                                            end - begin);
    } else if (bad < 0) {
      bad = i;
    }
  }
  return bad;
}

std::int64_t one_hot(const std::int32_t* index, std::int64_t classes, float* out,
                     std::int64_t begin, std::int64_t end) {
  std::int64_t bad = -1;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t label = index[i];
    float* const row = out + i * classes;
    chosen(HWY_DISPATCH_TABLE(fill_range))(row, 0.0F, classes);
    if (label >= 0 && label < classes) {
      row[label] = 1.0F;
    } else if (bad < 0) {
      bad = i;
    }
  }
  return bad;
}

}  // namespace chainrule::cpu
#endif
