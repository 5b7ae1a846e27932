// Escapes, character by character. What is printable already comes back as it was.
#include "base/printable.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "base/utf8.h"

namespace chainrule {
namespace {

std::uint32_t code_point(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first;
  std::uint32_t code = first & (0x7FU >> character.size());
  for (const char byte : character.substr(1)) {
    code = (code << 6U) | (static_cast<unsigned char>(byte) & 0x3FU);
  }
  return code;
}

// Marks of direction and of lines, and what has no width.
bool disturbs(std::uint32_t code) {
  const auto within = [code](std::uint32_t low, std::uint32_t high) {
    return code >= low && code <= high;
  };
  return within(0x80, 0x9F) || within(0x200B, 0x200F) || within(0x2028, 0x202E) ||
         within(0x2066, 0x2069) || code == 0xFEFF;
}

std::string escaped(std::string_view character) {
  const std::uint32_t code = code_point(character);
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  if (code < 0x20 || code == 0x7F) return fmt::format("\\x{:02X}", code);
  return disturbs(code) ? fmt::format("\\u{{{:04X}}}", code) : std::string(character);
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string result;
  std::size_t characters = 0;
  for (std::size_t at = 0; at < text.size(); ++characters) {
    if (characters == most) return result + "… (" + bytes_text(text.size()) + ")";
    const std::size_t length = utf8_length(text, at);
    result += length == 0 ? fmt::format("\\x{:02X}", static_cast<unsigned char>(text[at]))
                          : escaped(text.substr(at, length));
    at += std::max<std::size_t>(length, 1);
  }
  return result;
}

std::string in_quotes(std::string_view text) { return '"' + printable(text) + '"'; }

std::string printable_lines(std::string_view text) {
  constexpr std::string_view kKept = "\n\t";
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(kKept, at), text.size());
    result += printable(text.substr(at, end - at), text.size());
    if (end < text.size()) result += text[end];
    at = end + 1;
  }
  return result;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"bytes", "KB", "MB", "GB", "TB", "PB", "EB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 999.5 && unit + 1 < kUnits.size(); ++unit) size /= 1000;
  return fmt::format("{:.3g} {}", size, kUnits[unit]);
}

}  // namespace chainrule
