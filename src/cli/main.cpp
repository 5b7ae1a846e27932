// chainrule on the command line: subcommands, and one line on stderr for whatever goes wrong.
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "base/printable.h"
#include "chainrule/error.h"
#include "cli/command.h"

namespace {

constexpr int kUsage = 2;
constexpr int kFailure = 1;

// A message is one line, and prints as one whatever the files and names are that it quotes; only
// the lines of a table, which begin with two blanks, stay lines.
int complain(std::string message, int code) {
  while (!message.empty() && message.back() == '\n') message.pop_back();
  for (std::size_t at = 0; (at = message.find('\n', at)) != std::string::npos; ++at) {
    if (message.compare(at, 3, "\n  ") != 0) message[at] = ' ';
  }
  std::cout.flush();
  std::cerr << "chainrule: " << chainrule::printable_lines(message) << "\n";
  return code;
}

int run(int argc, char** argv) {
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
