// A graph as lines of mathematics. Each op brings its formula and how tightly it binds; here they
// are put into each other, with parentheses only where they are needed.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "chainrule/explain.h"
#include "compiler/passes.h"
#include "graph/op.h"

namespace chainrule {
namespace {

struct Formula {
  std::string text;
  Binding binding = Binding::kAtom;
};

std::string number(double value) {
  return std::abs(value - std::round(value)) < 1e-15 && std::abs(value) < 1e15
             ? fmt::format("{:.0f}", value)
             : fmt::format("{:.6g}", value);
}

bool is_constant(const Value& v) { return is(v, "constant"); }

class Printer {
 public:
  explicit Printer(const Graph& graph) {
    for (const Node& node : graph.nodes()) {
      for (const Value& input : node.inputs) ++readers_[key(input)];
    }
    for (const auto& [name, value] : graph.outputs()) output_names_.emplace(key(value), name);
    for (const auto& [parameter, next] : graph.updates()) {
      output_names_.emplace(key(next), parameter.name() + "'");
    }
  }

  /// A value with a line of its own, to which others refer by name.
  bool has_line(const Value& v) const {
    if (v.node().op->source || is_constant(v) || is_transparent(v)) return false;
    return !v.name().empty() || output_names_.contains(key(v)) || readers_.at(key(v)) > 1;
  }

  std::string name(const Value& v) const {
    if (!v.name().empty()) return v.name();
    const auto output = output_names_.find(key(v));
    return output != output_names_.end() ? output->second : text_name(v);
  }

  std::string right_side(const Value& v) const { return formula(v).text; }

 private:
  static std::pair<std::int64_t, std::size_t> key(const Value& v) {
    return {v.node().id, v.index()};
  }

  // Broadcasts and casts are invisible in mathematics.
  static bool is_transparent(const Value& v) { return v.node().op->formula == "{0}"; }

  Formula reference(const Value& v) const {
    if (is_constant(v)) {
      const double value = v.node().real("value");
      return {number(value), value < 0 ? Binding::kUnary : Binding::kAtom};
    }
    if (v.node().op->source || has_line(v)) return {name(v), Binding::kAtom};
    if (is_transparent(v)) return reference(v.node().inputs[0]);
    return formula(v);
  }

  std::string operand(const Node& node, std::size_t i) const {
    const Formula f = reference(node.inputs[i]);
    const Binding outer = node.op->binding;
    if (outer == Binding::kAtom || f.binding > outer) return f.text;
    // a + b + c and a - b + c need no parentheses on the left, nor a sum or product with itself.
    const bool associative = is(node, "add") || is(node, "mul") || is(node, "matmul");
    const bool binary = outer == Binding::kSum || outer == Binding::kProduct;
    if (binary && f.binding == outer && (i == 0 || (associative && same_op(node, i))))
      return f.text;
    return "(" + f.text + ")";
  }

  static bool same_op(const Node& node, std::size_t i) {
    return node.inputs[i].node().op == node.op;
  }

  std::string attribute(const Node& node, std::string_view field) const {
    for (const Attribute& a : node.attributes) {
      if (a.name != field) continue;
      const std::string all = attributes_text({a});
      return all.substr(all.find('=') + 1);
    }
    return "?";
  }

  // x ⊙ 1/3 is how the compiler likes it; x / 3 is how a person does.
  Formula scaled(const Node& node) const {
    const double c = node.inputs[1].node().real("value");
    const double inverse = 1 / c;
    const bool is_short = std::stod(fmt::format("{:.2g}", c)) == c;  // 0.5 and 0.01, not 1/3
    if (!is_short && std::abs(inverse - std::round(inverse)) < 1e-9 * std::abs(inverse)) {
      return {operand(node, 0) + " / " + number(std::round(inverse)), Binding::kProduct};
    }
    return {number(c) + " · " + operand(node, 0), Binding::kProduct};
  }

  Formula formula(const Value& v) const {
    const Node& node = v.node();
    if (is(node, "mul") && is_constant(node.inputs[1])) return scaled(node);
    std::string text;
    const std::string_view pattern = node.op->formula;
    for (std::size_t at = 0; at < pattern.size(); ++at) {
      if (pattern[at] != '{') {
        text += pattern[at];
        continue;
      }
      const std::size_t end = pattern.find('}', at);
      const std::string_view field = pattern.substr(at + 1, end - at - 1);
      if (field == "*") {
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
          text += (i == 0 ? "" : ", ") + reference(node.inputs[i]).text;
        }
      } else if (field[0] >= '0' && field[0] <= '9') {
        text += operand(node, static_cast<std::size_t>(field[0] - '0'));
      } else {
        text += attribute(node, field);
      }
      at = end;
    }
    if (node.types.size() > 1) text += fmt::format(".{}", v.index());
    return {text, node.op->binding};
  }

  std::map<std::pair<std::int64_t, std::size_t>, int> readers_;
  std::map<std::pair<std::int64_t, std::size_t>, std::string> output_names_;
};

// Letters, not bytes: "dA1 ⊙ W" is 7 wide.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t to) {
  return text + std::string(to - std::min(to, width(text)), ' ');
}

struct Line {
  std::string part;  // forward, backward or update
  std::string left;
  std::string right;
  std::string shape;
};

// An update without states, such as plain gradient descent, is short enough to be written out.
GraphPtr with_short_updates(const Graph& graph) {
  return drop_unused(*apply_algebra(
      *expand_macros(graph, [](const Node& n) { return !n.op->update || n.types.size() > 1; })));
}

}  // namespace

std::string formulas(const Graph& original) {
  const GraphPtr written_out = with_short_updates(original);
  const Graph& graph = *written_out;
  const Printer printer(graph);
  std::vector<bool> updates(graph.nodes().size(), false);
  for (const auto& [parameter, next] : graph.updates()) {
    updates[static_cast<std::size_t>(next.node().id)] = true;
  }
  std::vector<Line> lines;
  std::size_t left_width = 0;
  std::size_t right_width = 0;
  for (const Node& node : graph.nodes()) {
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      const Value v = node.output(i);
      if (!printer.has_line(v)) continue;
      const bool update = updates[static_cast<std::size_t>(node.id)];
      lines.push_back({update              ? "update"
                       : node.note.empty() ? "forward"
                                           : "backward",
                       printer.name(v), printer.right_side(v), to_string(v.shape())});
      left_width = std::max(left_width, width(lines.back().left));
      right_width = std::max(right_width, std::min<std::size_t>(48, width(lines.back().right)));
    }
  }
  std::string text;
  for (const std::string_view part : {"forward", "backward", "update"}) {
    bool first = true;
    for (const Line& line : lines) {
      if (line.part != part) continue;
      if (first) text += fmt::format("{}{}\n", text.empty() ? "" : "\n", part);
      first = false;
      text += fmt::format("  {} = {}  {}\n", padded(line.left, left_width),
                          padded(line.right, right_width), line.shape);
    }
  }
  return text;
}

}  // namespace chainrule
