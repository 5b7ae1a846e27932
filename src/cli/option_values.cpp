// Shared options and their values.
#include "cli/option_values.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/phrase_rules.h"
#include "cli/source.h"

namespace chainrule::cli {

CLI::Validator finite_number(bool zero_too) {
  const std::string what = zero_too ? "a number, at least 0" : "a positive number";
  return CLI::Validator(
      [what, zero_too](std::string& text) {
        double value = 0;
        const bool good = parse_number(text, value) && (zero_too ? value >= 0 : value > 0);
        return good ? std::string() : fmt::format("expected {}, got \"{}\"", what, text);
      },
      "NUMBER");
}

void add_table_options(CLI::App& sub, TableOptions& options) {
  sub.add_option("--target", options.target,
                 "Column to predict, by name or number from 1 (built-in: the last)");
  sub.add_option("--task", options.task, "What the target is")
      ->check(CLI::IsMember({"auto", "classification", "regression"}))
      ->capture_default_str();
  sub.add_option("--missing", options.missing, "Cells that mean \"missing\", as in --missing ?,n/a")
      ->delimiter(',');
  sub.add_option("--drop", options.drop, "Columns to leave out")->delimiter(',');
  sub.add_option("--header", options.header, "Whether the first line names the columns")
      ->check(CLI::IsMember({"auto", "yes", "no"}))
      ->capture_default_str();
}

Task task_of(const TableOptions& options) {
  if (options.task == "classification") return Task::kClassification;
  return options.task == "regression" ? Task::kRegression : Task::kAuto;
}

std::pair<Table, std::string> load_with_target(const TableOptions& options) {
  CsvOptions csv;
  csv.missing = options.missing;
  csv.header = options.header == "yes"  ? Header::kYes
               : options.header == "no" ? Header::kNo
                                        : Header::kAuto;
  Table table = load_table(options.data, csv);
  if (!options.target.empty()) return {std::move(table), options.target};
  if (!is_builtin(options.data)) {
    std::string names;
    for (std::size_t i = 0; i < std::min<std::size_t>(table.columns.size(), 20); ++i) {
      names += (i == 0 ? "" : ", ") + table.columns[i].name;
    }
    if (table.columns.size() > 20) names += ", …";
    throw UsageError("--target is needed: the column to predict, one of " + names);
  }
  std::string last = table.columns.back().name;
  return {std::move(table), std::move(last)};
}

void add_update_options(CLI::App& sub, UpdateOptions& options) {
  sub.add_option("--optimizer", options.optimizer,
                 "adadelta, adagrad, adam, adamw, lbfgs, lion, muon, nadam, rmsprop or sgd, with "
                 "options as in \"sgd momentum=0.9 nesterov\" or \"adamw ema=0.999\"")
      ->capture_default_str();
  sub.add_option("--lr", options.lr, "Learning rate (default: the optimizer's usual one)")
      ->check(finite_number(false));
  sub.add_option("--clip-norm", options.clip.norm, "Largest norm of all gradients together")
      ->check(finite_number(false));
  sub.add_option("--clip-value", options.clip.value, "Largest element of a gradient")
      ->check(finite_number(false));
  sub.add_option("--weight-decay", options.weight_decay, "Pull of the weights towards 0")
      ->check(finite_number(true));
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
