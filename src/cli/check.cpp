// chainrule check, as far as this branch has it: a NumPy file with a hand-written backward pass.
#include "cli/check.h"

#include "chainrule/error.h"
#include "cli/commands.h"

namespace chainrule::cli {

void add_check(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  CLI::App* sub = app.add_subcommand("check", "Check the gradients of a hand-written backward pass");
  sub->add_option("file", *path, "NumPy file")->required();
  sub->callback([path] {
    if (check_backprop(*path) != 0) throw Error(*path + ": the check failed");
  });
}

}  // namespace chainrule::cli
