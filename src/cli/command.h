// A subcommand as data: its name, its options, what runs. One file, command_line.cpp, hands them to
// the parser of command lines, so that no other has to include it.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace chainrule::cli {

/// Where the value of an option goes; its type says what the option takes. A bool is a flag.
using Destination = std::variant<bool*, int*, std::int64_t*, std::uint64_t*, double*,
                                 std::optional<double>*, std::string*, std::vector<std::string>*>;

/// The numbers that an option takes: low to high, or above low where `open`. NaN and infinity are
/// never taken.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool open = false;
};

constexpr Range at_least(double low) { return {.low = low}; }
constexpr Range above(double low) { return {.low = low, .open = true}; }
constexpr Range between(double low, double high) { return {.low = low, .high = high}; }

struct Option {
  std::string name;  // "--lr", "-o,--output"; without dashes it is told by its position
  Destination value;
  std::string help;
  Range range = {};                        // of numbers
  std::vector<std::string> one_of = {};    // of words
  std::vector<std::string> excludes = {};  // names of options that cannot be given beside it
  bool required = false;
  bool list = false;           // "a,b" is two values
  bool shows_default = false;  // the help states the value that it has before parsing
};

/// The options of the subcommand that runs, as far as the command line gave them; the rest may be
/// filled from elsewhere. An option's key is its long name without dashes.
class Arguments {
 public:
  virtual ~Arguments() = default;
  /// Whether the subcommand has that option.
  virtual bool has(const std::string& key) const = 0;
  /// What the command line gave, nothing where it gave none.
  virtual std::vector<std::string> given(const std::string& key) const = 0;
  /// Gives the option these values in the place of those it has.
  ///
  /// throws  UsageError for a value that the option refuses.
  virtual void set(const std::string& key, const std::vector<std::string>& values) = 0;
  /// The keys of all subcommands, sorted.
  virtual std::vector<std::string> keys_of_all() const = 0;
};

struct Command {
  std::string name;
  std::string summary;
  std::vector<Option> options;
  /// Throws chainrule::Error when it cannot do what was asked.
  std::function<void(Arguments&)> run;
  std::string footer = {};  // below the options in the help
};

Command train_command();
Command evaluate_command();
Command predict_command();
Command generate_command();
Command datasets_command();
Command derive_command();
Command check_command();
Command explain_command();

/// Parses a command line and runs the subcommand that it names; --help and --version print.
///
/// throws  UsageError for a line that cannot be parsed; what the subcommand throws.
void run_command_line(int argc, char** argv, const std::vector<Command>& commands);

}  // namespace chainrule::cli
