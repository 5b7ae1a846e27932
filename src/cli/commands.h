// The subcommands. Each adds itself to the program; running it is a callback that throws
// chainrule::Error when it cannot do what was asked.
#pragma once

#include <CLI/CLI.hpp>

namespace chainrule::cli {

void add_train(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_predict(CLI::App& app);
void add_generate(CLI::App& app);
void add_datasets(CLI::App& app);
void add_derive(CLI::App& app);
void add_check(CLI::App& app);
void add_explain(CLI::App& app);

}  // namespace chainrule::cli
