// The tokenizer: names, numbers, strings and symbols; line ends only where a statement may end.
#include <fast_float/fast_float.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/format.h"
#include "chainrule/error.h"
#include "numpy/parse/limits.h"
#include "numpy/parse/token.h"

namespace chainrule::numpy {
namespace {

bool begins_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool continues_name(char c) { return begins_name(c) || is_digit(c); }
bool begins_character(char c) { return (c & 0xC0) != 0x80; }

class Tokenizer {
 public:
  Tokenizer(std::string_view source, const std::string& file) : source_(source), file_(file) {
    if (source_.starts_with("\xEF\xBB\xBF")) at_ = line_begin_ = 3;
  }

  std::vector<Token> run() {
    bool fresh = true;  // at the beginning of a line that begins a statement
    while (true) {
      if (fresh && !indentation()) continue;
      fresh = false;
      skip_blanks();
      if (at_ >= source_.size()) break;
      const char c = source_[at_];
      if (c == '#') {
        skip_line();
      } else if (c == '\n') {
        if (open_.empty()) push(TokenKind::kNewline, at_);
        next_line();
        fresh = open_.empty();
      } else {
        token();
      }
    }
    if (!open_.empty()) {
      fail(open_.back().at, fmt::format("\"{}\" is never closed", open_.back().text));
    }
    if (!tokens_.empty() && tokens_.back().kind != TokenKind::kNewline) {
      push(TokenKind::kNewline, at_);
    }
    for (; indents_.size() > 1; indents_.pop_back()) push(TokenKind::kDedent, at_);
    push(TokenKind::kEnd, at_);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(Position at, const std::string& message) const {
    fail_at(file_, at, message);
  }

  // Columns count characters, not bytes. Positions mostly go forward, so the count goes on from the
  // last one.
  Position position(std::size_t at) {
    if (counted_to_ < line_begin_ || at < counted_to_) {
      counted_to_ = line_begin_;
      characters_ = 0;
    }
    const std::string_view passed = source_.substr(counted_to_, at - counted_to_);
    characters_ += std::count_if(passed.begin(), passed.end(), begins_character);
    counted_to_ = at;
    return {line_, static_cast<int>(characters_) + 1};
  }

  Token& push(TokenKind kind, std::size_t begin) { return push(kind, begin, position(begin)); }

  Token& push(TokenKind kind, std::size_t begin, Position at) {
    if (tokens_.size() >= kMostTokens) {
      refuse_at(file_, at,
                fmt::format("a program of more than {} words, numbers and signs is not read; keep "
                            "data in a file and give it by shape, as in --shape X=3,2",
                            kMostTokens));
    }
    Token& token = tokens_.emplace_back();
    token.kind = kind;
    token.begin = begin;
    token.end = at_;
    token.at = at;
    token.end_line = line_;
    token.text = source_.substr(begin, at_ - begin);
    return token;
  }

  void next_line() {
    ++at_;
    ++line_;
    line_begin_ = at_;
  }

  void skip_line() {
    while (at_ < source_.size() && source_[at_] != '\n') ++at_;
  }

  void skip_blanks() {
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '\\') {
        std::size_t end = at_ + 1;
        if (end < source_.size() && source_[end] == '\r') ++end;
        if (end >= source_.size() || source_[end] != '\n') return;
        at_ = end;
        next_line();
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
        ++at_;
      } else {
        return;
      }
    }
  }

  // Measures the indentation of a line; false when the line holds no statement.
  bool indentation() {
    int width = 0;
    std::size_t at = at_;
    for (; at < source_.size(); ++at) {
      const char c = source_[at];
      if (c == ' ') {
        ++width;
      } else if (c == '\t') {
        width = (width / 8 + 1) * 8;
      } else if (c != '\r' && c != '\f') {
        break;
      }
    }
    at_ = at;
    if (at_ >= source_.size()) return true;
    const char c = source_[at_];
    if (c == '#' || c == '%' || c == '!' || c == '\n') {
      skip_line();
      if (at_ < source_.size()) next_line();
      return at_ >= source_.size();
    }
    if (width > indents_.back()) {
      indents_.push_back(width);
      push(TokenKind::kIndent, at_);
    }
    for (; width < indents_.back(); indents_.pop_back()) push(TokenKind::kDedent, at_);
    if (width != indents_.back()) {
      fail(position(at_),
           "this line is indented less than the lines above it, but not as any of "
           "the lines that open a block");
    }
    return true;
  }

  void token() {
    const char c = source_[at_];
    const std::size_t begin = at_;
    if (is_digit(c) || (c == '.' && at_ + 1 < source_.size() && is_digit(source_[at_ + 1]))) {
      number();
    } else if (c == '"' || c == '\'') {
      string(begin);
    } else if (begins_name(c)) {
      while (at_ < source_.size() && continues_name(source_[at_])) ++at_;
      const bool quote = at_ < source_.size() && (source_[at_] == '"' || source_[at_] == '\'');
      const std::string_view word = source_.substr(begin, at_ - begin);
      if (quote && word.size() <= 2 && word.find_first_not_of("rRbBfFuU") == word.npos) {
        string(begin);
      } else {
        if (word.size() > kLongestName) {
          fail(position(begin),
               fmt::format("a name of more than {} characters is not read", kLongestName));
        }
        push(TokenKind::kName, begin);
      }
    } else {
      symbol();
    }
  }

  void number() {
    const std::size_t begin = at_;
    std::string digits;
    bool real = false;
    const bool hexadecimal = source_[at_] == '0' && at_ + 1 < source_.size() &&
                             std::string_view("xXbBoO").find(source_[at_ + 1]) != source_.npos;
    for (; at_ < source_.size(); ++at_) {
      const char c = source_[at_];
      const bool sign = (c == '+' || c == '-') && !digits.empty() &&
                        (digits.back() == 'e' || digits.back() == 'E');
      if (c == '_') continue;
      if (!is_digit(c) && c != '.' && c != 'e' && c != 'E' && !sign) break;
      real = real || !is_digit(c);
      digits += c;
    }
    double value = 0;
    const char* end = digits.data() + digits.size();
    const auto result = fast_float::from_chars(digits.data(), end, value);
    const bool trailing = at_ < source_.size() && continues_name(source_[at_]);
    if (hexadecimal || trailing || result.ptr != end || result.ec == std::errc::invalid_argument) {
      while (at_ < source_.size() && continues_name(source_[at_])) ++at_;
      fail(position(begin), fmt::format("\"{}\" is not a number that can be read; write it as 12, "
                                        "0.5 or 1e-3",
                                        shown(source_.substr(begin, at_ - begin))));
    }
    if (!real && value > 9007199254740992.0) {
      fail(position(begin),
           fmt::format("{}: whole numbers beyond 2^53 are not read; write it as 1e20",
                       shown(source_.substr(begin, at_ - begin))));
    }
    push(real ? TokenKind::kReal : TokenKind::kInteger, begin).number = value;
  }

  // `begin` is where the prefix stands, at_ is on the first quote.
  void string(std::size_t begin) {
    const Position at = position(begin);
    const char quote = source_[at_];
    const std::string_view three = source_.substr(at_, 3);
    const bool triple = three.size() == 3 && three[1] == quote && three[2] == quote;
    at_ += triple ? 3 : 1;
    const std::size_t content = at_;
    for (;; ++at_) {
      if (at_ >= source_.size() || (!triple && source_[at_] == '\n')) {
        fail(at, "this string is never closed");
      }
      if (source_[at_] == '\\' && at_ + 1 < source_.size()) {
        ++at_;
      } else if (source_[at_] == quote &&
                 (!triple || source_.substr(at_, 3) == std::string(3, quote))) {
        break;
      }
      if (source_[at_] == '\n') {
        next_line();
        --at_;
      }
    }
    const std::size_t content_end = at_;
    at_ += triple ? 3 : 1;
    Token& token = push(TokenKind::kString, begin, at);
    token.text = source_.substr(content, content_end - content);
  }

  void symbol() {
    static constexpr std::array<std::string_view, 24> kLong = {
        "**=", "//=", ">>=", "<<=", "...", "->", "**", "//", "==", "!=", "<=", ">=",
        "+=",  "-=",  "*=",  "/=",  "%=",  "@=", "&=", "|=", "^=", ":=", "<<", ">>"};
    const std::size_t begin = at_;
    const auto found = std::find_if(kLong.begin(), kLong.end(), [&](std::string_view s) {
      return source_.substr(at_).starts_with(s);
    });
    const char c = source_[at_];
    if (found == kLong.end() &&
        std::string_view("+-*/%@=<>()[]{}.,:;&|^~").find(c) == std::string_view::npos) {
      fail(position(at_), std::isprint(static_cast<unsigned char>(c)) != 0
                              ? fmt::format("\"{}\" has no meaning here", c)
                              : fmt::format("expected Python text, got the byte {}",
                                            static_cast<int>(static_cast<unsigned char>(c))));
    }
    at_ += found == kLong.end() ? 1 : found->size();
    const Token& token = push(TokenKind::kSymbol, begin);
    if (c == '(' || c == '[' || c == '{') open_.push_back(token);
    if (c == ')' || c == ']' || c == '}') close(token);
  }

  void close(const Token& token) {
    const std::string_view opening = token.text == ")" ? "(" : token.text == "]" ? "[" : "{";
    if (open_.empty()) fail(token.at, fmt::format("\"{}\" closes nothing", token.text));
    if (open_.back().text != opening) {
      fail(token.at, fmt::format("\"{}\" does not close the \"{}\" of line {}", token.text,
                                 open_.back().text, open_.back().at.line));
    }
    open_.pop_back();
  }

  std::string_view source_;
  const std::string& file_;
  std::size_t at_ = 0;
  std::size_t line_begin_ = 0;
  std::size_t counted_to_ = 0;     // the place that `characters_` belongs to
  std::ptrdiff_t characters_ = 0;  // from the line's beginning
  int line_ = 1;
  std::vector<int> indents_{0};
  std::vector<Token> open_;  // brackets
  std::vector<Token> tokens_;
};

}  // namespace

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 100;
  std::string line;
  for (const char c : text) {
    const bool blank = (static_cast<unsigned char>(c) & 0xE0) == 0 || c == ' ' || c == 0x7F;
    if (line.size() >= kLongest && begins_character(c)) return line + "…";
    if (!blank) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

void fail_at(const std::string& file, Position at, const std::string& message) {
  throw DataError(fmt::format("{}:{}:{}: {}", file, at.line, at.column, message), file, at.line,
                  at.column);
}

void refuse_at(const std::string& file, Position at, const std::string& message) {
  throw LimitError(fmt::format("{}:{}:{}: {}", file, at.line, at.column, message), file, at.line,
                   at.column);
}

std::vector<Token> tokens_of(std::string_view source, const std::string& file) {
  return Tokenizer(source, file).run();
}

}  // namespace chainrule::numpy
