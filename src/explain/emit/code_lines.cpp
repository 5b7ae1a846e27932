// Lines of Python: which values have one, what those without a name are called, and in which order
// they read best.
#include "explain/emit/code_lines.h"

#include <utility>

#include "base/format.h"
#include "graph/op.h"

namespace chainrule {
namespace {

class Lines {
 public:
  Lines(Graph& graph, CodeStyle style)
      : graph_(graph),
        style_(std::move(style)),
        writer_(graph, style_.notation),
        done_(graph.nodes().size(), false) {
    writer_.respell(style_.respell);
    for (const auto& [name, value] : graph.outputs()) output_names_.insert(name);
  }

  std::vector<CodeLine> write() {
    for (const Node& node : graph_.nodes()) {
      for (std::size_t i = 0; i < node.types.size(); ++i) {
        const Value v = node.output(i);
        if (writer_.has_line(v) && is_named(v)) put_behind_its_own(v, writer_.name(v));
      }
    }
    std::vector<CodeLine> lines;
    for (const Value& v : order_) {
      lines.push_back({writer_.name(v), writer_.line(v), v.shape(), !v.node().note.empty()});
    }
    for (const auto& [name, value] : graph_.outputs()) {
      if (writer_.has_line(value) && writer_.name(value) == name) continue;
      lines.push_back({name, fmt::format("{} = {}", name, writer_.mention(value)), value.shape(),
                       !value.node().note.empty() || name != graph_.outputs().front().first});
    }
    return lines;
  }

 private:
  bool is_named(const Value& v) const {
    return !v.name().empty() || output_names_.contains(writer_.name(v));
  }

  bool is_first_time(const Value& v) {
    const auto id = static_cast<std::size_t>(v.node().id);
    const bool first = !done_[id];
    done_[id] = true;
    return first;
  }

  // The lines without a name that v mentions, those that they mention, and v itself behind them.
  void put_behind_its_own(const Value& of, const std::string& owner) {
    struct Place {
      Value value;
      std::size_t next;  // of its inputs
    };
    std::vector<Place> open;
    if (is_first_time(of)) open.push_back({of, 0});
    while (!open.empty()) {
      const Value v = open.back().value;
      if (open.back().next < v.node().inputs.size()) {
        const Value input = v.node().inputs[open.back().next++];
        if (input.node().op->source) continue;
        const bool has_line = writer_.has_line(input);
        if (!has_line || (!is_named(input) && is_first_time(input))) open.push_back({input, 0});
        continue;
      }
      open.pop_back();
      if (v == of || writer_.has_line(v)) put(v, owner);
    }
  }

  void put(const Value& v, const std::string& owner) {
    if (!is_named(v)) {
      std::string name = fmt::format("{}_{}", owner, v.node().op->name);
      while (!style_.taken.insert(name).second) name += "_";
      graph_.set_name(v, name);
    }
    order_.push_back(v);
  }

  Graph& graph_;
  CodeStyle style_;
  Writer writer_;
  std::vector<bool> done_;
  std::set<std::string> output_names_;
  std::vector<Value> order_;
};

}  // namespace

std::vector<CodeLine> code_lines(Graph& graph, CodeStyle style) {
  return Lines(graph, std::move(style)).write();
}

}  // namespace chainrule
