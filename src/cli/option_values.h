// Options that several subcommands take, and how their texts are read.
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

#include "chainrule/data.h"
#include "chainrule/error.h"
#include "chainrule/optim.h"

namespace chainrule::cli {

/// A message about an option's text begins with the option.
template <typename Parse>
auto parsed(const std::string& option, Parse parse) {
  try {
    return parse();
  } catch (const UsageError& error) {
    throw UsageError(option + ": " + error.what());
  }
}

/// Finite and positive, or at least 0: CLI11's own checks let NaN and infinity pass.
CLI::Validator finite_number(bool zero_too);

/// How a table is read, as the options of a subcommand say it.
struct TableOptions {
  std::string data;
  std::string target;
  std::string task = "auto";
  std::vector<std::string> missing;
  std::vector<std::string> drop;
  std::string header = "auto";
};

/// --target, --task, --missing, --drop and --header; where the table is named is the subcommand's.
void add_table_options(CLI::App& sub, TableOptions& options);

Task task_of(const TableOptions& options);

/// The table and the name of its target: the one that was given, or a built-in's last column.
///
/// throws  UsageError listing the columns when --target is needed.
std::pair<Table, std::string> load_with_target(const TableOptions& options);

/// How parameters are updated.
struct UpdateOptions {
  std::string optimizer;
  double lr = 0;  // 0: the optimiser's usual rate
  Clip clip = {};
  std::optional<double> weight_decay = {};
};

/// --optimizer, --lr, --clip-norm, --clip-value and --weight-decay.
void add_update_options(CLI::App& sub, UpdateOptions& options);

Optimizer optimizer_of(const UpdateOptions& options);

}  // namespace chainrule::cli
