// Numbers as C writes them: the shortest digits that read back as the same double.
#include "explain/emit/c_data.h"

#include <algorithm>
#include <cmath>

#include "base/format.h"

namespace chainrule {
namespace {

constexpr std::size_t kWidth = 100;

std::string initial(double x, DType dtype) {
  if (std::isnan(x)) return "NAN";
  if (std::isinf(x)) return x > 0 ? "INFINITY" : "-INFINITY";
  return dtype == DType::kI32 ? fmt::format("{:.0f}", x) : fmt::format("{}", x);
}

class Braces {
 public:
  Braces(const Type& type, const Tensor& tensor) : type_(type), wide_(tensor.as(DType::kF64)) {}

  // All on one line.
  std::string flat() {
    next_ = 0;
    return flat_part(0);
  }

  // A row a line, and more lines for a long row.
  std::string rows() {
    next_ = 0;
    return row_part(0, 4);
  }

 private:
  std::string flat_part(std::size_t axis) {
    if (axis == type_.shape.size()) return initial(wide_.values<double>()[next_++], type_.dtype);
    std::string text = "{";
    for (std::int64_t i = 0; i < type_.shape[axis]; ++i) {
      text += (i == 0 ? "" : ", ") + flat_part(axis + 1);
    }
    return text + "}";
  }

  std::string row_part(std::size_t axis, std::size_t indent) {
    const std::string margin(indent, ' ');
    std::string text = "{\n" + margin;
    std::size_t column = indent;
    const bool is_row = axis + 1 == type_.shape.size();
    for (std::int64_t i = 0; i < type_.shape[axis]; ++i) {
      std::string part;
      if (is_row) {
        part = flat_part(axis + 1);
      } else {
        const std::size_t start = next_;
        part = flat_part(axis + 1);
        if (indent + part.size() + 1 > kWidth) {
          next_ = start;
          part = row_part(axis + 1, indent + 2);
        }
      }
      const bool fits = is_row && column + part.size() + 2 <= kWidth;
      if (i > 0) {
        text += fits ? ", " : ",\n" + margin;
        column = fits ? column + 2 : indent;
      }
      text += part;
      column += part.size();
    }
    return text + "}";
  }

  const Type& type_;
  Tensor wide_;
  std::size_t next_ = 0;
};

}  // namespace

std::string c_number(double value) {
  if (std::isnan(value)) return "NAN";
  if (std::isinf(value)) return value > 0 ? "INFINITY" : "-INFINITY";
  const double size = std::abs(value);
  const bool whole = size == std::floor(size) && size < 1e4;
  return (std::signbit(value) ? "-" : "") +
         (whole ? fmt::format("{:.0f}", size) : fmt::format("(real){}", size));
}

bool is_zero(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  const auto values = wide.values<double>();
  return std::all_of(values.begin(), values.end(), [](double x) { return x == 0; });
}

std::string c_filled(const std::string& declaration, const Type& type, const Tensor& tensor) {
  Braces braces(type, tensor);
  const std::string line = fmt::format("{} = {};\n", declaration, braces.flat());
  return line.size() <= kWidth + 1 ? line : fmt::format("{} = {};\n", declaration, braces.rows());
}

}  // namespace chainrule
