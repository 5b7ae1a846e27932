// Reading of phrases by a table of rules: every refusal of a layer, an optimiser or a schedule is
// written here, once, so that all of them speak alike.
#include "chainrule/phrase.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/nearest.h"
#include "base/phrase_rules.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

struct Word {
  std::string_view text;
  std::size_t column;
};

std::vector<Word> words_of(std::string_view text, std::size_t column) {
  std::vector<Word> words;
  constexpr std::string_view kBlank = " \t\r\n";
  std::size_t at = text.find_first_not_of(kBlank);
  while (at != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(kBlank, at), text.size());
    words.push_back({text.substr(at, end - at), column + at});
    at = text.find_first_not_of(kBlank, end);
  }
  return words;
}

[[noreturn]] void refuse(std::size_t column, const std::string& message) {
  throw UsageError(fmt::format("column {}: {}", column, message));
}

// "one-cycle" and "One_Cycle" are the same name.
std::string normal_name(std::string_view name) {
  std::string normal(name);
  for (char& c : normal) {
    if (c == '-') c = '_';
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return normal;
}

std::string range_text(const OptionRule& rule) {
  const bool low = std::isfinite(rule.minimum);
  const bool high = std::isfinite(rule.maximum);
  if (low && high) return fmt::format("{} to {}", rule.minimum, rule.maximum);
  if (low) return fmt::format("at least {}", rule.minimum);
  if (high) return fmt::format("at most {}", rule.maximum);
  return "";
}

std::string expectation(const OptionRule& rule) {
  if (rule.kind == OptionKind::kFlag) return "true or false";
  if (rule.kind == OptionKind::kWord) return "a word";
  const std::string kind = rule.kind == OptionKind::kInteger ? "a whole number" : "a number";
  const std::string range = range_text(rule);
  return range.empty() ? kind : kind + ", " + range;
}

bool fits(const OptionRule& rule, std::string_view value) {
  if (rule.kind == OptionKind::kFlag) return value == "true" || value == "false";
  if (rule.kind == OptionKind::kWord) return !value.empty();
  double number = 0;
  if (!parse_number(value, number)) return false;
  const bool whole = number == std::floor(number) && std::fabs(number) < 0x1p53;
  return (rule.kind != OptionKind::kInteger || whole) && number >= rule.minimum &&
         number <= rule.maximum;
}

std::vector<std::string> option_names(const PhraseRule& rule) {
  std::vector<std::string> names;
  for (const OptionRule& option : rule.options) names.emplace_back(option.name);
  return names;
}

const PhraseRule& find_rule(const Word& word, std::string_view what,
                            const std::vector<PhraseRule>& rules) {
  const std::string name = normal_name(word.text);
  std::vector<std::string> known;
  for (const PhraseRule& rule : rules) {
    if (rule.name == name) return rule;
    known.emplace_back(rule.name);
  }
  refuse(word.column, unknown_name(what, word.text, known));
}

// Which option a word sets, and to what.
struct Setting {
  const OptionRule* option;
  std::string_view value;
};

Setting setting_of(const Word& word, const PhraseRule& rule, const Phrase& phrase) {
  const std::size_t equals = word.text.find('=');
  const std::string key = normal_name(word.text.substr(0, equals));
  for (const OptionRule& option : rule.options) {
    if (option.name != key) continue;
    if (equals != std::string_view::npos) return {&option, word.text.substr(equals + 1)};
    if (option.kind == OptionKind::kFlag) return {&option, "true"};
  }
  if (equals == std::string_view::npos) {
    for (const OptionRule& option : rule.options) {
      if (option.positional && !phrase.options.contains(option.name)) return {&option, word.text};
    }
  }
  if (rule.options.empty()) {
    refuse(word.column, phrase.name + " takes no options, got \"" + std::string(word.text) + "\"");
  }
  refuse(word.column, unknown_name(fmt::format("option of {}", phrase.name),
                                   word.text.substr(0, equals), option_names(rule)));
}

void set_option(Phrase& phrase, const Setting& setting, std::size_t column) {
  const OptionRule& option = *setting.option;
  const std::string name(option.name);
  if (phrase.options.contains(name))
    refuse(column, fmt::format("{}: {} is given twice", phrase.name, name));
  if (!fits(option, setting.value)) {
    refuse(column, fmt::format("{}: {} must be {}, got \"{}\"", phrase.name, name,
                               expectation(option), setting.value));
  }
  if (option.check != nullptr) {
    try {
      option.check(setting.value);
    } catch (const UsageError& error) {
      refuse(column, fmt::format("{}: {}", phrase.name, error.what()));
    }
  }
  phrase.options.emplace(name, setting.value);
}

void complete(Phrase& phrase, const PhraseRule& rule, std::size_t column) {
  phrase.text = phrase.name;
  for (const OptionRule& option : rule.options) {
    const std::string name(option.name);
    const auto given = phrase.options.find(option.name);
    if (given == phrase.options.end()) {
      if (option.fallback.empty() && !option.optional) {
        refuse(column, fmt::format("{0} needs {1} ({2}), as in \"{0} {3}...\"", phrase.name, name,
                                   expectation(option), option.positional ? "" : name + "="));
      }
      phrase.options.emplace(name, option.fallback);
    } else if (given->second != option.fallback) {
      const bool bare_flag = option.kind == OptionKind::kFlag && given->second == "true";
      phrase.text += " ";
      if (!option.positional) phrase.text += bare_flag ? name : name + "=";
      if (!bare_flag) phrase.text += given->second;
    }
  }
}

}  // namespace

std::int64_t Phrase::integer(std::string_view option) const {
  return static_cast<std::int64_t>(real(option));
}

double Phrase::real(std::string_view option) const {
  double value = 0;
  if (!parse_number(word(option), value)) {
    throw UsageError(fmt::format("{}: {} is not a number", name, option));
  }
  return value;
}

bool Phrase::flag(std::string_view option) const { return word(option) == "true"; }

const std::string& Phrase::word(std::string_view option) const {
  const auto found = options.find(option);
  if (found == options.end()) throw UsageError(fmt::format("{} has no option {}", name, option));
  return found->second;
}

Phrase parse_phrase(std::string_view text, std::size_t column, std::string_view what,
                    const std::vector<PhraseRule>& rules) {
  const std::vector<Word> words = words_of(text, column);
  if (words.empty()) refuse(column, fmt::format("no {} given", what));
  const PhraseRule& rule = find_rule(words[0], what, rules);
  Phrase phrase;
  phrase.name = rule.name;
  for (std::size_t i = 1; i < words.size(); ++i) {
    set_option(phrase, setting_of(words[i], rule, phrase), words[i].column);
  }
  complete(phrase, rule, words[0].column);
  return phrase;
}

std::string number_text(double value) { return fmt::format("{}", value); }

bool parse_number(std::string_view text, double& value) {
  const std::from_chars_result result =
      std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() &&
         std::isfinite(value);
}

}  // namespace chainrule
