// From a NumPy program to what a training step of it needs: its forward pass, the gradients and the
// learning rate.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chainrule/numpy_program.h"

namespace chainrule {

/// A program's forward pass in a graph of its own, with the gradients of the loss.
struct TrainingStep {
  std::unique_ptr<Graph> graph;
  Value loss;                     // output "loss"
  std::vector<Value> parameters;  // those that the loss depends on, or the inputs if there are none
  std::vector<Value> gradients;   // one a parameter
  std::vector<Value> extra;       // the gradients of `also`, in their order
};

/// Copies what the loss needs, names each value as `name_of` says ("" for no name), and appends the
/// gradients with respect to the parameters and to `also`, values of the program's graph.
///
/// throws  UsageError when the loss depends on no real source at all.
TrainingStep training_step(const NumpyProgram& program,
                           const std::function<std::string(const Value&)>& name_of,
                           const std::vector<Value>& also = {});

/// For each node of the program's graph: does the loss depend on it?
std::vector<bool> nodes_of_loss(const NumpyProgram& program);

/// The step of gradient descent that the program names (lr, learning_rate, alpha, eta), or 0.01.
struct LearningRate {
  std::string name = "learning_rate";
  double value = 0.01;
  int line = 0;  // where the program defines it; 0 when it does not
};
LearningRate learning_rate_of(const NumpyProgram& program);

}  // namespace chainrule
