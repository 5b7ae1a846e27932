// chainrule on the command line: subcommands, and one line on stderr for whatever goes wrong.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "chainrule/error.h"
#include "cli/commands.h"

namespace {

constexpr int kUsage = 2;
constexpr int kFailure = 1;

int complain(std::string message, int code) {
  while (!message.empty() && message.back() == '\n') message.pop_back();
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::cout.flush();
  std::cerr << "chainrule: " << message << "\n";
  return code;
}

int run(int argc, char** argv) {
  CLI::App app("chainrule trains neural networks by backpropagation and shows its working.");
  app.name("chainrule");
  app.require_subcommand(1);
  chainrule::cli::add_train(app);
  chainrule::cli::add_evaluate(app);
  chainrule::cli::add_predict(app);
  chainrule::cli::add_generate(app);
  chainrule::cli::add_datasets(app);
  chainrule::cli::add_derive(app);
  chainrule::cli::add_check(app);
  chainrule::cli::add_explain(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    const auto chosen = app.get_subcommands();
    const std::string of = chosen.empty() ? "" : " " + chosen.front()->get_name();
    return complain(std::string(error.what()) + "; see chainrule" + of + " --help", kUsage);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return complain("standard output cannot be written", kFailure);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const chainrule::UsageError& error) {
    return complain(error.what(), kUsage);
  } catch (const std::bad_alloc&) {
    return complain("out of memory", kFailure);
  } catch (const std::exception& error) {
    return complain(error.what(), kFailure);
  }
}
