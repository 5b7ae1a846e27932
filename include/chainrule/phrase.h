// A phrase: a name and its options, as in "linear 128 bias=false" or "sgd momentum=0.9 nesterov".
// Layers, optimisers and schedules are phrases: data that is written, read, stored and compared.
// An option may hold phrases itself, in parentheses: "residual (linear 8, relu)".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace chainrule {

/// A name and its options, already checked against the table that knows the name.
struct Phrase {
  std::string name;  // "linear"
  std::string text;  // canonical: parsing it gives the same phrase
  std::map<std::string, std::string, std::less<>> options;  // each that the name has
  /// What the options in parentheses hold: the phrases of each branch, one branch where the option
  /// knows no others. Options that were left out are not here.
  std::map<std::string, std::vector<std::vector<Phrase>>, std::less<>> groups;

  /// An option by name.
  ///
  /// requires  the table lists it with that type.
  /// throws    UsageError naming the phrase and the option when it does not exist.
  std::int64_t integer(std::string_view option) const;
  double real(std::string_view option) const;
  bool flag(std::string_view option) const;
  const std::string& word(std::string_view option) const;
  const std::vector<std::vector<Phrase>>& branches(std::string_view option) const;

  /// The text with "(…)" for what stands in parentheses.
  std::string heading() const;

  bool operator==(const Phrase& other) const { return text == other.text; }
};

}  // namespace chainrule
