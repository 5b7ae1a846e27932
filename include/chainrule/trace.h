// One training step of a network on one batch, with every number that a person may want to see.
// All of `explain`, as text and as a page, is a reading of this.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/data.h"
#include "chainrule/graph.h"
#include "chainrule/nn.h"
#include "chainrule/optim.h"
#include "chainrule/reference.h"

namespace chainrule {

/// What a value is for in a training step.
enum class TracePart : std::uint8_t {
  kInput,      // comes from the data: X, the target, the learning rate
  kParameter,  // as it was before the step
  kForward,    // up to and including the loss
  kBackward,   // gradients
  kUpdate,     // what the optimiser makes of them: W1', its moments
};

/// One named value of the step.
struct TraceValue {
  std::string name;     // in formulas, unique: "Z1", "dW1", "W1'"
  std::string formula;  // "X·W1 + b1" in terms of other values' names; "" where it is given
  TracePart part = TracePart::kInput;
  std::size_t layer = 0;  // counted from 1; 0 for what belongs to no layer, such as the loss
  std::string of;         // of dZ1 and Z1' it is "Z1", else ""
  std::string parameter;  // the parameter's name in the model file, "1.weight", else ""
  Value value;            // in Trace::graph
  Tensor numbers;         // f64, or i32 for labels
};

/// One layer, in the order of the network.
struct TraceLayer {
  std::size_t number = 1;               // counted from 1
  std::string text;                     // "linear 16"
  std::string input;                    // names of values: "X"
  std::string output;                   // "Z1"
  std::vector<std::string> parameters;  // "W1", "b1"
};

/// A recurrent layer, or one direction of one of its levels, along the time axis.
struct TraceSequence {
  std::size_t layer = 0;            // counted from 1
  std::vector<std::string> inputs;  // names of values by time step: "X_0", "X_1", …
  std::vector<std::string> states;  // "H1_0", "H1_1", …
  bool reverse = false;             // computed from the last time step to the first
  /// For each time step t the Jacobian of the last computed state with respect to that of step t:
  /// the product of the Jacobians of single steps in between. [rows, H, H], entry [b, i, j] is
  /// ∂h_last[b, i]/∂h_t[b, j].
  std::vector<Tensor> jacobians;
  /// Their spectral norms, [t][row]: by what factor a small change of the state at step t can grow.
  std::vector<std::vector<double>> norms;
};

/// A training step: forward pass, loss, gradients, update, evaluated in float64.
struct Trace {
  std::string network;    // "linear 16, relu, linear 10"
  std::string optimizer;  // "sgd"
  double lr = 0;
  std::int64_t rows = 0;
  std::vector<TraceLayer> layers;
  std::vector<TraceValue> values;        // in the order in which they are computed
  std::vector<TraceSequence> sequences;  // of recurrent layers, which are unrolled
  double loss = 0;
  double loss_after = 0;              // of the same batch with the new parameters
  std::string output;                 // the value that is compared with the target: "Z2", or "P"
  std::vector<std::string> features;  // names of X's columns, as far as they are known
  std::vector<std::string> classes;   // empty for regression
  std::shared_ptr<const Graph> graph;

  /// The value of that name; nullptr when there is none.
  const TraceValue* find(std::string_view name) const;
  /// The gradient of the value of that name; nullptr when the loss does not depend on it.
  const TraceValue* gradient_of(std::string_view name) const;
  /// The parameter of that name after the update; nullptr when the step leaves it as it is.
  const TraceValue* next_of(std::string_view name) const;
};

struct TraceOptions {
  Optimizer optimizer = Optimizer::parse("sgd");
  double lr = 0;  // 0: the optimiser's usual rate
  Clip clip = {};
  std::int64_t seed = 0;  // of dropout
  std::int64_t step = 1;  // counted from 1; dropout and Adam depend on it
};

/// Everything that happens in one training step on `batch`.
///
/// Names are those of a textbook: the input is X; layers with weights are counted, so that the
/// first has W1, b1 and gives Z1, and the activation that follows gives A1; the probabilities of a
/// classifier are P and its target in one-hot form is Y. dZ1 is the gradient of Z1, and W1' is W1
/// after the step. A recurrent layer is unrolled: H1_0, H1_1, … are its states and U1 its recurrent
/// weights. What several formulas share and nobody named is called u1, u2, …
///
/// `parameters` are named as in the model file. States of the optimiser are taken from there, and
/// are zero where they are not.
///
/// requires  batch has at least one row.
/// throws    ShapeError naming the layer when network and batch do not fit; UsageError for a missing
///           parameter.
///
/// Example:  Trace step = trace(network, initialize(network, {4}, 0), batch);
///           std::cout << step.find("Z1")->formula;   // X·W1 + b1
Trace trace(const Sequential& network, const TensorMap& parameters, const Dataset& batch,
            const TraceOptions& options = {});

/// The step as one self-contained page: the network drawn, a slider from the input to the update,
/// and behind every unit and weight its formula and numbers. It loads nothing from anywhere.
///
/// Example:  std::ofstream("step.html") << explain_page(trace(network, parameters, batch));
std::string explain_page(const Trace& trace);

}  // namespace chainrule
