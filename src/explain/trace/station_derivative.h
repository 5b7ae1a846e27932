// Derivatives between neighbouring stations of a trace: the values through which every path from a
// weight to the loss is led.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chainrule/trace.h"

namespace chainrule {

/// How one station depends on the stations right before it, all others held fixed.
class StationDerivative {
 public:
  /// `stations` are all values between which paths are told apart; `to` is one of them.
  StationDerivative(const Trace& trace, const std::vector<const TraceValue*>& stations,
                    const TraceValue& to);

  /// The stations on which `to` depends directly.
  const std::vector<const TraceValue*>& from() const { return from_; }

  /// ∂to[i]/∂from[element] for every i.
  const std::vector<double>& column(const TraceValue& from, std::size_t element);

  /// Does entry i of `to` depend on entry i of `from` alone?
  bool is_elementwise(const TraceValue& from) const;

  /// The derivative's formula in names of values, where it is elementwise: "1 - A1 ⊙ A1".
  std::string formula(const TraceValue& from) const;

  /// The value by whose entries the derivative is, when `to` is a product of `from` and it:
  /// ∂Z[m,n]/∂X[m,k] = W[k,n]. `first` tells whether `from` is the first factor.
  struct Factor {
    std::string name;
    bool first = true;
  };
  std::optional<Factor> other_factor(const TraceValue& from) const;

 private:
  struct Forward {  // the derivative along a direction: "d" in, "column" out
    std::unique_ptr<Graph> graph;
    Value column;
  };
  std::unique_ptr<Graph> part(Value& to) const;
  const Forward& forward(const TraceValue& from);
  std::vector<double> scalar_column(const TraceValue& from);

  const TraceValue& to_;
  std::vector<const TraceValue*> stations_;
  std::vector<const TraceValue*> from_;
  TensorMap feed_;
  std::map<std::string, Forward> forwards_;
  std::map<std::pair<std::string, std::size_t>, std::vector<double>> columns_;
};

}  // namespace chainrule
