// A graph as lines of mathematics, one for each value that has a name, and their shapes.
#include <algorithm>

#include "base/format.h"
#include "chainrule/explain.h"
#include "compiler/passes.h"
#include "graph/op.h"
#include "notation/notation.h"

namespace chainrule {
namespace {

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
  const Writer writer(graph, Notation::kText);
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
      if (!writer.has_line(v)) continue;
      const bool update = updates[static_cast<std::size_t>(node.id)];
      lines.push_back({update              ? "update"
                       : node.note.empty() ? "forward"
                                           : "backward",
                       writer.name(v), writer.right_side(v), to_string(v.shape())});
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
