// Moving numbers without computing: strided copies (transpose, broadcast, slice, concatenate, pad),
// rows by index, one-hot rows. Elements are any 32-bit numbers; int32 arrays are passed through a
// reinterpret_cast, their bits are kept.
#pragma once

#include <cstdint>
#include <span>

namespace chainrule::cpu {

/// A copy between two strided arrays over the same axes, outermost first, in the order of the
/// destination.
///
///     to[Σ i_k · to_stride_k] = from[Σ i_k · from_stride_k]
///
/// A stride of 0 in `from` broadcasts. Offsets (of a slice, of a part of a concatenation) belong
/// into the pointers.
///
/// Example:  the transpose of a [m, n]
///     const StridedCopy transpose({n, m}, {1, n}, {m, 1});
///     copy(transpose, a, b, 0, transpose.size());
class StridedCopy {
 public:
  static constexpr int kMaxRank = 8;

  /// Adjacent axes that are contiguous in both arrays are merged, axes of extent 1 dropped.
  ///
  /// throws  ShapeError for more than 8 axes, or lists of different lengths.
  StridedCopy(std::span<const std::int64_t> extents, std::span<const std::int64_t> from_strides,
              std::span<const std::int64_t> to_strides);
  StridedCopy(std::initializer_list<std::int64_t> extents,
              std::initializer_list<std::int64_t> from_strides,
              std::initializer_list<std::int64_t> to_strides)
      : StridedCopy(std::span(extents.begin(), extents.size()),
                    std::span(from_strides.begin(), from_strides.size()),
                    std::span(to_strides.begin(), to_strides.size())) {}

  struct Axis {
    std::int64_t extent = 1;
    std::int64_t from = 0;
    std::int64_t to = 0;
  };
  std::int64_t size() const { return size_; }
  /// The merged axes, outermost first; at least one.
  std::span<const Axis> axes() const { return {axes_, static_cast<std::size_t>(rank_)}; }

 private:
  Axis axes_[kMaxRank];
  int rank_ = 0;
  std::int64_t size_ = 1;
};

/// Copies elements [begin, end) of the iteration space, counted row-major.
///
/// requires  from and to do not overlap.
void copy(const StridedCopy& copy, const float* from, float* to, std::int64_t begin,
          std::int64_t end);

/// out[begin … end − 1] = value.
void fill(float* out, float value, std::int64_t begin, std::int64_t end);

/// out[i, :] = table[index[i], :] for i in [begin, end).
///
/// table: [rows, columns]    index: [n]    out: [n, columns]
/// returns  the first i in the range whose index is outside [0, rows), whose row is then zero;
///          −1 if none.
std::int64_t gather_rows(const float* table, std::int64_t rows, std::int64_t columns,
                         const std::int32_t* index, float* out, std::int64_t begin,
                         std::int64_t end);

/// out = 0, then out[index[i], c] += x[i, c] for every i in turn and c in [begin, end): the
/// gradient of gather_rows. Split it over columns only.
///
/// x: [n, columns]    index: [n]    out: [rows, columns]
/// returns  the first i whose index is outside [0, rows), which is then left out; −1 if none.
std::int64_t scatter_add_rows(const float* x, const std::int32_t* index, std::int64_t n,
                              std::int64_t columns, float* out, std::int64_t rows,
                              std::int64_t begin, std::int64_t end);

/// out[i, c] = (c = index[i] ? 1 : 0) for i in [begin, end).
///
/// index: [n]    out: [n, classes]
/// returns  the first i in the range whose index is outside [0, classes), whose row is then zero;
///          −1 if none.
std::int64_t one_hot(const std::int32_t* index, std::int64_t classes, float* out,
                     std::int64_t begin, std::int64_t end);

}  // namespace chainrule::cpu
