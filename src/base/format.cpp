// Joining of texts and numbers.
#include "base/format.h"

namespace chainrule {

std::string joined(std::span<const std::string> pieces, std::string_view separator) {
  std::string text;
  for (const std::string& piece : pieces) {
    if (&piece != pieces.data()) text += separator;
    text += piece;
  }
  return text;
}

std::string joined(std::span<const std::int64_t> numbers, std::string_view separator) {
  std::string text;
  for (const std::int64_t& number : numbers) {
    if (&number != numbers.data()) text += separator;
    text += std::to_string(number);
  }
  return text;
}

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::int64_t sign = number < 0 ? 1 : 0;
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > sign; at -= 3) {
    text.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return text;
}

}  // namespace chainrule
