// Gradients as lines of NumPy. The forward pass is cut away where the program has a name for a
// value; what remains of the graph is written down.
#include "explain/emit/derived_lines.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/format.h"
#include "chainrule/derivation.h"
#include "chainrule/error.h"
#include "chainrule/numpy_format.h"
#include "compiler/passes.h"
#include "explain/derive/training_step.h"
#include "explain/emit/code_lines.h"
#include "explain/emit/python_source.h"
#include "graph/op.h"
#include "notation/words.h"

namespace chainrule {
namespace {

constexpr std::int64_t kLongestLiteral = 1000;

std::size_t id(const Value& v) { return static_cast<std::size_t>(v.node().id); }

std::string tuple(const Shape& shape) {
  return fmt::format("({}{})", joined(shape, ", "), shape.size() == 1 ? "," : "");
}

Pattern product_in_style(const Node& node, ProductStyle style) {
  const bool matrices = node.inputs.size() == 2 && node.inputs[0].shape().size() == 2;
  if (!is(node, "matmul") || !matrices || style == ProductStyle::kOperator) return {};
  const std::string a = node.flag("transpose_a") ? "{0}.T" : "{0}";
  const std::string b = node.flag("transpose_b") ? "{1}.T" : "{1}";
  switch (style) {
    case ProductStyle::kDot: return {"np.dot(" + a + ", " + b + ")"};
    case ProductStyle::kMatmul: return {"np.matmul(" + a + ", " + b + ")"};
    default: return {a + ".dot(" + b + ")", Binding::kPostfix};
  }
}

// [[0.5, 1.0], [2.0, 3.0]]
std::string literal(const Tensor& tensor, const Shape& shape, std::size_t axis, std::size_t& next) {
  if (axis == shape.size()) {
    const double x = tensor.as(DType::kF64).values<double>()[next++];
    return tensor.dtype() == DType::kI32 ? fmt::format("{:.0f}", x) : python_repr(x);
  }
  std::string text = "[";
  for (std::int64_t i = 0; i < shape[axis]; ++i) {
    text += (i == 0 ? "" : ", ") + literal(tensor, shape, axis + 1, next);
  }
  return text + "]";
}

class Deriver {
 public:
  Deriver(const NumpyProgram& program, const PythonSource& source,
          const std::map<std::string, Value>& wanted)
      : program_(program),
        wanted_(wanted),
        style_(source.style()),
        expressions_(source.expressions()),
        taken_(source.names()) {
    for (const std::string& e : expressions_) {
      if (!e.empty()) available_.insert(e);
    }
  }

  DerivedLines run() {
    std::vector<Value> also;
    for (const auto& [name, value] : wanted_) also.push_back(value);
    step_ = training_step(
        program_, [this](const Value& v) { return name_of(v); }, also);
    name_gradients();
    const GraphPtr whole = spelled_out(*step_.graph, Notation::kNumpy);
    const GraphPtr cut = without_forward(*whole);
    write(*cut);
    return std::move(result_);
  }

 private:
  // What the program calls the value, or else what a line of our own may call it.
  std::string name_of(const Value& v) {
    const std::string& expression = expressions_[id(v)];
    if (!expression.empty()) return expression;
    if (v.name().empty()) return "";
    std::string name = v.name();
    while (available_.contains(name)) name += "_";
    if (!v.node().op->source) return name;
    // A source without a name: numbers that stand in the middle of a formula.
    const std::vector<Value> targets = derivation_targets(program_.loss);
    const bool is_wanted = std::find(targets.begin(), targets.end(), v) != targets.end();
    if (is_wanted || element_count(v.shape()) > kLongestLiteral) {
      throw UsageError(fmt::format(
          "{}: \"{}\" has no name at top level after the loss; assign it to a variable there",
          program_.file, v.name()));
    }
    while (taken_.contains(name)) name += "_";
    const Tensor& tensor = program_.feed.find(v.name())->second;
    std::size_t next = 0;
    const std::string numbers = literal(tensor, v.shape(), 0, next);
    const std::string text = v.shape().empty() ? numbers : "np.array(" + numbers + ")";
    literals_[name] = {name, in_style(fmt::format("{} = {}", name, text)), tuple(v.shape())};
    available_.insert(name);
    return name;
  }

  // dZ1 as gradient() says, or grad_Z1, or what the program called it.
  void name_gradients() {
    Graph& graph = *step_.graph;
    std::map<std::string, std::string> own;  // expression → the program's name for its gradient
    for (const auto& [name, value] : wanted_) own.emplace(name_of(value), name);
    const auto gradient_of = [&](const std::string& expression) {
      const auto found = own.find(expression);
      if (found != own.end()) return found->second;
      std::string name = gradient_name(expression, style_.gradient);
      while (taken_.contains(name) && !wanted_.contains(name)) name += "_";
      return name;
    };
    std::map<std::string, std::string> renamed;
    for (const Node& node : graph.nodes()) {
      if (!node.note.empty() || node.names[0].empty()) continue;
      renamed["d" + node.names[0]] = gradient_of(node.names[0]);
    }
    for (const Node& node : graph.nodes()) {
      for (std::size_t i = 0; i < node.names.size(); ++i) {
        const auto found = renamed.find(node.names[i]);
        if (found == renamed.end() || available_.contains(node.names[i])) continue;
        graph.set_name(node.output(i), found->second);
      }
    }
    for (std::size_t i = 0; i < step_.parameters.size(); ++i) {
      const std::string expression = step_.parameters[i].name();
      const std::string name = gradient_of(expression);
      graph.output(name, step_.gradients[i]);
      result_.steps.emplace_back(expression, name);
      outputs_.insert(name);
    }
    std::size_t next = 0;
    for (const auto& [name, value] : wanted_) {
      const Value gradient = step_.extra[next++];
      if (outputs_.insert(name).second) graph.output(name, gradient);
    }
  }

  // Values that the program has at hand become inputs.
  GraphPtr without_forward(const Graph& graph) const {
    const GraphPtr cut = rewrite(graph, [this](Graph& target) -> Rule {
      return [this, &target](const Node& node,
                             const std::vector<Value>&) -> std::optional<std::vector<Value>> {
        const std::string& name = node.names[0];
        if (!node.note.empty() || node.types.size() != 1 || !available_.contains(name)) return {};
        return std::vector<Value>{target.input(name, node.types[0])};
      };
    });
    return drop_unused(*cut);
  }

  std::string in_style(std::string code) const {
    if (style_.numpy.empty()) return code;
    for (std::size_t at = code.find("np."); at != std::string::npos;
         at = code.find("np.", at + 1)) {
      if (at == 0 || !is_word(code[at - 1])) code.replace(at, 2, style_.numpy);
    }
    return code;
  }

  void write(Graph& graph) {
    if (style_.numpy.empty()) result_.imports = "import numpy as np\n";
    result_.imports += in_style(prelude(graph, Notation::kNumpy));
    std::set<std::string> read;
    for (const Node& node : graph.nodes()) {
      for (const Value& input : node.inputs) read.insert(input.name());
    }
    for (const auto& [name, line] : literals_) {
      if (read.contains(name)) result_.lines.push_back(line);
    }
    CodeStyle style{Notation::kNumpy,
                    [this](const Node& node) { return product_in_style(node, style_.product); },
                    taken_};
    for (const CodeLine& line : code_lines(graph, std::move(style))) {
      result_.lines.push_back({line.name, in_style(line.text), tuple(line.shape)});
    }
  }

  const NumpyProgram& program_;
  const std::map<std::string, Value>& wanted_;
  PythonStyle style_;
  std::vector<std::string> expressions_;  // by node of the program's graph
  std::set<std::string> taken_;           // names that mean something at top level of the file
  std::set<std::string> available_;       // expressions for forward values
  std::set<std::string> outputs_;
  std::map<std::string, DerivedLine> literals_;  // numbers that have no name in the file
  TrainingStep step_;
  DerivedLines result_;
};

}  // namespace

DerivedLines derived_lines(const NumpyProgram& program, const PythonSource& source,
                           const std::map<std::string, Value>& wanted) {
  return Deriver(program, source, wanted).run();
}

}  // namespace chainrule
