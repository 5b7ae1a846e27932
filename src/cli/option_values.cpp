// Shared options and their values.
#include "cli/option_values.h"

#include "base/format.h"
#include "base/phrase_rules.h"
#include "cli/output.h"

namespace chainrule::cli {

Option threads_option(int& threads) {
  return {.name = "--threads",
          .value = &threads,
          .help = "Number of threads; 0 is one per core",
          .range = between(0, 1024),
          .shows_default = true};
}

void append(std::vector<Option>& options, const std::vector<Option>& more) {
  options.insert(options.end(), more.begin(), more.end());
}

namespace {

Option missing_option(TableOptions& options) {
  return {.name = "--missing",
          .value = &options.missing,
          .help = "Cells that mean \"missing\", as in --missing ?,n/a",
          .list = true};
}

Option header_option(TableOptions& options) {
  return {.name = "--header",
          .value = &options.header,
          .help = "Whether the first line names the columns",
          .one_of = {"auto", "yes", "no"},
          .shows_default = true};
}

Header header_of(const TableOptions& options) {
  if (options.header == "yes") return Header::kYes;
  return options.header == "no" ? Header::kNo : Header::kAuto;
}

}  // namespace

std::vector<Option> table_options(TableOptions& options) {
  return {{.name = "--target",
           .value = &options.target,
           .help = "Column to predict, by name or number from 1 (built-in: the last)"},
          {.name = "--task",
           .value = &options.task,
           .help = "What the target is",
           .one_of = {"auto", "classification", "regression"},
           .shows_default = true},
          missing_option(options),
          {.name = "--drop", .value = &options.drop, .help = "Columns to leave out", .list = true},
          header_option(options)};
}

std::vector<Option> reading_options(TableOptions& options) {
  return {missing_option(options), header_option(options)};
}

ReadingOptions reading_of(const TableOptions& options) {
  return {.missing = options.missing, .header = header_of(options)};
}

DataOptions data_options_of(const TableOptions& options) {
  DataOptions data;
  data.target = options.target;
  data.task = options.task == "classification" ? Task::kClassification
              : options.task == "regression"   ? Task::kRegression
                                               : Task::kAuto;
  data.drop = options.drop;
  data.missing = options.missing;
  data.header = header_of(options);
  data.note = note;
  return data;
}

std::vector<Option> update_options(UpdateOptions& options) {
  return {{.name = "--optimizer",
           .value = &options.optimizer,
           .help = joined(Optimizer::names(), ", ") +
                   "; with options as in \"sgd momentum=0.9 nesterov\" or \"adamw ema=0.999\"",
           .shows_default = true},
          {.name = "--lr",
           .value = &options.lr,
           .help = "Learning rate (default: the optimizer's usual one)",
           .range = above(0)},
          {.name = "--clip-norm",
           .value = &options.clip.norm,
           .help = "Clip the gradients to this global norm",
           .range = above(0)},
          {.name = "--clip-value",
           .value = &options.clip.value,
           .help = "Clip each element of the gradients to this absolute value",
           .range = above(0)},
          {.name = "--weight-decay",
           .value = &options.weight_decay,
           .help = "Weight decay: an L2 penalty, or decoupled for adamw, lion and muon",
           .range = at_least(0)}};
}

Optimizer optimizer_of(const UpdateOptions& options) {
  Optimizer plain = parsed("--optimizer", [&] { return Optimizer::parse(options.optimizer); });
  if (!options.weight_decay) return plain;
  return parsed("--weight-decay", [&] {
    return Optimizer::parse(
        fmt::format("{} weight_decay={}", options.optimizer, *options.weight_decay));
  });
}

}  // namespace chainrule::cli
