// Reads a CSV file into a Table in two passes: the first parses every cell as a number and so
// learns which columns are text; the second, only when there are such columns, keeps their texts. A
// table of numbers is thus never held as strings, which would take four times the memory.
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <set>

#include "base/file.h"
#include "base/nearest.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "chainrule/data.h"
#include "chainrule/error.h"
#include "data/csv_scanner.h"
#include "data/header.h"
#include "data/number.h"

namespace chainrule {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

[[noreturn]] void fail_at(const std::string& file, std::int64_t line, std::int64_t column,
                          const std::string& message) {
  std::string place = file_name(file) + ':' + std::to_string(line);
  if (column > 0) place += ':' + std::to_string(column);
  throw DataError(place + ": " + message, file, line, column);
}

void require_utf8_text(const std::string& path, std::string_view text) {
  std::int64_t line = 1;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '\n') ++line;
    const std::size_t length = utf8_length(text, at);
    if (length == 0) {
      throw FileError(file_name(path) + ':' + std::to_string(line) +
                          ": expected UTF-8 text, got a byte that is none; convert the file first, "
                          "with iconv for example",
                      path);
    }
    at += length;
  }
}

// What the first pass learns of a column.
struct Census {
  std::vector<double> numbers;
  std::int64_t finite = 0;
  std::int64_t bad = 0;  // neither finite nor missing
  std::int64_t first_bad_line = 0;
  std::string first_bad;
};

class CsvReader {
 public:
  CsvReader(const std::string& path, const CsvOptions& options)
      : path_(path),
        options_(options),
        file_text_(read_file(path, {.text = "a CSV text file"})),
        text_(file_text_) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
    require_utf8_text(path_, text_);
    separator_ = options.separator != 0 ? options.separator : guess_separator(text_);
  }

  Table read() {
    table_.source = path_;
    count_columns();
    decide_kinds();
    read_texts();
    return std::move(table_);
  }

 private:
  bool is_missing(const std::string& cell) const {
    return cell.empty() || std::find(options_.missing.begin(), options_.missing.end(), cell) !=
                               options_.missing.end();
  }

  // By the names and kinds that are expected: where a column is known to be numeric, a first line
  // without a number is a header, if a wrong one.
  bool is_expected_header(const std::vector<std::string>& cells) const {
    const std::vector<std::string>& known = options_.known_names;
    const bool any_known = std::any_of(cells.begin(), cells.end(), [&](const std::string& cell) {
      return std::find(known.begin(), known.end(), cell) != known.end();
    });
    const bool any_number = std::any_of(cells.begin(), cells.end(), [](const std::string& cell) {
      double ignored = 0;
      return parse_csv_number(cell, ignored);
    });
    const bool numbers_expected =
        std::any_of(options_.kinds.begin(), options_.kinds.end(),
                    [](const auto& k) { return k.second == ColumnKind::kNumber; });
    return any_known || (!any_number && numbers_expected);
  }

  bool decides_by_cells() const {
    return options_.header == Header::kAuto && options_.known_names.empty();
  }

  void decide_header(const CsvRow& first) {
    if (!decides_by_cells()) {
      table_.has_header = options_.header == Header::kAuto ? is_expected_header(first.cells)
                                                           : options_.header == Header::kYes;
      return;
    }
    const auto [is_header, reason] =
        chainrule::decide_header(heads_, static_cast<std::int64_t>(table_.lines.size()));
    table_.has_header = is_header;
    if (reason.empty()) return;
    table_.note = file_name(path_) + ": line " + std::to_string(first.line) +
                  (is_header ? " is read as names, since " : " is read as a row, since ") + reason +
                  (is_header ? "; pass --header no if it is a row"
                             : "; pass --header yes if it names the columns");
  }

  void name_columns(const CsvRow& first) {
    std::set<std::string> seen;
    for (std::size_t i = 0; i < first.cells.size(); ++i) {
      Column& column = table_.columns.emplace_back();
      column.name = table_.has_header && !first.cells[i].empty() ? first.cells[i]
                                                                 : "column" + std::to_string(i + 1);
      if (!seen.insert(column.name).second) {
        fail_at(path_, first.line, static_cast<std::int64_t>(i) + 1,
                "the header names " + in_quotes(column.name) +
                    " twice; rename one of the two columns, or pass --header no if the line is a "
                    "row");
      }
    }
  }

  // The first pass. What the first line is shows when the others are known.
  void count_columns() {
    CsvScanner scanner(text_, separator_, path_);
    CsvRow first;
    if (!scanner.next(first)) throw DataError(file_name(path_) + ": the file is empty", path_);
    census_.resize(first.cells.size());
    if (decides_by_cells()) {
      for (const std::string& cell : first.cells) heads_.emplace_back(is_missing(cell) ? "" : cell);
    }
    for (CsvRow row; scanner.next(row);) count_row(row);
    decide_header(first);
    name_columns(first);
    if (!table_.has_header) count_before(first);
    if (table_.lines.empty()) {
      throw DataError(file_name(path_) +
                          ": a header and no rows; expected at least one row of data, or "
                          "--header no if the line is one",
                      path_);
    }
  }

  void count_row(const CsvRow& row) {
    const std::size_t expected = census_.size();
    if (std::all_of(row.cells.begin(), row.cells.end(), [](const auto& c) { return c.empty(); })) {
      fail_at(path_, row.line, 0, "empty row; remove it");
    }
    if (row.cells.size() != expected) {
      fail_at(path_, row.line, 0,
              "expected " + std::to_string(expected) + (expected == 1 ? " cell" : " cells") +
                  ", got " + std::to_string(row.cells.size()));
    }
    for (std::size_t i = 0; i < expected; ++i) {
      const double value = count_cell(census_[i], row.cells[i], row.line);
      if (!heads_.empty() && !is_missing(row.cells[i])) heads_[i].see(row.cells[i], value);
    }
    table_.lines.push_back(row.line);
  }

  // The first line, when it has turned out to be a row.
  void count_before(const CsvRow& row) {
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      Census before;
      count_cell(before, row.cells[i], row.line);
      Census& census = census_[i];
      census.numbers.insert(census.numbers.begin(), before.numbers.front());
      census.finite += before.finite;
      census.bad += before.bad;
      if (before.bad == 0) continue;
      census.first_bad_line = before.first_bad_line;
      census.first_bad = before.first_bad;
    }
    table_.lines.insert(table_.lines.begin(), row.line);
  }

  // The cell's number, NaN when it has none.
  double count_cell(Census& census, const std::string& cell, std::int64_t line) const {
    double value = kMissing;
    if (!is_missing(cell)) {
      if (parse_csv_number(cell, value) && std::isfinite(value)) {
        ++census.finite;
      } else if (census.bad++ == 0) {
        census.first_bad_line = line;
        census.first_bad = cell;
      }
    }
    return census.numbers.emplace_back(value);
  }

  void decide_kinds() {
    for (std::size_t i = 0; i < table_.columns.size(); ++i) {
      Column& column = table_.columns[i];
      Census& census = census_[i];
      const auto known = options_.kinds.find(column.name);
      const bool must_be_number =
          known != options_.kinds.end() && known->second == ColumnKind::kNumber;
      const bool must_be_text = known != options_.kinds.end() && !must_be_number;
      const bool nearly_all_numbers =
          census.finite >= 9 * census.bad || (census.bad == 1 && census.finite >= 2);
      if (!must_be_text && (must_be_number || nearly_all_numbers)) {
        if (census.bad > 0) refuse(column.name, static_cast<std::int64_t>(i) + 1, census);
        column.kind = ColumnKind::kNumber;
        column.numbers = std::move(census.numbers);
      } else {
        column.kind = ColumnKind::kText;
      }
      census.numbers = {};
    }
  }

  [[noreturn]] void refuse(const std::string& name, std::int64_t column,
                           const Census& census) const {
    double value = 0;
    const std::string& cell = census.first_bad;
    const std::string what = parse_csv_number(cell, value) ? "a finite number" : "a number";
    std::string hint;
    if (printable(cell) == cell) {  // a hint is there to be copied
      const bool plain = cell.find_first_of(" \"'$`\\*?&|;<>()") == std::string::npos;
      const std::string quote = plain ? "" : "'";
      hint = "; pass --missing " + quote + cell + quote + " to treat it as missing";
    }
    fail_at(path_, census.first_bad_line, column,
            "column " + in_quotes(name) + ": " + in_quotes(cell) + " is not " + what + hint);
  }

  // The second pass.
  void read_texts() {
    if (std::none_of(table_.columns.begin(), table_.columns.end(),
                     [](const Column& c) { return c.kind == ColumnKind::kText; })) {
      return;
    }
    CsvScanner scanner(text_, separator_, path_);
    CsvRow row;
    if (table_.has_header) scanner.next(row);
    while (scanner.next(row)) {
      for (std::size_t i = 0; i < row.cells.size(); ++i) {
        Column& column = table_.columns[i];
        if (column.kind != ColumnKind::kText) continue;
        column.texts.push_back(is_missing(row.cells[i]) ? std::string{} : row.cells[i]);
      }
    }
  }

  std::string path_;
  const CsvOptions& options_;
  std::string file_text_;
  std::string_view text_;
  char separator_ = ',';
  Table table_;
  std::vector<Census> census_;
  std::vector<HeadedColumn> heads_;  // where the cells decide what the first line is
};

}  // namespace

std::int64_t Table::rows() const {
  if (columns.empty()) return 0;
  const Column& first = columns.front();
  return static_cast<std::int64_t>(first.kind == ColumnKind::kNumber ? first.numbers.size()
                                                                     : first.texts.size());
}

std::size_t Table::index_of(const std::string& name_or_number) const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name_or_number) return i;
    names.push_back(columns[i].name);
  }
  const bool is_number = !name_or_number.empty() && name_or_number.size() < 10 &&
                         name_or_number.find_first_not_of("0123456789") == std::string::npos;
  const std::size_t number = is_number ? std::stoul(name_or_number) : 0;
  if (number >= 1 && number <= columns.size()) return number - 1;
  const std::string hint = did_you_mean(name_or_number, names);
  throw UsageError(file_name(source) + ": no column " + in_quotes(name_or_number) +
                   (hint.empty() ? "; the" : hint + " The") + " columns are " + quoted_list(names));
}

Table read_csv(const std::string& path, const CsvOptions& options) {
  try {
    return CsvReader(path, options).read();
  } catch (const std::bad_alloc&) {
    throw MemoryError(file_name(path) + ": out of memory while its cells were read");
  }
}

}  // namespace chainrule
