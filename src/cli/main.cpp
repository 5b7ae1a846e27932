// chainrule on the command line: subcommands, and one line on stderr for whatever goes wrong.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "base/printable.h"
#include "chainrule/error.h"
#include "chainrule/program.h"
#include "cli/command.h"
#include "cli/stage.h"

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

// Where standard output is closed, the next file to be opened, a model perhaps, would take its
// place, and what is printed would go there. What stands in for it cannot be written to either, nor
// can what stands in for standard input be read.
void occupy_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) < 0) {
      [[maybe_unused]] const int taken =
          ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
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
  occupy_standard_streams();
  try {
    const std::string command = argc > 1 ? std::string(" ") + argv[1] : "";
    return chainrule::cli::stage("running chainrule" + command, [&] { return run(argc, argv); });
  } catch (const chainrule::UsageError& error) {
    return complain(error.what(), kUsage);
  } catch (const std::exception& error) {
    return complain(error.what(), kFailure);
  }
}
