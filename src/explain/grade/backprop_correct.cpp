// The derivative of one value is rebuilt in a graph with the user's names: step by step from the
// gradients that the program already has, so that it reads as a person would write it.
#include "explain/grade/backprop_correct.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/simplify.h"
#include "compiler/passes.h"
#include "explain/grade/backprop_activations.h"
#include "explain/verify/numeric.h"
#include "graph/copy.h"
#include "graph/op.h"
#include "notation/notation.h"
#include "notation/words.h"

namespace chainrule::backprop {
namespace {

constexpr double kLargestFormula = 200;  // in nodes

// How many nodes the formula of a value would show: what has no name is written out wherever it is
// read.
double size_of_formula(Value of) {
  std::vector<double> sizes;
  for (const Node& node : of.graph().nodes()) {
    double size = 1;
    for (const Value& input : node.inputs) {
      size += input.name().empty() ? sizes[static_cast<std::size_t>(input.node().id)] : 1;
    }
    sizes.push_back(size);
  }
  return sizes[static_cast<std::size_t>(of.node().id)];
}

// The loss may be another name for an earlier value, so it need not be the last of the forward
// pass.
std::int64_t last_of_forward(const NumpyProgram& program) {
  std::int64_t last = program.loss.node().id;
  for (std::size_t i = 0; i < program.forward; ++i) {
    const Value& v = program.assignments[i].value;
    if (v) last = std::max(last, v.node().id);
  }
  return last;
}

struct Scaled {
  Value value;
  double scale = 1;  // the derivative is scale · value
};

class Line {
 public:
  Line(Study& study, const Gradient& gradient) : study_(study), of_(*gradient.of) {
    const Graph& graph = *study.program.graph;
    for (std::int64_t id = 0; id <= last_of_forward(study.program); ++id) {
      const Node& node = graph.nodes()[static_cast<std::size_t>(id)];
      std::vector<Value>& outputs = copies_.emplace_back();
      if (node.op->source) {
        outputs = {graph_.input(node.names[0], node.types[0])};
        continue;
      }
      std::vector<Value> inputs;
      for (const Value& input : node.inputs) inputs.push_back(here(input));
      outputs = copy_node(node, graph_, std::move(inputs));
      for (std::size_t i = 0; i < node.types.size(); ++i) {
        const bool has_line = study.forward_at.contains(study.bench.here(node.output(i)));
        if (has_line && !node.names[i].empty()) outputs[i].named(node.names[i]);
      }
    }
    // Forward values and their copies in this graph.
    for (std::size_t id = 0; id < copies_.size(); ++id) {
      for (std::size_t i = 0; i < copies_[id].size(); ++i) {
        const Value on_bench = study.bench.here(graph.nodes()[id].output(i));
        const auto at = study.forward_at.find(on_bench);
        if (at != study.forward_at.end()) forward_[at->second] = copies_[id][i];
      }
    }
    for (const Gradient& g : study.gradients) {
      if (&g == &gradient || g.of == gradient.of || !g.relation) continue;
      if (g.versions.back() < gradient.versions.back()) known_.insert_or_assign(*g.of, &g);
    }
  }

  // "" where nobody would write it on one line.
  std::string text(double factor) {
    const Scaled d = derivative(of_);
    return written(d.value, d.scale * factor);
  }

 private:
  Value here(Value original) const {
    return copies_[static_cast<std::size_t>(original.node().id)][original.index()];
  }

  std::string written(Value v, double scale) {
    const std::unique_ptr<Graph> needed = needed_part({{"line", scaled(v, scale)}});
    const std::unique_ptr<Graph> plain =
        spelled_out(*with_named_numbers(*doubled(*simplify(*needed))), Notation::kNumpy);
    const Value result = plain->outputs().front().second;
    if (size_of_formula(result) > kLargestFormula) return {};
    const Shape& shape = result.shape();
    if (constant_value(result) == 1 && shape.size() == 1) {
      return fmt::format("np.ones({})", shape[0]);
    }
    return result.node().op->source ? result.name() : expression(result, Notation::kNumpy);
  }

  // x + x, as it comes from x·x, is 2·x.
  static std::unique_ptr<Graph> doubled(const Graph& graph) {
    return simplify(*rewrite(graph, [](Graph&) -> Rule {
      return
          [](const Node& node, const std::vector<Value>& in) -> std::optional<std::vector<Value>> {
            if (!is(node, "add")) return std::nullopt;
            if (in[0] == in[1]) return {{in[0] * 2}};
            if (!is(in[0], "add")) return std::nullopt;
            const std::vector<Value>& inner = in[0].node().inputs;
            if (inner[1] == in[1]) return {{inner[0] + in[1] * 2}};
            if (inner[0] == in[1]) return {{inner[1] + in[1] * 2}};
            return std::nullopt;
          };
    }));
  }

  // x / 6 as x / N where N is 6, and rows without an axis of extent 1 in front.
  GraphPtr with_named_numbers(const Graph& graph) {
    std::map<std::string, Value> numbers;
    return rewrite(graph, [&](Graph& target) -> Rule {
      return
          [&](const Node& node, const std::vector<Value>& in) -> std::optional<std::vector<Value>> {
            if (is(node, "broadcast_to") && is(in[0], "reshape")) {
              const Value x = in[0].node().inputs[0];
              Shape shape = in[0].shape();
              while (shape.size() > x.shape().size() && shape[0] == 1) shape.erase(shape.begin());
              if (shape == x.shape()) return {{broadcast_to(x, node.types[0].shape)}};
            }
            const bool divides = is(node, "div");
            if ((!is(node, "mul") && !divides) || !is(in[1], "constant")) return std::nullopt;
            const double c = in[1].node().real("value");
            std::string name = study_.number_name(divides ? 1 / c : c);
            const bool inverse = name.starts_with("1/");
            if (inverse) name.erase(0, 2);
            if (!is_name(name)) return std::nullopt;
            Value& number = numbers[name];
            for (const Value& v : target.inputs()) {
              if (v.name() == name) number = v;
            }
            if (!number) number = target.input(name, {DType::kF32, {}});
            return {{inverse ? in[0] / number : number * in[0]}};
          };
    });
  }

  Value scaled(Value v, double scale) {
    if (scale < 0) return -scaled(v, -scale);
    const std::string name = study_.number_name(scale);
    if (name == "1") return v;
    const std::string inverse = name.starts_with("1/") ? name.substr(2) : "";
    if (is_name(inverse)) return v / number(inverse, 1 / scale);
    if (is_name(name)) return v * number(name, scale);
    return v * scale;
  }

  static bool is_name(const std::string& text) {
    return !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) == 0 &&
           std::all_of(text.begin(), text.end(), is_word);
  }

  Value number(const std::string& name, double) {
    for (const Value& v : graph_.inputs()) {
      if (v.name() == name) return v;
    }
    return graph_.input(name, {DType::kF32, {}});
  }

  // Networks are deep: what is needed is listed first, and then gone through from the loss on.
  Scaled derivative(std::size_t of) {
    for (const std::size_t i : not_known_yet(of)) done_[i] = sum_over_readers(i);
    return known_derivative(of);
  }

  bool is_known(std::size_t of) {
    if (of == study_.loss_index || known_.contains(of) || done_.contains(of)) return true;
    const std::optional<Scaled> simple = difference_with_labels(of);
    if (simple) done_[of] = *simple;
    return simple.has_value();
  }

  Scaled known_derivative(std::size_t of) {
    if (of == study_.loss_index) return {constant(graph_, 1), 1};
    const auto known = known_.find(of);
    return known != known_.end() ? user_gradient(*known->second) : done_.at(of);
  }

  std::vector<std::size_t> not_known_yet(std::size_t of) {
    std::set<std::size_t> seen;
    std::vector<std::size_t> open{of};
    std::vector<std::size_t> result;
    while (!open.empty()) {
      const std::size_t i = open.back();
      open.pop_back();
      if (!seen.insert(i).second || is_known(i)) continue;
      result.push_back(i);
      for (const std::size_t reader : study_.readers(i)) open.push_back(reader);
    }
    std::sort(result.begin(), result.end(), [&](std::size_t a, std::size_t b) {
      return ValueOrder()(study_.forward[b].value, study_.forward[a].value);
    });
    return result;
  }

  Scaled sum_over_readers(std::size_t of) {
    Scaled total;
    for (const std::size_t reader : study_.readers(of)) {
      Scaled term = known_derivative(reader);
      term.value = back(reader, of, term.value);
      if (!total.value) {
        total = term;
      } else if (total.scale == term.scale) {
        total.value = total.value + term.value;
      } else {
        total = {scaled(total.value, total.scale) + scaled(term.value, term.scale), 1};
      }
    }
    if (!total.value) total.value = constant(graph_, 0, study_.forward[of].value.shape());
    return total;
  }

  Scaled user_gradient(const Gradient& g) {
    Value v;
    for (const Value& input : graph_.inputs()) {
      if (input.name() == g.name) v = input;
    }
    // A wrong line may have any shape; the lines after it are written as if it were corrected.
    const bool fits = element_count(g.value.shape()) == element_count(g.truth.shape());
    if (!v) v = graph_.input(g.name, {DType::kF32, fits ? g.value.shape() : g.truth.shape()});
    if (g.relation->transposed) v = transpose(v);
    if (v.shape() != g.truth.shape()) v = reshape(v, g.truth.shape());
    return {v, 1 / g.relation->factor};
  }

  // The derivative before softmax and before sigmoid is the difference of output and label.
  std::optional<Scaled> difference_with_labels(std::size_t of) {
    const Value before = study_.forward[of].value;
    for (const Activation& a : study_.activations) {
      if (a.before != before || (a.function != "softmax" && a.function != "sigmoid")) continue;
      const Value after = forward_.at(study_.forward_at.at(a.after));
      for (std::size_t id = 0; id < copies_.size(); ++id) {
        const Value label = copies_[id][0];
        const bool is_column = is(label, "reshape") && is(label.node().inputs[0], "input");
        const bool is_label = is(label, "one_hot") || is(label, "input") || is_column;
        if (!is_label || label.shape() != before.shape() || label.dtype() != DType::kF32) continue;
        const Value on_bench = study_.bench.here(study_.program.graph->nodes()[id].output());
        const auto relation = study_.bench.relate(a.after - on_bench, study_.truths.at(before));
        if (relation && !relation->transposed) return Scaled{after - label, 1 / relation->factor};
      }
    }
    return std::nullopt;
  }

  Value back(std::size_t reader, std::size_t of, Value d) {
    const Value from = forward_.at(reader);
    const Value to = forward_.at(of);
    for (const Activation& a : study_.activations) {
      if (a.after != study_.forward[reader].value || a.before != study_.forward[of].value) continue;
      for (const KnownFunction& f : known_functions()) {
        if (f.name != a.function) continue;
        const bool by_output = f.name == "relu" && to.name().empty();
        return d * (by_output ? greater(from, 0.0) : f.differentiate(to, from));
      }
    }
    // Only the direct path: a copy of `to` that nothing else reads, told apart again afterwards.
    const Value alone = reshape(to, to.shape());
    Substitution substitution;
    for (const auto& [i, v] : forward_) substitution[v] = v;
    substitution[to] = alone;
    const Value path = rebuild(from, substitution);
    const Value result = gradient(path, {alone}, d)[0];
    Substitution joined;
    joined[path] = from;
    joined[alone] = to;
    if (result == path) return from;
    return rebuild(result, joined);
  }

  Study& study_;
  std::size_t of_;
  Graph graph_{"line"};
  std::vector<std::vector<Value>> copies_;
  std::map<std::size_t, Value> forward_;
  std::map<std::size_t, const Gradient*> known_;
  std::map<std::size_t, Scaled> done_;
};

}  // namespace

std::string correct_line(Study& study, const Gradient& gradient, double factor) {
  const std::string text = Line(study, gradient).text(factor);
  return text.empty() ? text : gradient.name + " = " + text;
}

}  // namespace chainrule::backprop
