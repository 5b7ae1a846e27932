// The expansion is cut in two: what depends on scalars alone runs in float64 by the meanings that
// the ops state, and the rest becomes a chain.
#include "backend/cpu/program/update_chain.h"

#include <algorithm>
#include <map>
#include <optional>

#include "backend/cpu/program/functions.h"
#include "chainrule/error.h"
#include "chainrule/simplify.h"
#include "compiler/passes.h"

namespace chainrule::cpu {
namespace {

std::string input_name(std::size_t i) { return "x" + std::to_string(i); }

// The outputs of `update` in primitives, on inputs x0, x1, …
GraphPtr expansion_of(const Node& update) {
  Graph graph("update");
  std::vector<Value> inputs;
  for (const Value& input : update.inputs) {
    inputs.push_back(graph.input(input_name(inputs.size()), input.type()));
  }
  const std::vector<Value> next = expand_onto(update, inputs);
  for (std::size_t i = 0; i < next.size(); ++i) graph.output("y" + std::to_string(i), next[i]);
  return simplify(*expand_macros(graph, [](const Node&) { return false; }));
}

}  // namespace

UpdateChain::UpdateChain(const Node& update)
    : graph_(expansion_of(update)),
      given_(update.inputs.size() - update.types.size() - 1, Array{{}, {0.0}}) {
  translate(update.types.size());
}

void UpdateChain::translate(std::size_t arrays) {
  std::map<std::int64_t, Chain::Register> registers;  // of what depends on arrays
  std::map<std::int64_t, const Array*> numbers;       // of what does not
  std::map<const Array*, Chain::Register> number_register;
  const auto input = [&](std::size_t i) { return graph_->find(input_name(i)).node().id; };
  registers[input(arrays)] = chain_.add_input({});
  for (std::size_t i = 0; i < arrays; ++i) registers[input(i)] = chain_.add_input({});
  for (std::size_t i = 0; i < given_.size(); ++i) numbers[input(arrays + 1 + i)] = &given_[i];

  const auto register_of = [&](const Value& v) {
    const auto found = registers.find(v.node().id);
    if (found != registers.end()) return found->second;
    if (is(v, "constant")) return chain_.add_constant(static_cast<float>(v.node().real("value")));
    const Array* number = numbers.at(v.node().id);
    if (!number_register.contains(number)) {
      if (used_.size() == kMostScalars) throw Error("an update uses more than 16 scalars");
      used_.push_back(number);
      number_register[number] = chain_.add_input({1, 1});
    }
    return number_register.at(number);
  };
  steps_.reserve(graph_->nodes().size());  // `numbers` points into them
  for (const Node& node : graph_->nodes()) {
    if (node.inputs.empty()) {
      if (is(node, "constant")) {
        numbers[node.id] = &constants_.emplace_back(Array{{}, {node.real("value")}});
      }
      continue;
    }
    const bool of_arrays = std::any_of(node.inputs.begin(), node.inputs.end(), [&](const Value& v) {
      return registers.contains(v.node().id);
    });
    if (!of_arrays && (is(node, "broadcast_to") || is(node, "reshape"))) {
      numbers[node.id] = numbers.at(node.inputs[0].node().id);
      continue;
    }
    if (!of_arrays) {
      Step step{&node, {}, {Array{{}, {0.0}}}};
      for (const Value& v : node.inputs) step.in.push_back(numbers.at(v.node().id));
      steps_.push_back(std::move(step));
      numbers[node.id] = &steps_.back().out[0];
      continue;
    }
    const std::optional<Fn> fn = function_of(node);
    if (!fn) throw Error("the CPU has no elementwise function " + std::string(node.op->name));
    Chain::Register operands[3] = {0, 0, 0};
    for (std::size_t i = 0; i < node.inputs.size(); ++i) operands[i] = register_of(node.inputs[i]);
    registers[node.id] = chain_.add(fn.value(), operands[0], operands[1], operands[2]);
  }
  for (const auto& output : graph_->outputs()) chain_.add_output(register_of(output.second));
  chain_.finish();
}

UpdateChain::Scalars UpdateChain::scalars(std::span<const double> of_op) {
  for (std::size_t i = 0; i < given_.size(); ++i) given_[i].data[0] = of_op[i];
  for (Step& step : steps_) step.node->op->eval({*step.node, step.in, step.out});
  Scalars values{};
  for (std::size_t i = 0; i < used_.size(); ++i) values[i] = static_cast<float>(used_[i]->data[0]);
  return values;
}

UpdateChain::Inputs UpdateChain::inputs(const Scalars& scalars,
                                        std::span<float* const> arrays) const {
  Inputs in{};
  for (std::size_t i = 0; i < arrays.size(); ++i) in[1 + i] = arrays[i];
  for (std::size_t i = 0; i < used_.size(); ++i) in[1 + arrays.size() + i] = &scalars[i];
  return in;
}

void UpdateChain::run(const Scalars& scalars, std::span<float* const> arrays, const float* gradient,
                      std::int64_t begin, std::int64_t end) const {
  Inputs in = inputs(scalars, arrays);
  in[0] = gradient;
  chain_.run(in.data(), arrays.data(), begin, end);
}

void UpdateChain::run(const Scalars& scalars, std::span<float* const> arrays,
                      const GradientBlock& gradient) const {
  const Inputs in = inputs(scalars, arrays);
  chain_.run_rectangle(in.data(), arrays.data(), gradient.rectangle, gradient.row_length,
                       gradient.block, gradient.stride);
}

}  // namespace chainrule::cpu
