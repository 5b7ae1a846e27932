// Cuts CSV text into rows of cells. It knows quoting and line ends and nothing of what cells mean.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chainrule {

struct CsvRow {
  std::int64_t line = 0;  // that the row begins on, from 1
  std::vector<std::string> cells;
};

/// The one of comma, semicolon and tab that the first line has most of outside quotes; a comma when
/// it has none.
char guess_separator(std::string_view text);

class CsvScanner {
 public:
  /// `text` must outlive the scanner; `file` begins the error messages.
  CsvScanner(std::string_view text, char separator, std::string file)
      : text_(text), separator_(separator), file_(std::move(file)) {}

  /// Reads the next row into `row`; false at the end. Blank lines at the end are skipped; a blank
  /// line between rows comes as a row of one empty cell.
  ///
  /// throws  DataError for a quote that is not closed or that is followed by text.
  bool next(CsvRow& row);

 private:
  void read_quoted(std::string& cell, const CsvRow& row);
  void read_plain(std::string& cell);
  void skip_line_end();
  void skip_spaces();
  bool at_cell_end() const;

  std::string_view text_;
  char separator_;
  std::string file_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace chainrule
