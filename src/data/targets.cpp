// Decides between classification and regression, and names classes.
#include "data/targets.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "base/file.h"
#include "chainrule/numpy_format.h"

namespace chainrule {
namespace {

constexpr std::size_t kMostWholeNumberClasses = 20;

}  // namespace

Task task_of(const Column& column, Task asked) {
  if (asked != Task::kAuto) return asked;
  if (column.kind == ColumnKind::kText) return Task::kClassification;
  std::set<double> values;
  for (const double value : column.numbers) {
    if (std::isnan(value)) continue;
    values.insert(value);
    if (value != std::round(value) || values.size() > kMostWholeNumberClasses) {
      return Task::kRegression;
    }
  }
  return Task::kClassification;
}

bool is_missing(const Column& column, std::int64_t row) {
  const std::size_t at = static_cast<std::size_t>(row);
  return column.kind == ColumnKind::kText ? column.texts[at].empty()
                                          : std::isnan(column.numbers[at]);
}

std::string cell_text(const Column& column, std::int64_t row) {
  const std::size_t at = static_cast<std::size_t>(row);
  if (column.kind == ColumnKind::kText) return column.texts[at];
  const double value = column.numbers[at];
  if (std::isnan(value)) return {};
  // Beyond 2⁵³ not every whole number is a double, and Python's form is the honest one.
  const bool whole = value == std::round(value) && std::abs(value) <= 0x1p53;
  return whole ? std::to_string(static_cast<std::int64_t>(value)) : python_repr(value);
}

std::int64_t line_of(const Table& table, std::int64_t row) {
  return table.lines.empty() ? 0 : table.lines[static_cast<std::size_t>(row)];
}

std::string place_of(const Table& table, std::int64_t row) {
  const std::string source = file_name(table.source);
  return table.lines.empty() ? source + ", row " + std::to_string(row + 1)
                             : source + ':' + std::to_string(line_of(table, row));
}

std::string place_of(const Table& table, std::int64_t row, const Column& column) {
  const std::string place = place_of(table, row);
  if (table.lines.empty()) return place;
  const auto at = std::find_if(table.columns.begin(), table.columns.end(),
                               [&](const Column& c) { return &c == &column; });
  return place + ':' + std::to_string(at - table.columns.begin() + 1);
}

std::vector<std::string> sorted_classes(const std::vector<std::string>& values, bool as_numbers) {
  std::vector<std::string> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  if (as_numbers) {
    std::stable_sort(sorted.begin(), sorted.end(), [](const std::string& a, const std::string& b) {
      return std::strtod(a.c_str(), nullptr) < std::strtod(b.c_str(), nullptr);
    });
  }
  return sorted;
}

}  // namespace chainrule
