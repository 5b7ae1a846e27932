// Unrolling: a recurrent op has its cell's steps as its expansion; here they get names. The
// Jacobians through time are not multiplied together: backpropagation from each component of the
// last state gives the rows of all of them at once.
#include "explain/trace/unroll.h"

#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "compiler/passes.h"
#include "graph/op.h"

namespace chainrule {
namespace {

bool is_recurrent(const Node& node) { return !node.op->gates.empty(); }

// "1" for an op whose first weight is W1.
std::string suffix_of(const Node& node) {
  for (const Value& input : node.inputs) {
    if (is(input, "parameter") && input.name()[0] == 'W') return input.name().substr(1);
  }
  return "";
}

// The parts that were stacked along time.
std::vector<Value> steps_of(const Value& stacked) {
  std::vector<Value> steps;
  const bool many = is(stacked, "concatenate");
  const std::vector<Value> parts = many ? stacked.node().inputs : std::vector<Value>{stacked};
  for (const Value& part : parts)
    steps.push_back(is(part, "reshape") ? part.node().inputs[0] : part);
  return steps;
}

bool is_named(const Value& value) { return !value.name().empty(); }

// x[:, t, :] where an expansion cut it out.
void name_inputs(Graph& target, std::size_t first, const Value& x, TraceSequence& sequence) {
  if (!is_named(x)) return;
  for (std::size_t id = first; id < target.nodes().size(); ++id) {
    const Node& node = target.nodes()[id];
    if (!is(node, "reshape") || !is(node.inputs[0], "slice")) continue;
    const Node& cut = node.inputs[0].node();
    if (cut.inputs[0] != x) continue;
    const std::int64_t t = cut.integers("starts")[1];
    const Value step = node.output();
    if (!is_named(step)) step.named(fmt::format("{}_{}", x.name(), t));
    const auto at = static_cast<std::size_t>(t);
    if (sequence.inputs.size() <= at) sequence.inputs.resize(at + 1);
    sequence.inputs[at] = step.name();
  }
}

void name_if_new(const Value& value, const std::string& name) {
  if (!is_named(value) && !is(value, "constant")) value.named(name);
}

// What a gate presses into its range: all gates of a step are cut from one product.
void name_before(const Value& activation, const std::string& name) {
  if (!activation.node().op->elementwise || activation.node().inputs.size() != 1) return;
  const Value inner = activation.node().inputs[0];
  name_if_new(is(inner, "slice") ? inner.node().inputs[0] : inner, name);
}

// Outputs are the states of all steps, the last of each state, the gates of all steps, and each
// state before every step.
void name_gates(const Node& op, const std::vector<Value>& outputs, const std::string& suffix) {
  const std::size_t states = (outputs.size() - 2) / 2;
  const std::vector<Value> gates = steps_of(outputs[1 + states]);
  for (std::size_t t = 0; t < gates.size(); ++t) {
    if (!is(gates[t], "concatenate")) continue;
    const std::vector<Value>& parts = gates[t].node().inputs;
    for (std::size_t i = 0; i < parts.size() && i < op.op->gates.size(); ++i) {
      name_if_new(parts[i], fmt::format("{}{}_{}", op.op->gates[i], suffix, t));
      name_before(parts[i], fmt::format("Z{}_{}", suffix, t));
    }
  }
  if (states < 2) return;
  const bool reverse = op.flag("reverse");
  const std::vector<Value> before = steps_of(outputs.back());
  for (std::size_t t = 0; t < before.size(); ++t) {
    const bool is_last = reverse ? t == 0 : t + 1 == before.size();
    const Value cell = is_last ? outputs[states] : before[reverse ? t - 1 : t + 1];
    name_if_new(cell, fmt::format("C{}_{}", suffix, t));
  }
}

// The row [j] of every Jacobian is what flows back from component j of the last state.
std::vector<std::vector<double>> rows_of_jacobians(const Graph& graph,
                                                   const std::vector<Value>& gradients,
                                                   TensorMap feed, const Shape& state,
                                                   std::int64_t component) {
  Tensor seed(DType::kF64, state);
  for (std::int64_t b = 0; b < state[0]; ++b) {
    seed.values<double>()[static_cast<std::size_t>(b * state[1] + component)] = 1;
  }
  feed["seed"] = seed;
  const Evaluation run(graph, feed);
  std::vector<std::vector<double>> rows;
  for (const Value& gradient : gradients) {
    const Tensor values = run.value(gradient);
    rows.emplace_back(values.values<double>().begin(), values.values<double>().end());
  }
  return rows;
}

using Matrix = std::vector<double>;  // square, row-major

Matrix product(const Matrix& a, const Matrix& b, std::size_t n) {
  Matrix c(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < n; ++k) {
      for (std::size_t j = 0; j < n; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
    }
  }
  return c;
}

// The largest singular value. Squaring JᵀJ again and again leaves the direction that J stretches
// most; its Rayleigh quotient is exact to rounding even when two singular values are close.
double spectral_norm(std::span<const double> j, std::size_t n) {
  Matrix gram(n * n, 0.0);
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t c = 0; c < n; ++c) gram[r * n + c] += j[k * n + r] * j[k * n + c];
    }
  }
  Matrix power = gram;
  for (int squaring = 0; squaring < 12; ++squaring) {
    const double scale = *std::max_element(power.begin(), power.end());
    if (!(scale > 0)) return 0;
    for (double& x : power) x /= scale;
    power = product(power, power, n);
  }
  std::size_t best = 0;
  for (std::size_t i = 1; i < n; ++i) {
    if (power[i * n + i] > power[best * n + best]) best = i;
  }
  double quotient = 0;
  double length = 0;
  for (std::size_t r = 0; r < n; ++r) {
    const double v = power[r * n + best];
    length += v * v;
    for (std::size_t c = 0; c < n; ++c) quotient += v * gram[r * n + c] * power[c * n + best];
  }
  return length > 0 ? std::sqrt(quotient / length) : 0;
}

}  // namespace

std::unique_ptr<Graph> unroll_sequences(const Graph& graph, std::vector<TraceSequence>& sequences) {
  std::unique_ptr<Graph> result = rewrite(graph, [&](Graph& target) -> Rule {
    return [&](const Node& node,
               const std::vector<Value>& inputs) -> std::optional<std::vector<Value>> {
      if (!is_recurrent(node)) return std::nullopt;
      const std::size_t first = target.nodes().size();
      std::vector<Value> outputs = expand_onto(node, inputs);
      TraceSequence sequence;
      sequence.reverse = node.flag("reverse");
      const std::string suffix = suffix_of(node);
      name_inputs(target, first, inputs[0], sequence);
      for (const Value& state : steps_of(outputs[0])) {
        const std::string at = fmt::format("{}_{}", suffix, sequence.states.size());
        name_if_new(state, "H" + at);
        sequence.states.push_back(state.name());
        name_before(state, "Z" + at);
      }
      name_gates(node, outputs, suffix);
      sequences.push_back(std::move(sequence));
      return outputs;
    };
  });
  for (const TraceSequence& sequence : sequences) {
    for (const std::string& state : sequence.states) {
      const auto node = std::find_if(result->nodes().begin(), result->nodes().end(),
                                     [&](const Node& n) { return n.names[0] == state; });
      result->output(state, node->output());
    }
  }
  return result;
}

void add_jacobians(const Graph& original, const TensorMap& feed, TraceSequence& sequence) {
  const GraphPtr graph = rewrite(original, [](Graph&) -> Rule {
    return [](const Node&, const std::vector<Value>&) { return std::nullopt; };
  });
  std::vector<Value> states;
  for (const std::string& name : sequence.states) {
    for (const auto& [known, value] : graph->outputs()) {
      if (known == name) states.push_back(value);
    }
  }
  const Value last = sequence.reverse ? states.front() : states.back();
  const Shape& shape = last.shape();  // [B, H]
  const Value seed = graph->input("seed", last.type());
  const std::vector<Value> gradients = gradient(last, states, seed);
  const auto rows = static_cast<std::size_t>(shape[0]);
  const auto units = static_cast<std::size_t>(shape[1]);
  sequence.jacobians.assign(states.size(), Tensor(DType::kF64, {shape[0], shape[1], shape[1]}));
  for (std::size_t i = 0; i < units; ++i) {
    const auto found =
        rows_of_jacobians(*graph, gradients, feed, shape, static_cast<std::int64_t>(i));
    for (std::size_t t = 0; t < states.size(); ++t) {
      const std::span<double> jacobian = sequence.jacobians[t].values<double>();
      for (std::size_t b = 0; b < rows; ++b) {
        for (std::size_t j = 0; j < units; ++j) {
          jacobian[(b * units + i) * units + j] = found[t][b * units + j];
        }
      }
    }
  }
  for (const Tensor& jacobian : sequence.jacobians) {
    std::vector<double>& norms = sequence.norms.emplace_back();
    for (std::size_t b = 0; b < rows; ++b) {
      norms.push_back(spectral_norm(
          jacobian.values<double>().subspan(b * units * units, units * units), units));
    }
  }
}

}  // namespace chainrule
