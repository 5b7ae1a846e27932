// Row-major positions as subscripts.
#include "notation/entry.h"

#include <charconv>
#include <vector>

#include "chainrule/error.h"

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

std::size_t element_of(std::string_view subscript, const Shape& shape, const std::string& name) {
  if (subscript.empty() && element_count(shape) == 1) return 0;
  const auto refuse = [&] {
    std::string last;
    for (const std::int64_t extent : shape) {
      last += (last.empty() ? "" : ",") + std::to_string(extent - 1);
    }
    throw UsageError(name + std::string(subscript) + ": " + name + " has the shape " +
                     to_string(shape) + "; name one entry, from " + name +
                     chainrule::subscript(shape, 0) + " to " + name + "[" + last + "]");
  };
  std::size_t element = 0;
  std::size_t at = 0;
  for (const std::int64_t extent : shape) {
    if (at >= subscript.size() || subscript[at] != (at == 0 ? '[' : ',')) refuse();
    ++at;
    while (at < subscript.size() && subscript[at] == ' ') ++at;
    std::int64_t index = -1;
    const auto [end, error] =
        std::from_chars(subscript.data() + at, subscript.data() + subscript.size(), index);
    if (error != std::errc() || index < 0 || index >= extent) refuse();
    element = element * static_cast<std::size_t>(extent) + static_cast<std::size_t>(index);
    at = static_cast<std::size_t>(end - subscript.data());
  }
  if (subscript.substr(at) != "]") refuse();
  return element;
}

}  // namespace chainrule
