// The class that judges, in three parts: values, their factors, updates.
#pragma once

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "explain/grade/backprop_judge.h"

namespace chainrule::backprop {

inline bool near(double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); }

/// "a, b and c".
std::string listed(const std::vector<std::string>& names);

class Judge {
 public:
  explicit Judge(Study& study);
  Judgement run();

 private:
  Gradient& gradient(std::size_t i) { return study_.gradients[i]; }
  const Named& value_of(const Gradient& g) const { return study_.forward[*g.of]; }
  // The gradients that a gradient reads.
  const std::vector<std::size_t>& reads(std::size_t i);
  void judge_value(std::size_t i);
  // Right, if only what it reads had no factor: a penalty added to m times a derivative.
  bool inherits_factors(std::size_t i);
  void diagnose(std::size_t i, const std::vector<std::string>& bad);
  bool inherits(Gradient& g);
  // The line that = throws away was a right beginning.
  void overwritten(std::size_t i);
  // dA2 = A2 - Y is the derivative by Z2. If all that reads it takes it as that, only the name is
  // wrong.
  void forgive_name(std::size_t i);
  double factor(std::size_t i) { return gradient(i).relation.value_or(Relation{}).factor; }
  bool has_factor(std::size_t i) { return !near(factor(i), 1); }
  // A factor has a sign and a size, and each may come from another line.
  enum class Aspect { kSign, kSize };
  bool has(Aspect aspect, std::size_t i);
  bool equal(Aspect aspect, std::size_t i, std::size_t j);
  bool leads_to(std::size_t from, std::size_t to);
  bool is_rescaled(std::size_t i) const { return rescaled_.contains(i); }
  // A gradient that nothing else reads, or that changes a parameter.
  bool is_final(std::size_t i);
  // Where it comes from: the first of the gradients read that has it.
  std::size_t origin(Aspect aspect, std::size_t i);
  bool others_are_right(Aspect aspect, std::size_t from);
  void judge_factors();
  void find_culprits(Aspect aspect);
  // Every parameter's gradient divides by m, and so does what they all come from: one line too
  // many.
  void blame_common_division();
  void inherit(Aspect aspect, std::size_t i, std::size_t from);
  // The factor that the line has by convention once its own mistake is corrected.
  double factor_once_correct(std::size_t i);
  // What the size of a factor means when it is a mistake.
  std::pair<std::string, std::string> size_mistake(std::size_t i);
  // A number of rows: an extent of the data.
  bool is_batch(double count) const;
  void blame(Aspect aspect, std::size_t i);
  void explain_factor(std::size_t i);
  // The step that an update takes along minus the derivative: its rate, if there is one.
  std::optional<double> rate(const Study::Updated& u);
  // Does the update divide by what the gradient has too much? Its rate is then one that the user
  // wrote down.
  bool made_good(std::size_t i);
  bool update_divides(const Gradient& g);
  void judge_updates();
  bool wrong_sign_said(std::size_t of);
  static std::string swapped_sign(std::string text);
  const Named* other_gradient(const Study::Updated& u);
  void remark_missing();
  Study& study_;
  std::map<std::size_t, std::vector<std::size_t>> reads_;
  std::vector<std::vector<bool>> leads_;  // [to][from], as far as it was asked for
  std::vector<bool> read_by_others_;      // by gradient; empty until it is asked for
  std::map<std::size_t, bool> made_good_;
  std::vector<GradientLine> lines_;
  std::vector<GradientLine> updates_;
  std::vector<std::string> remarks_;
  std::set<std::size_t> rescaled_;
  std::map<std::pair<Aspect, std::size_t>, bool> blamed_;
  std::map<std::pair<Aspect, std::size_t>, std::size_t> culprit_;
  std::set<std::size_t> factor_said_;
  std::set<std::size_t> helpers_;  // lines already found wrong
  double common_factor_ = 1;
  std::string common_names_;
};

}  // namespace chainrule::backprop
