// Shapes, dtypes and tensors: the plain values that go into a graph and come out of it.
// A Tensor is dense, row-major and owns its numbers; it does no arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace chainrule {

/// The extent of each axis, outermost first. {} is a scalar.
using Shape = std::vector<std::int64_t>;

/// The product of all extents, 1 for a scalar.
///
/// throws  ShapeError for an extent below 0, and for more than 2⁴³ elements.
std::int64_t element_count(const Shape& shape);

/// "[32, 784]"; "[]" for a scalar.
std::string to_string(const Shape& shape);

/// The kinds of number. Graphs use f32 (a real number: float32 on the CPU, float64 in the reference
/// interpreter) and i32 (labels and indices); f64 tensors carry what the reference computes.
enum class DType : std::uint8_t { kF32, kF64, kI32 };

/// "f32", "f64" or "i32".
const char* to_string(DType dtype);

/// Bytes of one element: 4, 8 or 4.
std::size_t size_of(DType dtype);

/// A dense row-major array of one dtype, 64-byte aligned, zero-filled when made; its memory is a
/// multiple of 64 bytes. Making one throws ShapeError or MemoryError, naming the shape.
class Tensor {
 public:
  Tensor();  // f32[0]
  Tensor(DType dtype, Shape shape);

  /// A tensor that holds a copy of `values`, row-major.
  ///
  /// requires  values.size() == element_count(shape).
  /// throws    ShapeError naming the shape and the number of values.
  ///
  /// Example:  Tensor x = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  template <typename T>
  static Tensor of(Shape shape, std::span<const T> values);
  template <typename T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  template <typename T>
  static Tensor of(Shape shape, const std::vector<T>& values) {
    return of<T>(std::move(shape), std::span<const T>(values));
  }

  Tensor(const Tensor& other);
  Tensor& operator=(const Tensor& other);
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;
  ~Tensor() = default;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t size() const { return element_count(shape_); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype_); }

  /// The elements, row-major. T is float for f32, double for f64, std::int32_t for i32.
  ///
  /// throws  ShapeError when T is not the tensor's dtype.
  template <typename T>
  std::span<T> values();
  template <typename T>
  std::span<const T> values() const;

  std::byte* data() { return storage_.get(); }
  const std::byte* data() const { return storage_.get(); }

  /// The same numbers in another dtype: rounded to nearest for f32, truncated for i32.
  Tensor as(DType to) const;

 private:
  struct AlignedDelete {
    void operator()(std::byte* bytes) const;
  };
  DType dtype_;
  Shape shape_;
  std::unique_ptr<std::byte[], AlignedDelete> storage_;
};

}  // namespace chainrule
