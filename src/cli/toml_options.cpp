// The options of a subcommand say what keys there are and what values they take, so nothing is
// listed here a second time.
#include "cli/toml_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include "base/nearest.h"
#include "chainrule/error.h"
#include "cli/source.h"

namespace chainrule::cli {
namespace {

std::string place(const std::string& path, const toml::source_position& at) {
  return fmt::format("{}:{}:{}", path, at.line, at.column);
}

toml::table parse(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) throw FileError(path + ": cannot be read", path);
  try {
    return toml::parse(text.str());
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}: {}", place(path, error.source().begin), error.description()));
  }
}

CLI::Option* option_of(CLI::App& sub, const std::string& key) {
  if (CLI::Option* named = sub.get_option_no_throw("--" + key)) return named;
  return sub.get_option_no_throw(key);  // a positional argument
}

std::vector<std::string> keys_of(const CLI::App& sub) {
  std::vector<std::string> keys;
  for (const CLI::Option* option : sub.get_options()) {
    const std::string name = option->get_single_name();
    if (name != "help") keys.push_back(name);
  }
  return keys;
}

std::string text_of(const toml::node& value, const std::string& where) {
  if (const auto* text = value.as_string()) return text->get();
  if (const auto* whole = value.as_integer()) return std::to_string(whole->get());
  if (const auto* real = value.as_floating_point()) return fmt::format("{}", real->get());
  if (const auto* flag = value.as_boolean()) return flag->get() ? "true" : "false";
  throw UsageError(where + ": expected a string, a number, true, false or a list of those");
}

// A list of layers is a line of text in several pieces; other lists are several values.
std::vector<std::string> values_of(const std::string& key, const toml::node& value,
                                   const std::string& where) {
  if (!value.is_array()) return {text_of(value, where)};
  std::vector<std::string> values;
  for (const toml::node& element : *value.as_array()) values.push_back(text_of(element, where));
  if (key != "model") return values;
  return {fmt::format("{}", fmt::join(values, ", "))};
}

void set(CLI::Option& option, const std::vector<std::string>& values, const std::string& where) {
  try {
    for (const std::string& value : values) option.add_result(value);
    option.run_callback();
  } catch (const CLI::Error& error) {
    throw UsageError(fmt::format("{}: {}", where, error.what()));
  }
}

std::string beside(const std::string& toml, const std::string& data) {
  const std::filesystem::path path = std::filesystem::path(toml).parent_path() / data;
  return !is_builtin(data) && std::filesystem::exists(path) ? path.string() : data;
}

}  // namespace

bool is_toml(const std::string& path) { return path.ends_with(".toml"); }

void fill_from_toml(CLI::App& sub, const std::string& path) {
  const toml::table table = parse(path);
  std::vector<std::string> known;
  for (const CLI::App* other : sub.get_parent()->get_subcommands({})) {
    const std::vector<std::string> keys = keys_of(*other);
    known.insert(known.end(), keys.begin(), keys.end());
  }
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  for (const auto& [key_text, value] : table) {
    const std::string key(key_text.str());
    const std::string where = fmt::format("{}: {}", place(path, key_text.source().begin), key);
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw UsageError(fmt::format("{}: {}", place(path, key_text.source().begin),
                                   unknown_name("key", key, known)));
    }
    CLI::Option* option = option_of(sub, key);
    if (option == nullptr) continue;
    const bool given = option->count() > 0;
    const bool holds_this_file = given && option->results().front() == path;
    if (given && !holds_this_file) continue;
    std::vector<std::string> values = values_of(key, value, where);
    if (key == "data" && !values.empty()) values[0] = beside(path, values[0]);
    option->clear();
    set(*option, values, where);
  }
}

}  // namespace chainrule::cli
