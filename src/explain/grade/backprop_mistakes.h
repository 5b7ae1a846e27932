// The mistakes that people make in backpropagation, as things to try: each is another way to
// compute a line, and the one that gives the true derivative is what went wrong.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "explain/grade/backprop_study.h"

namespace chainrule::backprop {

/// One thing that may be wrong, with the line computed as if it were not.
struct Suspicion {
  std::string mistake;  // its short name
  std::string sentence;
  int rank = 0;              // how readily a person would think of it: 0 first
  Value value;               // the line's value, corrected
  const Node* at = nullptr;  // the node that was changed; null for the line as a whole
};

/// What is wrong with a line.
struct Finding {
  std::string mistake;
  std::string sentence;
  std::size_t assignment = 0;  // where
  Relation relation;           // of the value that it would have
};

/// Collects suspicions about one gradient.
class Suspicions {
 public:
  Suspicions(Study& study, const Gradient& gradient);

  /// The whole line, changed. `f` may throw ShapeError: then it was not that.
  void of_line(int rank, const std::string& mistake, const std::string& sentence,
               const std::function<Value(Value line)>& f);
  /// One node of the line, changed.
  void of_node(int rank, const std::string& mistake, const std::string& sentence, const Node& node,
               const std::function<Value(const std::vector<Value>& inputs)>& f);

  /// What stands in the place of the gradients that the line reads.
  const Substitution& corrected() const { return substitution_; }

  Study& study;
  const Gradient& gradient;
  const Named& of;
  Value line;                      // with the gradients that it reads corrected; may be empty
  std::vector<const Node*> nodes;  // of its expression
  std::vector<Suspicion> list;

 private:
  Substitution substitution_;
};

/// "A1 = relu(Z1)".
std::string described(const Study& study, const Activation& activation);
/// A value in a sentence: its name, or its expression when that is short, or "this operand".
std::string mention(const Study& study, Value v);

// Each looks for one family of mistakes.
void suspect_whole_line(Suspicions& s);
void suspect_missing_terms(Suspicions& s);
void suspect_activations(Suspicions& s);
void suspect_operands(Suspicions& s);
void suspect_products(Suspicions& s);
void suspect_sums_and_signs(Suspicions& s);

/// The mistake in a gradient whose value is wrong though all that it reads is taken as right.
std::optional<Finding> find_mistake(Study& study, const Gradient& gradient);

}  // namespace chainrule::backprop
