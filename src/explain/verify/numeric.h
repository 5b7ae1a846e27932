// Derivatives by differences: a loss as a function on a line through the parameters' values.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chainrule/graph.h"
#include "chainrule/reference.h"

namespace chainrule {

/// A derivative and how far it can be trusted.
struct NumericDerivative {
  double value = 0;
  double uncertainty = 0;  // from rounding and from the size of the step
};

/// The op that makes the loss have two one-sided derivatives.
struct KinkSource {
  std::string op;     // the first whose result has the kink
  std::string place;  // its note
};

/// A copy of what `values` need and nothing else, with each as the output of that name.
std::unique_ptr<Graph> needed_part(const std::vector<std::pair<std::string, Value>>& values);

/// f(t) = loss at parameter + t·direction, in float64.
class LossOnLine {
 public:
  explicit LossOnLine(Value loss, TensorMap feed);

  /// Chooses the line.
  void set_line(const std::string& parameter, std::vector<double> direction);

  /// f′(0) by central differences with steps h and h/2, extrapolated: error of order h⁴.
  NumericDerivative derivative(double step) const;
  /// The best of several steps.
  NumericDerivative careful_derivative() const;
  /// Where the derivatives from the left and from the right stay apart however small the step: what
  /// makes them. Nothing where the loss is smooth.
  std::optional<KinkSource> kink() const;
  /// f(0)
  double loss() const { return at_zero_; }

 private:
  TensorMap moved(double t) const;
  double value(double t) const;
  KinkSource source_of_kink(double step) const;

  std::unique_ptr<Graph> graph_;
  Value loss_;
  TensorMap feed_;
  std::string parameter_;
  std::vector<double> direction_;
  double at_zero_ = 0;
  double rounding_ = 0;  // how far one evaluation may be off
};

}  // namespace chainrule
