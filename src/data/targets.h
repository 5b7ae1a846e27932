// What a target column is for, and the text of a class.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "chainrule/data.h"

namespace chainrule {

/// The task that Task::kAuto means for a target column: see Encoder::fit.
Task task_of(const Column& column, Task asked);

/// A cell as a class or category: the text itself; a whole number without a point, another as
/// Python writes it; empty when missing.
std::string cell_text(const Column& column, std::int64_t row);

bool is_missing(const Column& column, std::int64_t row);

/// "iris.csv:57", or "iris, row 57" where there are no lines.
std::string place_of(const Table& table, std::int64_t row);

/// The same with the column's number: "iris.csv:57:3".
std::string place_of(const Table& table, std::int64_t row, const Column& column);

/// The line of a row, or 0.
std::int64_t line_of(const Table& table, std::int64_t row);

/// `values`, each once, sorted: as numbers when all are numbers, else as text.
std::vector<std::string> sorted_classes(const std::vector<std::string>& values, bool as_numbers);

}  // namespace chainrule
