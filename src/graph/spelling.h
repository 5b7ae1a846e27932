// How an op is written down: a pattern with places for its inputs, and how tightly what it makes
// binds. Each op's block holds its spellings; src/notation/notation.cpp puts them into each other.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace chainrule {

struct Node;

/// How tightly a formula binds: a looser formula inside a tighter one is put in parentheses.
enum class Binding { kComparison, kSum, kProduct, kUnary, kPower, kPostfix, kAtom };

/// {0}, {1} … stand for the inputs, {*} for all of them with commas, {name} for an attribute. An
/// input that stands between brackets or commas needs no parentheses of its own; {0?} takes a truth
/// value as it is, where {0} would have it turned into a number.
struct Pattern {
  std::string text;
  Binding binding = Binding::kAtom;
};

/// The spelling of an op in one notation: one pattern for all its nodes, or a rule that looks at
/// the node's shapes and attributes. Empty when the op has none.
class Spelling {
 public:
  using Rule = Pattern (*)(const Node& node);

  constexpr Spelling() = default;
  constexpr Spelling(const char* text, Binding binding = Binding::kAtom,
                     std::string_view needs = {})
      : text_(text), binding_(binding), needs_(needs) {}
  template <std::convertible_to<Rule> F>
  constexpr Spelling(F rule, std::string_view needs = {}) : rule_(rule), needs_(needs) {}

  constexpr bool empty() const { return text_.empty() && rule_ == nullptr; }
  Pattern of(const Node& node) const {
    return rule_ != nullptr ? rule_(node) : Pattern{std::string(text_), binding_};
  }
  /// What the code must stand under: an import, or the definition of a function.
  constexpr std::string_view needs() const { return needs_; }

 private:
  std::string_view text_;
  Binding binding_ = Binding::kAtom;
  Rule rule_ = nullptr;
  std::string_view needs_;
};

}  // namespace chainrule
