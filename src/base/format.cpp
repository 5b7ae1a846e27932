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

}  // namespace chainrule
