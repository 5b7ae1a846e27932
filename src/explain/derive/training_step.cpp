// The forward pass of a program, copied so that deriving from it leaves the program as it was read,
// and the hand-written backward pass behind.
#include "explain/derive/training_step.h"

#include <algorithm>
#include <map>

#include "chainrule/derivation.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "graph/copy.h"
#include "graph/op.h"

namespace chainrule {
namespace {

std::size_t id(const Value& v) { return static_cast<std::size_t>(v.node().id); }

// The names that a step size goes by, the clearest first.
constexpr std::string_view kRateNames[] = {"learning_rate", "lr",    "LEARNING_RATE", "LR",
                                           "eta",           "alpha", "step_size"};

}  // namespace

std::vector<bool> nodes_of_loss(const NumpyProgram& program) {
  std::vector<bool> needed(program.graph->nodes().size(), false);
  needed[id(program.loss)] = true;
  for (std::size_t i = needed.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const Value& input : program.graph->nodes()[i].inputs) needed[id(input)] = true;
  }
  return needed;
}

TrainingStep training_step(const NumpyProgram& program,
                           const std::function<std::string(const Value&)>& name_of,
                           const std::vector<Value>& also) {
  const Graph& original = *program.graph;
  const std::vector<bool> needed = nodes_of_loss(program);
  const std::vector<Value> targets = derivation_targets(program.loss);
  TrainingStep step;
  step.graph = std::make_unique<Graph>(original.name());
  Graph& graph = *step.graph;
  std::map<std::size_t, std::vector<Value>> copies;
  const auto copy_of = [&](const Value& v) { return copies.at(id(v))[v.index()]; };
  for (const Node& node : original.nodes()) {
    if (!needed[static_cast<std::size_t>(node.id)]) continue;
    std::vector<Value>& outputs = copies[static_cast<std::size_t>(node.id)];
    if (node.op->source) {
      const std::string name = name_of(node.output());
      const bool is_parameter =
          std::find(targets.begin(), targets.end(), node.output()) != targets.end();
      outputs = {is_parameter ? graph.parameter(name, node.types[0])
                              : graph.input(name, node.types[0])};
      if (is_parameter) step.parameters.push_back(outputs[0]);
      continue;
    }
    std::vector<Value> inputs;
    for (const Value& input : node.inputs) inputs.push_back(copy_of(input));
    outputs = copy_node(node, graph, std::move(inputs));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      graph.set_name(outputs[i], name_of(node.output(i)));
    }
  }
  if (step.parameters.empty()) {
    throw UsageError(program.file +
                     ": the loss depends on no array of real numbers, so there is "
                     "nothing to differentiate it for");
  }
  step.loss = copy_of(program.loss);
  std::vector<Value> wrt = step.parameters;
  for (const Value& v : also) wrt.push_back(copy_of(v));
  const std::vector<Value> gradients = gradient(step.loss, wrt);
  const auto middle = gradients.begin() + static_cast<std::ptrdiff_t>(step.parameters.size());
  step.gradients.assign(gradients.begin(), middle);
  step.extra.assign(middle, gradients.end());
  return step;
}

LearningRate learning_rate_of(const NumpyProgram& program) {
  const std::vector<bool> in_loss = nodes_of_loss(program);
  for (const std::string_view name : kRateNames) {
    for (const NumpyAssignment& a : program.assignments) {
      // alpha may be the slope of a leaky relu.
      if (a.target != name || !a.value || !a.value.shape().empty() || in_loss[id(a.value)]) {
        continue;
      }
      return {a.target, Evaluation(*program.graph, program.feed).scalar(a.value), a.line};
    }
  }
  return {};
}

}  // namespace chainrule
