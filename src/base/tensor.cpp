// Tensors: one aligned allocation, typed views of it, and conversion between dtypes.
#include "chainrule/tensor.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>

#include "base/format.h"
#include "base/printable.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

// A cache line, and the widest vector register (AVX-512).
constexpr std::align_val_t kAlignment{64};

// Arrays of several large pages: with pages of 4 KB a pass over them waits for translations, and
// the prefetcher stops at every page's end. Only a wish; nothing depends on it.
void ask_for_large_pages([[maybe_unused]] std::byte* data, [[maybe_unused]] std::size_t size) {
#ifdef __linux__
  constexpr std::size_t kLargePage = std::size_t{1} << 21;
  constexpr std::size_t kPage = std::size_t{1} << 12;
  if (size < 2 * kLargePage) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t first = (begin + kPage - 1) / kPage * kPage;
  madvise(data + (first - begin), size - (first - begin), MADV_HUGEPAGE);
#endif
}

// Half of the addresses that a process has, in the widest numbers. Sums of some thousands of sizes
// in bytes stay far below 2⁶⁴, so only products need a check.
constexpr std::int64_t kMostElements = std::int64_t{1} << 43U;

[[noreturn]] void refuse_size(const Shape& shape) {
  double count = 1;
  for (const std::int64_t extent : shape) count *= std::max(1.0, static_cast<double>(extent));
  throw ShapeError(fmt::format("shape {} has {:.3g} elements, more than any memory holds",
                               to_string(shape), count));
}

template <typename T>
constexpr DType kDTypeOf = std::is_same_v<T, float>    ? DType::kF32
                           : std::is_same_v<T, double> ? DType::kF64
                                                       : DType::kI32;

template <typename T>
void require_dtype(DType dtype) {
  if (dtype != kDTypeOf<T>) {
    throw ShapeError(std::string("tensor: expected dtype ") + to_string(kDTypeOf<T>) + ", got " +
                     to_string(dtype));
  }
}

template <typename From, typename To>
void convert(const Tensor& from, Tensor& to) {
  const std::span<const From> in = from.values<From>();
  const std::span<To> out = to.values<To>();
  std::transform(in.begin(), in.end(), out.begin(), [](From x) { return static_cast<To>(x); });
}

template <typename From>
void convert_from(const Tensor& from, Tensor& to) {
  switch (to.dtype()) {
    case DType::kF32: return convert<From, float>(from, to);
    case DType::kF64: return convert<From, double>(from, to);
    case DType::kI32: return convert<From, std::int32_t>(from, to);
  }
}

}  // namespace

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw ShapeError("shape " + to_string(shape) + " has a negative extent");
    empty = empty || extent == 0;
    // Zeros left out: code that leaves out an axis of no extent multiplies the others.
    const bool overflows = __builtin_mul_overflow(count, extent > 0 ? extent : 1, &count);
    if (overflows || count > kMostElements) refuse_size(shape);
  }
  return empty ? 0 : count;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(shape[axis]);
  }
  return text + "]";
}

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kF64: return "f64";
    case DType::kI32: return "i32";
  }
  return "?";
}

std::size_t size_of(DType dtype) { return dtype == DType::kF64 ? 8 : 4; }

void Tensor::AlignedDelete::operator()(std::byte* bytes) const {
  ::operator delete[](bytes, kAlignment);
}

Tensor::Tensor() : Tensor(DType::kF32, Shape{0}) {}

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  // Whole vectors, so that the last one may be read and written in full.
  constexpr auto kWhole = static_cast<std::size_t>(kAlignment);
  const std::size_t size = (std::max<std::size_t>(bytes(), 1) + kWhole - 1) / kWhole * kWhole;
  try {
    storage_.reset(static_cast<std::byte*>(::operator new[](size, kAlignment)));
  } catch (const std::bad_alloc&) {
    throw MemoryError(std::string("out of memory: an array ") + to_string(dtype) +
                      to_string(shape_) + " takes " + bytes_text(size));
  }
  ask_for_large_pages(storage_.get(), size);
  std::memset(storage_.get(), 0, size);
}

Tensor::Tensor(const Tensor& other) : Tensor(other.dtype_, other.shape_) {
  std::memcpy(storage_.get(), other.storage_.get(), bytes());
}

Tensor& Tensor::operator=(const Tensor& other) {
  if (this != &other) *this = Tensor(other);
  return *this;
}

template <typename T>
Tensor Tensor::of(Shape shape, std::span<const T> values) {
  Tensor tensor(kDTypeOf<T>, std::move(shape));
  if (tensor.size() != static_cast<std::int64_t>(values.size())) {
    throw ShapeError("tensor: shape " + to_string(tensor.shape()) + " holds " +
                     std::to_string(tensor.size()) + " values, got " +
                     std::to_string(values.size()));
  }
  std::copy(values.begin(), values.end(), tensor.values<T>().begin());
  return tensor;
}

template <typename T>
std::span<T> Tensor::values() {
  require_dtype<T>(dtype_);
  return {reinterpret_cast<T*>(storage_.get()), static_cast<std::size_t>(size())};
}

template <typename T>
std::span<const T> Tensor::values() const {
  require_dtype<T>(dtype_);
  return {reinterpret_cast<const T*>(storage_.get()), static_cast<std::size_t>(size())};
}

Tensor Tensor::as(DType to) const {
  Tensor result(to, shape_);
  switch (dtype_) {
    case DType::kF32: convert_from<float>(*this, result); break;
    case DType::kF64: convert_from<double>(*this, result); break;
    case DType::kI32: convert_from<std::int32_t>(*this, result); break;
  }
  return result;
}

template Tensor Tensor::of<float>(Shape, std::span<const float>);
template Tensor Tensor::of<double>(Shape, std::span<const double>);
template Tensor Tensor::of<std::int32_t>(Shape, std::span<const std::int32_t>);
template std::span<float> Tensor::values<float>();
template std::span<double> Tensor::values<double>();
template std::span<std::int32_t> Tensor::values<std::int32_t>();
template std::span<const float> Tensor::values<float>() const;
template std::span<const double> Tensor::values<double>() const;
template std::span<const std::int32_t> Tensor::values<std::int32_t>() const;

}  // namespace chainrule
