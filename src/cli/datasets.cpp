// chainrule datasets: what is built in.
#include <algorithm>

#include "base/format.h"
#include "chainrule/data.h"
#include "cli/command.h"

namespace chainrule::cli {

namespace {

void datasets() {
  for (const std::string& name : builtin_names()) {
    const Table table = builtin(name);
    const std::vector<std::int32_t> groups = strata(table, table.columns.back().name);
    const std::int64_t classes =
        groups.empty() ? 0 : *std::max_element(groups.begin(), groups.end()) + 1;
    fmt::print("{:<8}  {:>6} rows  {:>3} features  {:>3} classes of {}\n", name,
               grouped(table.rows()), table.columns.size() - 1, classes, table.columns.back().name);
  }
}

}  // namespace

Command datasets_command() {
  return {.name = "datasets",
          .summary = "List the built-in data sets",
          .options = {},
          .run = [](Arguments&) { datasets(); }};
}

}  // namespace chainrule::cli
