// Tables by name, and what of them is the target.
#pragma once

#include <string>

#include "chainrule/open_data.h"

namespace chainrule {

/// The built-in data set of that name, or the CSV file at that path; "-" is standard input.
///
/// throws  UsageError when `name` is neither, with the nearest built-in name.
Table load_table(const std::string& name, const CsvOptions& options);

/// The target that was given, or a built-in's last column.
///
/// throws  UsageError listing the columns when it has to be given.
std::string target_of(const std::string& path, const Table& table, const DataOptions& options);

}  // namespace chainrule
