// A local derivative is found from gradient rules alone, whatever the ops: gradient() of the part
// of the graph between two stations gives Jᵀ·c for a cotangent c, and since that is linear in c,
// the gradient of ⟨Jᵀ·c, e⟩ with respect to c is J·e, a whole column of the Jacobian.
#include "explain/trace/station_derivative.h"

#include <algorithm>
#include <functional>

#include "chainrule/explain.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/simplify.h"
#include "graph/copy.h"
#include "graph/op.h"

namespace chainrule {
namespace {

std::vector<double> numbers(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

bool is_transparent(const Node& node) { return node.op->formula.of(node).text == "{0}"; }

Value seen_through(Value v) {
  while (v.name().empty() && is_transparent(v.node())) v = v.node().inputs[0];
  return v;
}

}  // namespace

StationDerivative::StationDerivative(const Trace& trace,
                                     const std::vector<const TraceValue*>& stations,
                                     const TraceValue& to)
    : to_(to), stations_(stations) {
  for (const TraceValue& value : trace.values) feed_.insert_or_assign(value.name, value.numbers);
  Value copy;
  const std::unique_ptr<Graph> graph = part(copy);
  for (const TraceValue* station : stations_) {
    const auto& inputs = graph->inputs();
    const bool used = std::any_of(inputs.begin(), inputs.end(),
                                  [&](const Value& v) { return v.name() == station->name; });
    if (used && station->value.dtype() == DType::kF32) from_.push_back(station);
  }
}

// What computes `to` from the other stations, which are inputs here.
std::unique_ptr<Graph> StationDerivative::part(Value& to) const {
  auto graph = std::make_unique<Graph>("part");
  ValueMap<Value> copies;
  const std::function<Value(const Value&)> copy = [&](const Value& v) -> Value {
    if (const auto made = copies.find(v); made != copies.end()) return made->second;
    const bool is_station = std::any_of(stations_.begin(), stations_.end(),
                                        [&](const TraceValue* s) { return s->value == v; });
    if (v.node().op->source || (is_station && v != to_.value)) {
      return copies[v] = graph->input(v.name(), v.type());
    }
    std::vector<Value> inputs;
    for (const Value& input : v.node().inputs) inputs.push_back(copy(input));
    const std::vector<Value> outputs = copy_node(v.node(), *graph, std::move(inputs));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      copies[v.node().output(i)] = outputs[i];
      if (!v.node().names[i].empty()) outputs[i].named(v.node().names[i]);
    }
    return outputs[v.index()];
  };
  to = copy(to_.value);
  graph->output(to_.name, to);
  return graph;
}

const StationDerivative::Forward& StationDerivative::forward(const TraceValue& from) {
  Forward& forward = forwards_[from.name];
  if (forward.graph) return forward;
  Value to;
  forward.graph = part(to);
  const Value cotangent = forward.graph->input("∂cotangent", to.type());
  const Value direction = forward.graph->input("∂direction", from.value.type());
  const Value back = gradient(to, {forward.graph->find(from.name)}, cotangent)[0];
  forward.column = gradient(sum(back * direction), {cotangent})[0];
  return forward;
}

const std::vector<double>& StationDerivative::column(const TraceValue& from, std::size_t element) {
  std::vector<double>& column = columns_[{from.name, element}];
  if (!column.empty()) return column;
  if (to_.value.shape().empty()) return column = {scalar_column(from)[element]};
  const Forward& f = forward(from);
  TensorMap feed = feed_;
  feed.insert_or_assign("∂cotangent", Tensor(DType::kF64, to_.value.shape()));
  Tensor direction(DType::kF64, from.value.shape());
  direction.values<double>()[element] = 1;
  feed.insert_or_assign("∂direction", std::move(direction));
  return column = numbers(Evaluation(*f.graph, feed).value(f.column));
}

// Of a scalar, one gradient holds the derivatives by all entries.
std::vector<double> StationDerivative::scalar_column(const TraceValue& from) {
  std::vector<double>& all = columns_[{from.name, static_cast<std::size_t>(-1)}];
  if (all.empty()) {
    Value to;
    const std::unique_ptr<Graph> graph = part(to);
    const Value back = gradient(to, {graph->find(from.name)})[0];
    all = numbers(Evaluation(*graph, feed_).value(back));
  }
  return all;
}

bool StationDerivative::is_elementwise(const TraceValue& from) const {
  if (from.value.shape() != to_.value.shape()) return false;
  Value to;
  const std::unique_ptr<Graph> graph = part(to);
  std::vector<bool> depends(graph->nodes().size(), false);
  depends[static_cast<std::size_t>(graph->find(from.name).node().id)] = true;
  for (const Node& node : graph->nodes()) {
    for (const Value& input : node.inputs) {
      if (!depends[static_cast<std::size_t>(input.node().id)]) continue;
      depends[static_cast<std::size_t>(node.id)] = true;
      if (!node.op->elementwise || input.shape() != node.types[0].shape) return false;
    }
  }
  return true;
}

std::string StationDerivative::formula(const TraceValue& from) const {
  if (!is_elementwise(from)) return "";
  Value to;
  const std::unique_ptr<Graph> graph = part(to);
  const Value ones = constant(*graph, 1.0, to.shape());
  const Value derivative = gradient(to, {graph->find(from.name)}, ones)[0];
  graph->set_name(derivative, "factor");  // in the place of the name that gradient() gave it
  graph->output("factor", derivative);
  const std::string text = formulas(*simplify(*graph));
  const std::string start = "  factor";
  const std::size_t line = text.find("\n" + start);
  const std::size_t at = text.find(" = ", line);
  if (line == std::string::npos || at == std::string::npos) return "";
  std::string right = text.substr(at + 3, text.find('\n', at) - at - 3);
  right.erase(std::min(right.rfind("  ["), right.size()));
  right.erase(right.find_last_not_of(' ') + 1);
  return right;
}

std::optional<StationDerivative::Factor> StationDerivative::other_factor(
    const TraceValue& from) const {
  // A product, alone or with something added that does not depend on `from`.
  std::vector<Value> terms{to_.value};
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const Node& node = terms[i].node();
    if (is(node, "matmul") && node.types[0].shape.size() == 2) {
      const Value a = seen_through(node.inputs[0]);
      const Value b = seen_through(node.inputs[1]);
      if (a == from.value && b != from.value && !b.name().empty()) return Factor{b.name(), true};
      if (b == from.value && a != from.value && !a.name().empty()) return Factor{a.name(), false};
    }
    if (!is(node, "add")) continue;
    for (const Value& input : node.inputs) {
      const Value term = seen_through(input);
      if (term == from.value) return std::nullopt;
      if (term.name().empty()) terms.push_back(term);
    }
  }
  return std::nullopt;
}

}  // namespace chainrule
