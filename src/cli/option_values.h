// Options that several subcommands take, and how their texts are read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chainrule/error.h"
#include "chainrule/open_data.h"
#include "chainrule/optim.h"
#include "cli/command.h"

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

/// --threads.
Option threads_option(int& threads);

void append(std::vector<Option>& options, const std::vector<Option>& more);

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
std::vector<Option> table_options(TableOptions& options);

/// Those of them by which a file is read for a model that is there already: --missing and --header.
std::vector<Option> reading_options(TableOptions& options);

ReadingOptions reading_of(const TableOptions& options);

/// What open_data is told of them.
DataOptions data_options_of(const TableOptions& options);

/// How parameters are updated.
struct UpdateOptions {
  std::string optimizer;
  double lr = 0;  // 0: the optimiser's usual rate
  Clip clip = {};
  std::optional<double> weight_decay = {};
};

/// --optimizer, --lr, --clip-norm, --clip-value and --weight-decay.
std::vector<Option> update_options(UpdateOptions& options);

Optimizer optimizer_of(const UpdateOptions& options);

}  // namespace chainrule::cli
