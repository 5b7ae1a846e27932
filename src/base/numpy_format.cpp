// Prints arrays as NumPy does, so that a notebook's output can be compared character for character.
// The rules are those of numpy/core/arrayprint.py (version 1.24, default options): one format is
// chosen for the whole array from its finite values, every element is padded to it, and rows wrap
// at 75 columns. Digits are the shortest that read back as the element, cut at 8 after the point.
#include "chainrule/numpy_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

namespace chainrule {
namespace {

constexpr int kPrecision = 8;
constexpr std::int64_t kSummaryAbove = 1000;
constexpr std::int64_t kEdgeItems = 3;
constexpr std::size_t kLineWidth = 75;

// The digits d₀d₁… and the exponent of d₀ · 10^exponent + …, shortest form, of a positive number.
struct Decimal {
  std::string digits;
  int exponent = 0;
};

template <typename T>
std::string scientific(T value, int precision) {
  char buffer[64];
  const std::to_chars_result end =
      precision < 0
          ? std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific)
          : std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific,
                          precision);
  return {buffer, end.ptr};
}

template <typename T>
std::string fixed(T value, int precision) {
  char buffer[512];  // the longest double has 309 digits before the point
  const std::to_chars_result end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, precision);
  return {buffer, end.ptr};
}

template <typename T>
Decimal shortest(T magnitude) {
  const std::string text = scientific(magnitude, -1);
  const std::size_t e = text.find('e');
  Decimal result;
  for (const char c : std::string_view(text).substr(0, e)) {
    if (c != '.') result.digits += c;
  }
  result.exponent = std::stoi(text.substr(e + 1));
  return result;
}

// repr(float) and str(np.float32): positional between 1e-4 and 1e16, else scientific.
template <typename T>
std::string scalar_text(T value) {
  if (std::isnan(value)) return "nan";
  const std::string sign = std::signbit(value) ? "-" : "";
  const T magnitude = std::abs(value);
  if (std::isinf(magnitude)) return sign + "inf";
  if (magnitude == 0) return sign + "0.0";
  Decimal d = shortest(magnitude);
  if (static_cast<double>(magnitude) < 1e-4 || static_cast<double>(magnitude) >= 1e16) {
    std::string text = d.digits.substr(0, 1);
    if (d.digits.size() > 1) text += '.' + d.digits.substr(1);
    const std::string power = std::to_string(std::abs(d.exponent));
    return sign + text + (d.exponent < 0 ? "e-" : "e+") + (power.size() < 2 ? "0" : "") + power;
  }
  if (d.exponent < 0) {
    return sign + "0." + std::string(static_cast<std::size_t>(-d.exponent - 1), '0') + d.digits;
  }
  const std::size_t whole = static_cast<std::size_t>(d.exponent) + 1;
  if (d.digits.size() < whole + 1) d.digits.resize(whole + 1, '0');
  return sign + d.digits.substr(0, whole) + '.' + d.digits.substr(whole);
}

void trim_zeros(std::string& fraction) {
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
}

// One finite number cut at the decimal point and the exponent.
struct Parts {
  std::string whole;     // with the sign
  std::string fraction;  // without trailing zeros
  std::string exponent;  // sign and digits; empty in positional form
};

template <typename T>
Parts positional_parts(T value) {
  const T magnitude = std::abs(value);
  const Decimal d = magnitude == 0 ? Decimal{"0", 0} : shortest(magnitude);
  const int digits_after_point = std::max(static_cast<int>(d.digits.size()) - 1 - d.exponent, 0);
  const std::string text = fixed(value, std::min(digits_after_point, kPrecision));
  const std::size_t point = text.find('.');
  Parts parts{text.substr(0, point), {}, {}};
  if (point != std::string::npos) parts.fraction = text.substr(point + 1);
  trim_zeros(parts.fraction);
  return parts;
}

Parts split_scientific(const std::string& text) {
  const std::size_t e = text.find('e');
  const std::size_t point = std::min(text.find('.'), e);
  Parts parts{text.substr(0, point), {}, text.substr(e + 1)};
  if (point < e) parts.fraction = text.substr(point + 1, e - point - 1);
  return parts;
}

template <typename T>
Parts scientific_parts(T value) {
  const T magnitude = std::abs(value);
  const std::size_t digits = magnitude == 0 ? 1 : shortest(magnitude).digits.size();
  Parts parts =
      split_scientific(scientific(value, std::min(static_cast<int>(digits) - 1, kPrecision)));
  trim_zeros(parts.fraction);
  return parts;
}

std::string padded_left(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

// The format that all elements of one array share.
template <typename T>
class FloatFormat {
 public:
  explicit FloatFormat(const std::vector<T>& shown) {
    choose_notation(shown);
    bool has_nonfinite = false;
    bool has_negative_infinity = false;
    for (const T value : shown) {
      if (!std::isfinite(value)) {
        has_nonfinite = true;
        has_negative_infinity |= std::isinf(value) && value < 0;
        continue;
      }
      const Parts parts = scientific_ ? scientific_parts(value) : positional_parts(value);
      left_ = std::max(left_, parts.whole.size());
      fraction_ = std::max(fraction_, parts.fraction.size());
      exponent_ = std::max(exponent_, parts.exponent.size());
    }
    if (has_nonfinite) {
      const std::size_t point_and_right = right() + 1;
      const std::size_t widest = has_negative_infinity ? 4 : 3;
      if (widest > point_and_right) left_ = std::max(left_, widest - point_and_right);
    }
  }

  std::string operator()(T value) const {
    if (std::isnan(value)) return padded_left("nan", left_ + right() + 1);
    if (std::isinf(value)) return padded_left(value < 0 ? "-inf" : "inf", left_ + right() + 1);
    if (!scientific_) {
      const Parts parts = positional_parts(value);
      return padded_left(parts.whole, left_) + '.' + parts.fraction +
             std::string(fraction_ - parts.fraction.size(), ' ');
    }
    Parts parts = split_scientific(scientific(value, static_cast<int>(fraction_)));
    const std::size_t missing = exponent_ - parts.exponent.size();
    return padded_left(parts.whole, left_) + '.' + parts.fraction + 'e' +
           parts.exponent.insert(1, missing, '0');
  }

 private:
  void choose_notation(const std::vector<T>& shown) {
    T largest = 0;
    T smallest = std::numeric_limits<T>::infinity();
    for (const T value : shown) {
      if (!std::isfinite(value) || value == 0) continue;
      largest = std::max(largest, std::abs(value));
      smallest = std::min(smallest, std::abs(value));
    }
    if (largest == 0) return;
    scientific_ = static_cast<double>(largest) >= 1e8 || static_cast<double>(smallest) < 0.0001 ||
                  largest / smallest > T{1000};
  }

  // Characters after the point.
  std::size_t right() const { return scientific_ ? exponent_ + 1 + fraction_ : fraction_; }

  bool scientific_ = false;
  std::size_t left_ = 0;
  std::size_t fraction_ = 0;
  std::size_t exponent_ = 0;  // with its sign
};

class IntegerFormat {
 public:
  explicit IntegerFormat(const std::vector<std::int32_t>& shown) {
    for (const std::int32_t value : shown) width_ = std::max(width_, std::to_string(value).size());
  }
  std::string operator()(std::int32_t value) const {
    return padded_left(std::to_string(value), width_);
  }

 private:
  std::size_t width_ = 0;
};

// Lays the elements out in brackets and rows.
template <typename T, typename Format>
class Layout {
 public:
  explicit Layout(const Tensor& array)
      : shape_(array.shape()),
        values_(array.values<T>()),
        summarised_(array.size() > kSummaryAbove),
        format_(shown()) {}

  std::string text() const { return block(0, 0, " ", kLineWidth); }

 private:
  bool cut(std::size_t axis) const { return summarised_ && shape_[axis] > 2 * kEdgeItems; }

  // The indices along an axis that are shown; -1 stands for the dots.
  std::vector<std::int64_t> items(std::size_t axis) const {
    std::vector<std::int64_t> result;
    const std::int64_t extent = shape_[axis];
    for (std::int64_t i = 0; i < extent; ++i) {
      if (cut(axis) && i == kEdgeItems) {
        result.push_back(-1);
        i = extent - kEdgeItems;
      }
      result.push_back(i);
    }
    return result;
  }

  void collect(std::size_t axis, std::int64_t offset, std::vector<T>& out) const {
    if (axis == shape_.size()) return out.push_back(values_[static_cast<std::size_t>(offset)]);
    for (const std::int64_t i : items(axis)) {
      if (i >= 0) collect(axis + 1, offset * shape_[axis] + i, out);
    }
  }
  std::vector<T> shown() const {
    std::vector<T> result;
    collect(0, 0, result);
    return result;
  }

  // `offset` counts blocks of this axis; `indent` is what a new line starts with.
  std::string block(std::size_t axis, std::int64_t offset, const std::string& indent,
                    std::size_t width) const {
    const std::string inside = axis + 1 == shape_.size() ? row(axis, offset, indent, width - 1)
                                                         : rows(axis, offset, indent, width);
    return '[' + inside.substr(indent.size()) + ']';
  }

  std::string row(std::size_t axis, std::int64_t offset, const std::string& indent,
                  std::size_t width) const {
    std::string done;
    std::string line = indent;
    bool first = true;
    for (const std::int64_t i : items(axis)) {
      const std::string word =
          i < 0 ? "..." : format_(values_[static_cast<std::size_t>(offset * shape_[axis] + i)]);
      if (!first) line += ' ';
      first = false;
      if (line.size() + word.size() > width && line.size() > indent.size()) {
        line.erase(line.find_last_not_of(' ') + 1);
        done += line + '\n';
        line = indent;
      }
      line += word;
    }
    return done + line;
  }

  std::string rows(std::size_t axis, std::int64_t offset, const std::string& indent,
                   std::size_t width) const {
    const std::string gap(shape_.size() - axis - 1, '\n');
    std::string text;
    for (const std::int64_t i : items(axis)) {
      if (!text.empty()) text += gap;
      text += indent;
      text += i < 0 ? "..." : block(axis + 1, offset * shape_[axis] + i, indent + ' ', width - 1);
    }
    return text;
  }

  Shape shape_;
  std::span<const T> values_;
  bool summarised_;
  Format format_;
};

template <typename T>
std::string format_as(const Tensor& array) {
  if (array.shape().empty()) {
    if constexpr (std::is_same_v<T, std::int32_t>)
      return std::to_string(array.values<T>()[0]);
    else
      return scalar_text(array.values<T>()[0]);
  }
  if (array.size() == 0) return "[]";
  if constexpr (std::is_same_v<T, std::int32_t>)
    return Layout<T, IntegerFormat>(array).text();
  else
    return Layout<T, FloatFormat<T>>(array).text();
}

}  // namespace

std::string python_repr(double value) { return scalar_text(value); }

std::string numpy_format(const Tensor& array) {
  switch (array.dtype()) {
    case DType::kF32: return format_as<float>(array);
    case DType::kF64: return format_as<double>(array);
    case DType::kI32: return format_as<std::int32_t>(array);
  }
  return {};
}

}  // namespace chainrule
