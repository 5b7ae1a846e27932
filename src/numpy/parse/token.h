// Python source as tokens, with the indentation made explicit as Python does it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chainrule::numpy {

/// Where something stands in the file; both count from 1.
struct Position {
  int line = 1;
  int column = 1;
};

enum class TokenKind { kName, kInteger, kReal, kString, kSymbol, kNewline, kIndent, kDedent, kEnd };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;   // a string's content, without its quotes
  double number = 0;  // of kInteger and kReal
  Position at;
  std::size_t begin = 0;  // bytes of the source
  std::size_t end = 0;
  int end_line = 1;
};

/// A piece of the source in a message: on one line, and cut off where it is long.
std::string shown(std::string_view text);

/// Stops the reading with a DataError that begins FILE:LINE:COLUMN.
[[noreturn]] void fail_at(const std::string& file, Position at, const std::string& message);

/// Comments are dropped, and so are a notebook's lines that begin with % or !.
std::vector<Token> tokens_of(std::string_view source, const std::string& file);

}  // namespace chainrule::numpy
