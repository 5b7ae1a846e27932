// Any update whose expansion is elementwise, in one pass over memory: the rule for optimisers
// that have no kernel of their own.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/kernels/chain.h"
#include "backend/cpu/kernels/update.h"
#include "graph/op.h"

namespace chainrule::cpu {

/// An update op as a chain over its arrays. What depends on the learning rate and the step alone,
/// such as 1 − βᵗ, is computed once a run, in float64.
class UpdateChain {
 public:
  static constexpr std::size_t kMostScalars = 16;
  /// What the scalars of the chain are in one run.
  using Scalars = std::array<float, kMostScalars>;

  /// requires  `update` is an update op with an elementwise expansion.
  /// throws    Error when the expansion has more than kMostScalars scalars or a function that the
  ///           CPU does not know.
  explicit UpdateChain(const Node& update);

  /// The chain's scalars, from the op's: the learning rate, the step, … Not for two threads at
  /// once.
  Scalars scalars(std::span<const double> of_op);

  /// Updates elements [begin, end) of the arrays, the parameter and its states, in place.
  void run(const Scalars& scalars, std::span<float* const> arrays, const float* gradient,
           std::int64_t begin, std::int64_t end) const;
  /// Updates the elements of gradient.rectangle.
  void run(const Scalars& scalars, std::span<float* const> arrays,
           const GradientBlock& gradient) const;

 private:
  static constexpr std::size_t kMostInputs = 32;
  // One operation on scalars; the arrays have one number each.
  struct Step {
    const Node* node;
    std::vector<const Array*> in;
    std::vector<Array> out;
  };
  using Inputs = std::array<const float*, kMostInputs>;

  void translate(std::size_t arrays);
  Inputs inputs(const Scalars& scalars, std::span<float* const> arrays) const;

  std::unique_ptr<Graph> graph_;  // the expansion, simplified
  std::vector<Array> given_;      // the op's scalars
  std::deque<Array> constants_;
  std::vector<Step> steps_;
  std::vector<const Array*> used_;  // by the chain, in its order
  Chain chain_;                     // inputs: the gradient, the arrays, the scalars
};

}  // namespace chainrule::cpu
