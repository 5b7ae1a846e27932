// The options of a subcommand say what keys there are and what values they take, so nothing is
// listed here a second time.
#include "cli/toml_options.h"

#include <algorithm>
#include <filesystem>
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include "base/file.h"
#include "base/format.h"
#include "base/nearest.h"
#include "chainrule/error.h"
#include "cli/source.h"

namespace chainrule::cli {
namespace {

std::string place(const std::string& path, const toml::source_position& at) {
  return fmt::format("{}:{}:{}", path, at.line, at.column);
}

toml::table parse(const std::string& path) {
  constexpr std::uint64_t kMost = 16'000'000;
  const std::string text = read_file(path, {.text = "a TOML file", .most = kMost});
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}: {}", place(path, error.source().begin), error.description()));
  }
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
  return {joined(values, ", ")};
}

std::string beside(const std::string& toml, const std::string& data) {
  const std::filesystem::path path = std::filesystem::path(toml).parent_path() / data;
  return !is_builtin(data) && std::filesystem::exists(path) ? path.string() : data;
}

}  // namespace

bool is_toml(const std::string& path) { return path.ends_with(".toml"); }

void fill_from_toml(Arguments& arguments, const std::string& path) {
  const toml::table table = parse(path);
  const std::vector<std::string> known = arguments.keys_of_all();
  for (const auto& [key_text, value] : table) {
    const std::string key(key_text.str());
    const std::string at = place(path, key_text.source().begin);
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw UsageError(fmt::format("{}: {}", at, unknown_name("key", key, known)));
    }
    if (!arguments.has(key)) continue;
    const std::vector<std::string> given = arguments.given(key);
    const bool holds_this_file = !given.empty() && given.front() == path;
    if (!given.empty() && !holds_this_file) continue;
    const std::string where = fmt::format("{}: {}", at, key);
    std::vector<std::string> values = values_of(key, value, where);
    if (key == "data" && !values.empty()) values[0] = beside(path, values[0]);
    try {
      arguments.set(key, values);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", where, error.what()));
    }
  }
}

}  // namespace chainrule::cli
