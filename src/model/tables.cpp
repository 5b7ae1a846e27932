// A name is a built-in data set or a path; a path's table has a target only when one is named.
#include "model/tables.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "base/nearest.h"
#include "base/printable.h"
#include "chainrule/error.h"

namespace chainrule {

Table load_table(const std::string& name, const CsvOptions& options) {
  if (is_builtin(name)) return builtin(name);
  const bool looks_like_a_path = name == "-" || name.find_first_of("./\\") != std::string::npos;
  if (!looks_like_a_path && !std::filesystem::exists(name)) {
    throw UsageError("no such file, and " +
                     unknown_name("built-in data set", name, builtin_names()));
  }
  if (std::filesystem::is_directory(name)) {
    throw UsageError(file_name(name) +
                     ": a folder without images; expected a CSV file, a built-in data set, or a "
                     "folder with files such as train-images-idx3-ubyte");
  }
  return read_csv(readable(name), options);
}

std::string target_of(const std::string& path, const Table& table, const DataOptions& options) {
  if (!options.target.empty()) return options.target;
  if (is_builtin(path)) return table.columns.back().name;
  constexpr std::size_t kMost = 20;
  std::string names;
  for (std::size_t i = 0; i < std::min(table.columns.size(), kMost); ++i) {
    names += (i == 0 ? "" : ", ") + printable(table.columns[i].name);
  }
  if (table.columns.size() > kMost) names += ", …";
  throw UsageError("--target is needed: the column to predict, one of " + names);
}

}  // namespace chainrule
