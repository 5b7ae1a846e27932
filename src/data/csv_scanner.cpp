// The CSV grammar of RFC 4180, with what real files add: spaces around cells, a lone LF or CR as a
// line end, blank lines at the end.
#include "data/csv_scanner.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

constexpr std::string_view kLineEnds = "\r\n";

bool is_space(char c, char separator) { return c == ' ' || (c == '\t' && separator != '\t'); }

}  // namespace

char guess_separator(std::string_view text) {
  constexpr std::array<char, 3> kSeparators = {',', ';', '\t'};
  std::array<int, 3> counts{};
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (kLineEnds.find(c) != std::string_view::npos) break;
    for (std::size_t i = 0; i < kSeparators.size(); ++i) counts[i] += c == kSeparators[i];
  }
  const auto most = std::max_element(counts.begin(), counts.end());
  return kSeparators[static_cast<std::size_t>(most - counts.begin())];
}

bool CsvScanner::at_cell_end() const {
  return at_ == text_.size() || text_[at_] == separator_ || text_[at_] == '\n' ||
         text_[at_] == '\r';
}

void CsvScanner::skip_spaces() {
  while (at_ < text_.size() && is_space(text_[at_], separator_)) ++at_;
}

void CsvScanner::skip_line_end() {
  if (at_ < text_.size() && text_[at_] == '\r') ++at_;
  if (at_ < text_.size() && text_[at_] == '\n') ++at_;
  ++line_;
}

void CsvScanner::read_plain(std::string& cell) {
  const std::size_t begin = at_;
  while (!at_cell_end()) ++at_;
  std::size_t end = at_;
  while (end > begin && is_space(text_[end - 1], separator_)) --end;
  cell.assign(text_.substr(begin, end - begin));
}

void CsvScanner::read_quoted(std::string& cell, const CsvRow& row) {
  const std::int64_t line = line_;
  const std::int64_t column = static_cast<std::int64_t>(row.cells.size());
  const auto fail = [&](const std::string& what) {
    throw DataError(
        file_name(file_) + ':' + std::to_string(line) + ':' + std::to_string(column) + ": " + what,
        file_, line, column);
  };
  ++at_;
  for (;; ++at_) {
    if (at_ == text_.size()) fail("the quote that opens this cell is never closed");
    if (text_[at_] == '"') {
      if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') break;
      ++at_;
    }
    if (text_[at_] == '\n') ++line_;
    cell += text_[at_];
  }
  ++at_;
  skip_spaces();
  if (!at_cell_end()) {
    fail("text after the closing quote; a quote inside a quoted cell is written twice");
  }
}

bool CsvScanner::next(CsvRow& row) {
  const bool only_blanks_left = text_.find_first_not_of(" \t\r\n", at_) == std::string_view::npos;
  if (only_blanks_left && (separator_ != '\t' || text_.find('\t', at_) == std::string_view::npos)) {
    return false;
  }
  row.line = line_;
  row.cells.clear();
  for (;;) {
    std::string& cell = row.cells.emplace_back();
    skip_spaces();
    if (at_ < text_.size() && text_[at_] == '"') {
      read_quoted(cell, row);
    } else {
      read_plain(cell);
    }
    if (at_ == text_.size() || text_[at_] != separator_) break;
    ++at_;
  }
  if (at_ < text_.size()) skip_line_end();
  return true;
}

}  // namespace chainrule
