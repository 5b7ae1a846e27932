// chainrule on the command line: subcommands, and one line on stderr for whatever goes wrong.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "chainrule/error.h"
#include "chainrule/program.h"
#include "cli/command.h"

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
  // A wrong choice is refused before any work; without one the machine is not asked yet.
  if (std::getenv("CHAINRULE_SIMD") != nullptr) chainrule::instruction_set();
  using namespace chainrule::cli;
  run_command_line(argc, argv,
                   {train_command(), evaluate_command(), predict_command(), generate_command(),
                    datasets_command(), derive_command(), check_command(), explain_command()});
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
