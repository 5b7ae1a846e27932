// A NumPy program as C: the gradients of its loss, and gradient descent whose rate can be set.
#include "chainrule/emit.h"
#include "chainrule/ops.h"
#include "explain/derive/training_step.h"

namespace chainrule {

std::string emit_c(const NumpyProgram& program) {
  const TrainingStep step = training_step(program, [](const Value& v) { return v.name(); });
  const LearningRate rate = learning_rate_of(program);
  Graph& graph = *step.graph;
  const Value learning_rate = graph.input(rate.name, {DType::kF32, {}});
  const std::string loss = step.loss.name().empty() ? "loss" : step.loss.name();
  graph.output(loss, step.loss);
  for (std::size_t i = 0; i < step.parameters.size(); ++i) {
    const Value parameter = step.parameters[i];
    graph.output("d" + parameter.name(), step.gradients[i]);
    graph.update(parameter, sgd_update(parameter, {}, step.gradients[i], learning_rate)[0]);
  }
  TensorMap numbers = program.feed;
  numbers.insert_or_assign(rate.name, Tensor::of<double>({}, {rate.value}));
  return emit_c(graph, numbers, {.origin = program.file, .loss = loss});
}

}  // namespace chainrule
