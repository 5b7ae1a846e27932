// Row-major positions as subscripts.
#include "explain/entry.h"

#include <vector>

namespace chainrule {

std::string subscript(const Shape& shape, std::size_t element) {
  if (shape.empty()) return "";
  std::vector<std::size_t> index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    const auto extent = static_cast<std::size_t>(shape[axis]);
    index[axis] = element % extent;
    element /= extent;
  }
  std::string text;
  for (const std::size_t i : index) text += (text.empty() ? "[" : ",") + std::to_string(i);
  return text + "]";
}

}  // namespace chainrule
