// From a command line to the subcommand that it names, by CLI11. The numbers are read here rather
// than there, where 010 is eight, NaN is in every range and −1 is a large seed.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <type_traits>

#include "base/format.h"
#include "base/nearest.h"
#include "base/phrase_rules.h"
#include "chainrule/error.h"
#include "cli/command.h"

namespace chainrule::cli {
namespace {

// A vector takes what stands behind it up to the next option.
constexpr int kMostValues = 1 << 20;

template <typename T>
constexpr bool kWhole = std::is_integral_v<T> && !std::is_same_v<T, bool>;

// "a whole number from 0 to 1024", "a positive number", "a number, at least 0"
std::string expectation(const Range& range, bool whole) {
  const std::string number = whole ? "whole number" : "number";
  if (range.open && range.low == 0) return "a positive " + number;
  if (std::isfinite(range.low) && std::isfinite(range.high)) {
    return fmt::format("a {} from {} to {}", number, range.low, range.high);
  }
  if (std::isfinite(range.low)) return fmt::format("a {}, at least {}", number, range.low);
  return "a " + number;
}

template <typename T>
bool read_number(const std::string& text, const Range& range, T& value) {
  double real = 0;
  if constexpr (kWhole<T>) {
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end) return false;
    real = static_cast<double>(value);
  } else {
    if (!parse_number(text, value)) return false;
    real = value;
  }
  return real >= range.low && real <= range.high && !(range.open && real == range.low);
}

template <typename T>
T number_of(const Option& option, const std::string& text) {
  Range range = option.range;
  if constexpr (std::is_unsigned_v<T>) range.low = std::max(range.low, 0.0);
  T value = 0;
  if (!read_number(text, range, value)) {
    throw CLI::ValidationError(
        fmt::format("expected {}, got \"{}\"", expectation(range, kWhole<T>), text));
  }
  return value;
}

void require_known(const Option& option, const std::string& text) {
  const std::vector<std::string>& known = option.one_of;
  if (known.empty() || std::find(known.begin(), known.end(), text) != known.end()) return;
  throw CLI::ValidationError(fmt::format("expected {}, got \"{}\"", joined(known, " or "), text));
}

// Writes what was given to where the option's value lives.
struct Store {
  const Option& option;
  const std::vector<std::string>& values;

  void operator()(bool* value) const { *value = values.front() == "true"; }
  void operator()(std::string* value) const { *value = values.front(); }
  void operator()(std::vector<std::string>* value) const { *value = values; }
  void operator()(std::optional<double>* value) const {
    *value = number_of<double>(option, values.front());
  }
  template <typename T>
  void operator()(T* value) const {
    *value = number_of<T>(option, values.front());
  }
};

std::string default_text(const Destination& value) {
  return std::visit(
      [](const auto* at) {
        using T = std::remove_cvref_t<decltype(*at)>;
        if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
          return fmt::format("{}", *at);
        } else {
          return std::string();
        }
      },
      value);
}

// What the help shows behind the name: "INT in [0 - 1024]", "NUMBER", "{auto,yes,no}", "TEXT".
std::string type_text(const Option& option) {
  if (!option.one_of.empty()) return "{" + joined(option.one_of, ",") + "}";
  return std::visit(
      [&](const auto* at) -> std::string {
        using T = std::remove_cvref_t<decltype(*at)>;
        if constexpr (std::is_same_v<T, std::string> ||
                      std::is_same_v<T, std::vector<std::string>>) {
          return "TEXT";
        } else {
          std::string kind = kWhole<T> ? "INT" : "NUMBER";
          const Range& range = option.range;
          if (!std::isfinite(range.low) || !std::isfinite(range.high)) return kind;
          return fmt::format("{} in [{} - {}]", kind, range.low, range.high);
        }
      },
      option.value);
}

CLI::Option* add_option(CLI::App& sub, const Option& option) {
  const auto store = [&option](const CLI::results_t& values) {
    try {
      for (const std::string& value : values) require_known(option, value);
      std::visit(Store{option, values}, option.value);
    } catch (const CLI::ValidationError& error) {
      throw CLI::ValidationError(option.name.substr(option.name.rfind(',') + 1), error.what());
    }
    return true;
  };
  if (bool* const* flag = std::get_if<bool*>(&option.value)) {
    return sub.add_flag(option.name, **flag, option.help);
  }
  CLI::Option* added = sub.add_option(option.name, store, option.help);
  added->type_name(type_text(option));
  added->required(option.required);
  added->run_callback_for_default(false);
  if (option.shows_default) added->default_str(default_text(option.value));
  if (std::holds_alternative<std::vector<std::string>*>(option.value)) {
    added->expected(1, kMostValues);
    if (option.list) added->delimiter(',');
  }
  return added;
}

// "-o,--output" is found by its long name.
CLI::Option* find_option(CLI::App& sub, const std::string& key) {
  if (CLI::Option* named = sub.get_option_no_throw("--" + key)) return named;
  return sub.get_option_no_throw(key);  // told by its position
}

class Parsed : public Arguments {
 public:
  explicit Parsed(CLI::App& sub) : sub_(sub) {}

  bool has(const std::string& key) const override { return find_option(sub_, key) != nullptr; }

  std::vector<std::string> given(const std::string& key) const override {
    const CLI::Option* option = find_option(sub_, key);
    return option == nullptr ? std::vector<std::string>() : option->results();
  }

  void set(const std::string& key, const std::vector<std::string>& values) override {
    CLI::Option* option = find_option(sub_, key);
    const bool is_flag = option->get_expected_max() == 0;
    if (is_flag && values != std::vector<std::string>{"true"} &&
        values != std::vector<std::string>{"false"}) {
      throw UsageError(fmt::format("expected true or false, got \"{}\"", joined(values, ", ")));
    }
    try {
      option->clear();
      for (const std::string& value : values) option->add_result(value);
      option->run_callback();
    } catch (const CLI::Error& error) {
      throw UsageError(error.what());
    }
  }

  std::vector<std::string> keys_of_all() const override {
    std::vector<std::string> keys;
    for (const CLI::App* sub : sub_.get_parent()->get_subcommands({})) {
      for (const CLI::Option* option : sub->get_options()) {
        const std::string name = option->get_single_name();
        if (name != "help") keys.push_back(name);
      }
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    return keys;
  }

 private:
  CLI::App& sub_;
};

void add_command(CLI::App& app, const Command& command) {
  CLI::App* sub = app.add_subcommand(command.name, command.summary);
  for (const Option& option : command.options) add_option(*sub, option);
  for (const Option& option : command.options) {
    for (const std::string& other : option.excludes) {
      sub->get_option(option.name)->excludes(sub->get_option(other));
    }
  }
  if (!command.footer.empty()) sub->footer(command.footer);
  sub->callback([&command, sub] {
    Parsed arguments(*sub);
    command.run(arguments);
  });
}

// A word in the place of the subcommand that is none: CLI11 would only say that one is missing.
void require_subcommand(int argc, char** argv, const std::vector<Command>& commands) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  if (argc < 2) {
    throw UsageError("a subcommand is needed: " + joined(names, ", ") + "; see chainrule --help");
  }
  const std::string first = argv[1];
  if (first.starts_with('-') || std::find(names.begin(), names.end(), first) != names.end()) return;
  throw UsageError(unknown_name("subcommand", first, names) + "; see chainrule --help");
}

// What of a line the subcommand does not know: an option by its nearest name, else a word too many.
std::string unexpected_text(const CLI::App& sub) {
  for (const std::string& word : sub.remaining()) {
    if (!word.starts_with("--")) continue;
    std::vector<std::string> known;
    for (const CLI::Option* option : sub.get_options()) {
      if (!option->get_lnames().empty()) known.push_back("--" + option->get_lnames().front());
    }
    const std::string name = word.substr(0, word.find('='));
    return fmt::format("{} has no option {}{}", sub.get_name(), name, did_you_mean(name, known));
  }
  return fmt::format("{} does not take \"{}\"", sub.get_name(), sub.remaining().front());
}

}  // namespace

void run_command_line(int argc, char** argv, const std::vector<Command>& commands) {
  CLI::App app("chainrule trains neural networks by backpropagation and shows its working.");
  app.name("chainrule");
  app.require_subcommand(1);
  app.set_version_flag("--version", "chainrule " CHAINRULE_VERSION);
  require_subcommand(argc, argv, commands);
  for (const Command& command : commands) add_command(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error);
      return;
    }
    const auto chosen = app.get_subcommands();
    const std::string of = chosen.empty() ? "" : " " + chosen.front()->get_name();
    const bool extra = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
    const std::string what = extra && !chosen.empty() && !chosen.front()->remaining().empty()
                                 ? unexpected_text(*chosen.front())
                                 : error.what();
    throw UsageError(what + "; see chainrule" + of + " --help");
  }
}

}  // namespace chainrule::cli
