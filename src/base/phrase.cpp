// Reading of phrases by a table of rules: every refusal of a layer, an optimiser or a schedule is
// written here, once, so that all of them speak alike.
#include "chainrule/phrase.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/format.h"
#include "base/nearest.h"
#include "base/phrase_rules.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

// Deeper nesting is no network but an attack on the stack.
constexpr std::size_t kMostNested = 32;
constexpr std::string_view kBlank = " \t\r\n";

// A piece of what the user wrote, and where it begins in the line.
struct Word {
  std::string_view text;
  std::size_t column;
};

[[noreturn]] void refuse(std::size_t column, const std::string& message) {
  throw UsageError(fmt::format("column {}: {}", column, message));
}

void check_parentheses(std::string_view text, std::size_t column) {
  std::vector<std::size_t> open;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '(') open.push_back(at);
    if (open.size() > kMostNested) {
      refuse(column + at, fmt::format("parentheses are nested more than {} deep", kMostNested));
    }
    if (text[at] != ')') continue;
    if (open.empty()) refuse(column + at, "no \"(\" is open that this \")\" could close");
    open.pop_back();
  }
  if (!open.empty()) refuse(column + open.back(), "this \"(\" is never closed");
}

// requires  matching parentheses, here and below.
// The parts between separators that stand in no parentheses.
std::vector<Word> split(Word line, char separator) {
  std::vector<Word> parts;
  std::size_t depth = 0;
  std::size_t first = 0;
  for (std::size_t at = 0; at <= line.text.size(); ++at) {
    if (at == line.text.size() || (depth == 0 && line.text[at] == separator)) {
      parts.push_back({line.text.substr(first, at - first), line.column + first});
      first = at + 1;
    } else if (line.text[at] == '(') {
      ++depth;
    } else if (line.text[at] == ')') {
      --depth;
    }
  }
  return parts;
}

bool is_group(std::string_view word) { return word.starts_with('('); }

// Words end at blanks; what stands in parentheses is one word, and so is "key=(…)".
std::vector<Word> words_of(Word line) {
  const std::string_view text = line.text;
  std::vector<Word> words;
  std::size_t at = text.find_first_not_of(kBlank);
  while (at < text.size()) {
    const std::size_t first = at;
    std::size_t depth = 0;
    for (; at < text.size(); ++at) {
      const char c = text[at];
      if (depth == 0 && kBlank.find(c) != std::string_view::npos) break;
      if (c == '(') {
        if (depth == 0 && at > first && text[at - 1] != '=') break;
        ++depth;
      } else if (c == ')' && --depth == 0) {
        ++at;
        break;
      }
    }
    words.push_back({text.substr(first, at - first), line.column + first});
    at = text.find_first_not_of(kBlank, at);
  }
  return words;
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
  if (rule.kind == OptionKind::kGroup) return "a list in parentheses";
  if (rule.kind == OptionKind::kBranches) return "lists in parentheses, divided by \"|\"";
  const std::string kind = rule.kind == OptionKind::kInteger ? "a whole number" : "a number";
  const std::string range = range_text(rule);
  return range.empty() ? kind : kind + ", " + range;
}

bool holds_phrases(const OptionRule& rule) {
  return rule.kind == OptionKind::kGroup || rule.kind == OptionKind::kBranches;
}

bool fits(const OptionRule& rule, std::string_view value) {
  if (holds_phrases(rule) || is_group(value)) return holds_phrases(rule) && is_group(value);
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
    if (rule.name == name || (!rule.also.empty() && rule.also == name)) return rule;
    known.emplace_back(rule.name);
  }
  refuse(word.column, unknown_name(what, word.text, known));
}

// What is read, and by which rules.
struct Reading {
  std::string_view what;
  const std::vector<PhraseRule>& rules;
};

// A name where an option is expected: the comma before it is missing.
void refuse_missing_comma(const Word& word, const Phrase& phrase, const Reading& reading) {
  const std::string name = normal_name(word.text);
  for (const PhraseRule& rule : reading.rules) {
    if (rule.name != name) continue;
    refuse(word.column,
           fmt::format("\"{0}\" is a {1}, not an option of {2}; between one {1} and the "
                       "next stands a comma: \"{2} …, {0}\"",
                       word.text, reading.what, phrase.name));
  }
}

// Which option a word sets, and to what.
struct Setting {
  const OptionRule* option;
  std::string_view value;
};

Setting setting_of(const Word& word, const PhraseRule& rule, const Phrase& phrase,
                   const Reading& reading) {
  const bool group = is_group(word.text);
  const std::size_t equals = group ? std::string_view::npos : word.text.find('=');
  const std::string key = normal_name(word.text.substr(0, equals));
  for (const OptionRule& option : rule.options) {
    if (option.name != key) continue;
    if (equals != std::string_view::npos) return {&option, word.text.substr(equals + 1)};
    if (option.kind == OptionKind::kFlag) return {&option, "true"};
  }
  if (equals == std::string_view::npos) {
    for (const OptionRule& option : rule.options) {
      if (option.positional && !phrase.options.contains(option.name) &&
          (!group || holds_phrases(option))) {
        return {&option, word.text};
      }
    }
  }
  if (reading.what == "layer") refuse_missing_comma(word, phrase, reading);
  if (rule.options.empty()) {
    refuse(word.column, phrase.name + " takes no options, got \"" + std::string(word.text) + "\"");
  }
  if (group) {
    refuse(word.column, fmt::format("{}: no list in parentheses can stand here, got \"{}\"",
                                    phrase.name, word.text));
  }
  refuse(word.column, unknown_name(fmt::format("option of {}", phrase.name),
                                   word.text.substr(0, equals), option_names(rule)));
}

std::vector<Phrase> phrases_of(const Word& line, const Reading& reading);

// "(a, b | c)" → the lists between the bars; returns their canonical text.
std::string read_group(Phrase& phrase, const OptionRule& option, const Word& group,
                       const Reading& reading) {
  const Word inside{group.text.substr(1, group.text.size() - 2), group.column + 1};
  std::vector<Word> parts = split(inside, '|');
  if (option.kind == OptionKind::kGroup && parts.size() > 1) {
    refuse(parts[1].column - 1, fmt::format("\"|\" divides branches, but {} of {} is one list",
                                            option.name, phrase.name));
  }
  std::string text;
  std::vector<std::vector<Phrase>>& branches = phrase.groups[std::string(option.name)];
  for (const Word& part : parts) {
    branches.push_back(phrases_of(part, reading));
    text += text.empty() ? "(" : " | ";
    for (const Phrase& inner : branches.back()) {
      text += (&inner == branches.back().data() ? "" : ", ") + inner.text;
    }
  }
  return text + ")";
}

void set_option(Phrase& phrase, const Setting& setting, std::size_t column,
                const Reading& reading) {
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
  phrase.options.emplace(name, holds_phrases(option)
                                   ? read_group(phrase, option, {setting.value, column}, reading)
                                   : std::string(setting.value));
}

void complete(Phrase& phrase, const PhraseRule& rule, std::size_t column) {
  phrase.text = phrase.name;
  for (const OptionRule& option : rule.options) {
    const std::string name(option.name);
    const auto given = phrase.options.find(option.name);
    if (given == phrase.options.end()) {
      if (option.fallback.empty() && !option.optional) {
        refuse(column, fmt::format("{0} needs {1} ({2}), as in \"{0} {3}{4}\"", phrase.name, name,
                                   expectation(option), option.positional ? "" : name + "=",
                                   holds_phrases(option) ? "(...)" : "..."));
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

Phrase phrase_of(const Word& line, const Reading& reading) {
  const std::vector<Word> words = words_of(line);
  if (words.empty()) refuse(line.column, fmt::format("no {} given", reading.what));
  if (is_group(words[0].text)) {
    refuse(words[0].column, fmt::format("the name of a {} must stand before \"(\"", reading.what));
  }
  const PhraseRule& rule = find_rule(words[0], reading.what, reading.rules);
  Phrase phrase;
  phrase.name = rule.name;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const Setting setting = setting_of(words[i], rule, phrase, reading);
    // A list's own words are found from where it begins, behind "key=".
    const std::size_t key = is_group(setting.value) ? words[i].text.find('(') : 0;
    set_option(phrase, setting, words[i].column + key, reading);
  }
  complete(phrase, rule, words[0].column);
  return phrase;
}

std::vector<Phrase> phrases_of(const Word& line, const Reading& reading) {
  if (const std::vector<Word> parts = split(line, '|'); parts.size() > 1) {
    refuse(parts[1].column - 1,
           fmt::format("\"|\" divides branches, which stand in parentheses; here \",\" stands "
                       "between one {} and the next",
                       reading.what));
  }
  std::vector<Phrase> phrases;
  for (const Word& part : split(line, ',')) phrases.push_back(phrase_of(part, reading));
  return phrases;
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

const std::vector<std::vector<Phrase>>& Phrase::branches(std::string_view option) const {
  static const std::vector<std::vector<Phrase>> none;
  word(option);
  const auto found = groups.find(option);
  return found == groups.end() ? none : found->second;
}

std::string Phrase::heading() const {
  std::string heading;
  std::size_t depth = 0;
  for (const char c : text) {
    if (c == ')') --depth;
    if (depth == 0) heading += c;
    if (c == '(' && depth++ == 0) heading += "…";
  }
  return heading;
}

Phrase parse_phrase(std::string_view text, std::size_t column, std::string_view what,
                    const std::vector<PhraseRule>& rules) {
  check_parentheses(text, column);
  return phrase_of({text, column}, {what, rules});
}

std::vector<Phrase> parse_phrases(std::string_view text, std::string_view what,
                                  const std::vector<PhraseRule>& rules) {
  check_parentheses(text, 1);
  return phrases_of({text, 1}, {what, rules});
}

std::string number_text(double value) { return fmt::format("{}", value); }

bool parse_number(std::string_view text, double& value) {
  const std::from_chars_result result =
      std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() &&
         std::isfinite(value);
}

}  // namespace chainrule
