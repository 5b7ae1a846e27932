// What stands in files and names, as it may go to a terminal: no control characters, no broken
// UTF-8, no cell of a megabyte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace chainrule {

/// `text` on one line: bytes that are no UTF-8 and control characters as \xNN, characters that
/// reorder or hide others as \u{NNNN}, line ends and tabs as \n, \r and \t. Beyond `most`
/// characters it is cut, and its size said: "aaaa… (1 MB)".
std::string printable(std::string_view text, std::size_t most = 60);

/// `printable` between quotation marks.
std::string in_quotes(std::string_view text);

/// The same for a whole message or table: it keeps its line ends and tabs and is not cut.
std::string printable_lines(std::string_view text);

/// "17 bytes", "2.15 GB".
std::string bytes_text(std::uint64_t bytes);

}  // namespace chainrule
