// Whether gradients are right: backpropagation against central differences in float64, and the CPU
// backend against the reference interpreter.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chainrule/data.h"
#include "chainrule/graph.h"
#include "chainrule/nn.h"
#include "chainrule/optim.h"
#include "chainrule/reference.h"

namespace chainrule {

struct GradientCheckOptions {
  std::int64_t entries =
      256;  // of each parameter: all where it has no more, else as many at random
  std::int64_t directions = 2;  // at random, of each parameter
  double tolerance = 1e-6;      // relative
  std::uint64_t seed = 0;       // of what is chosen at random
};

/// One derivative, found in two ways.
struct ComparedDerivative {
  std::string where;  // "1.weight[0,2]"; "1.weight along direction 1"
  double analytic = 0;
  double numeric = 0;
  /// |analytic − numeric| / max(|analytic|, |numeric|), where what rounding does to the numeric
  /// derivative counts as right: at most the tolerance exactly when the two agree.
  double error = 0;
};

/// Derivatives that do not exist: a change of the parameter to one side has another effect than one
/// to the other side. They are compared at a point a little beside, where they do exist.
struct Kink {
  std::string op;      // the first whose result has the kink: "relu"
  std::string place;   // where that op stands: "layer 2 (relu)", or ""
  std::int64_t count;  // of derivatives
  std::string where;   // the first of them: "1.weight[0,2]"
};

/// What was found for one parameter.
struct ParameterCheck {
  std::string name;
  Shape shape;
  std::int64_t entries = 0;  // compared one by one
  ComparedDerivative worst_entry;
  ComparedDerivative worst_direction;
  std::vector<Kink> kinks;
  bool all_zero = false;  // every analytic entry is 0: right, or nothing arrives here
  bool passed = false;
};

/// The gradient of `loss` with respect to each of `parameters`, as gradient() derives it, against
/// central differences of the float64 reference, extrapolated; both at the point `feed`.
///
/// loss: []    parameters: inputs or parameters of the same graph    feed: as for Evaluation
/// Nothing is added to the graph.
///
/// Example:  for (const ParameterCheck& c : check_gradient(loss, {w, b}, feed))
///             std::cout << c.name << (c.passed ? " ok\n" : " WRONG\n");
std::vector<ParameterCheck> check_gradient(Value loss, const std::vector<Value>& parameters,
                                           const TensorMap& feed,
                                           const GradientCheckOptions& options = {});

/// One result of the CPU backend (float32) beside the reference's.
struct BackendCheck {
  std::string what;   // "loss", "gradient", "update"
  std::string name;   // the parameter, or "" for the loss
  std::string where;  // the entry that differs most: "1.weight[0,2]"
  double cpu = 0;
  double reference = 0;
  double error = 0;  // of that entry, relative to the largest number of the same tensor
  /// What float32 may be off there, relative to the same: by how much the entry moves in float64
  /// when every operation before it is off by some roundings of float32.
  double allowed = 0;
  bool passed = false;  // error <= allowed, here and in every other entry
};

struct NetworkCheckOptions {
  GradientCheckOptions gradient = {};
  Optimizer optimizer = Optimizer::parse("sgd");
  double lr = 0;  // 0: the optimiser's usual rate
  Clip clip = {};
  std::int64_t seed = 0;  // of dropout
  int threads = 0;        // of the CPU backend; 0: one a core
};

/// Everything that can be wrong with a network's training step on one batch.
struct NetworkCheck {
  double loss = 0;
  std::vector<ParameterCheck> gradients;
  std::vector<BackendCheck> backend;
  bool passed() const;
};

/// Checks a network at the point `parameters` (named as in a model file) on `batch`: each gradient
/// by differences, then loss, gradients and one update of the CPU backend by the reference.
///
/// throws  ShapeError when network and batch do not fit.
NetworkCheck check_network(const Sequential& network, const TensorMap& parameters,
                           const Dataset& batch, const NetworkCheckOptions& options = {});

}  // namespace chainrule
