// A training step as text: each value and gradient with its formula and numbers, and one weight's
// derivative as a sum over paths.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/trace.h"

namespace chainrule {

struct TraceTextOptions {
  std::int64_t small = 64;  // up to so many numbers a matrix is shown in full, else in summary
  bool update = false;      // show the parameters before and after the step, and the loss
};

/// The step layer by layer: forward values, loss, then the gradients from the last layer to the
/// first.
///
/// Example:  std::cout << to_text(trace(network, parameters, batch));
std::string to_text(const Trace& trace, const TraceTextOptions& options = {});

/// One number of one value.
struct TraceEntry {
  const TraceValue* value = nullptr;
  std::size_t element = 0;
};

/// "W1[0,2]".
std::string to_text(const TraceEntry& entry);

/// The parameter's entry that `text` names: "W1[0,2]" or "1.weight[0,2]".
///
/// throws  UsageError naming the nearest parameter, or the shape, when there is no such entry.
TraceEntry find_weight(const Trace& trace, std::string_view text);

/// A way on which a weight acts on the loss: each step is one local derivative.
struct WeightPath {
  std::vector<TraceEntry> entries;  // the weight, Z1[0,2], A1[0,2], …, the loss
  std::vector<double> factors;      // ∂entries[i + 1]/∂entries[i]
  double product = 0;
};

/// The chain rule for one weight:
///
///     ∂loss/∂w = Σ over all paths of the product of the local derivatives along the path
struct WeightPaths {
  std::vector<WeightPath> largest;  // by magnitude; all of them when there are few
  std::vector<WeightPath> blocked;  // those that end in a factor 0, as at a relu that is off
  double count = 0;                 // of paths whose factors are all different from 0
  double sum = 0;                   // over all of them
  double rest = 0;                  // over those that are not among the largest
  double gradient = 0;              // what gradient() gives for the weight
};

/// Expands the derivative of the loss with respect to one weight into its paths through the layers'
/// outputs. Each local derivative comes from the gradient rules of the ops in between, applied to
/// one entry.
///
/// requires  `weight` is a parameter's entry.
///
/// Example:  paths_of(step, find_weight(step, "W1[0,2]")).sum   // ∂loss/∂W1[0,2]
WeightPaths paths_of(const Trace& trace, const TraceEntry& weight, std::size_t most = 64);

/// The paths as a table, with the formula of each factor above it.
std::string to_text(const Trace& trace, const TraceEntry& weight, const WeightPaths& paths);

}  // namespace chainrule
