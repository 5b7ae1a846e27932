// The tables that phrases are read by: which names there are and which options each takes.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/phrase.h"

namespace chainrule {

enum class OptionKind {
  kInteger,
  kReal,
  kFlag,
  kWord,
  kGroup,     // phrases in parentheses: (linear 8, relu)
  kBranches,  // several such lists: (linear 8, relu | linear 8)
};

/// One option of a name. The order of the rules is the order in which values without a key fill
/// those that are `positional`.
struct OptionRule {
  std::string_view name;
  OptionKind kind = OptionKind::kReal;
  std::string_view fallback = {};  // "" when the option must be given
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool positional = false;
  bool optional = false;  // may be left out although there is no fallback; its word is then ""
  void (*check)(std::string_view word) = nullptr;  // throws UsageError for a word it refuses
};

/// A name with its options.
struct PhraseRule {
  std::string_view name;
  std::vector<OptionRule> options;
  std::string_view also = {};  // another name for it, which is read and never written
};

/// Reads one phrase.
///
/// `what` is what the names are, as "layer"; `column` is where `text` begins in the line that the
/// user wrote, counted from 1.
/// throws  UsageError naming the column, what was wrong, and what there is instead.
///
/// Example:  parse_phrase("linear 128", 1, "layer", rules).integer("units") == 128
Phrase parse_phrase(std::string_view text, std::size_t column, std::string_view what,
                    const std::vector<PhraseRule>& rules);

/// Reads phrases divided by commas; those in parentheses are of the same table.
///
/// throws  as parse_phrase, and for parentheses that do not match or are nested absurdly deep.
///
/// Example:  parse_phrases("linear 128, relu", "layer", rules).size() == 2
std::vector<Phrase> parse_phrases(std::string_view text, std::string_view what,
                                  const std::vector<PhraseRule>& rules);

/// A number written so that it reads back the same, as short as possible.
std::string number_text(double value);

/// The whole of `text` as a finite number; false when it is none.
bool parse_number(std::string_view text, double& value);

}  // namespace chainrule
