// The text form of a graph: one line a node. Golden tests hold it still, so it shows all that
// matters and nothing that changes from run to run.
#include <algorithm>

#include "base/format.h"
#include "chainrule/graph.h"
#include "graph/op.h"

namespace chainrule {
namespace {

struct AttributeText {
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::vector<std::int64_t>& value) const {
    return fmt::format("[{}]", joined(value, ","));
  }
  std::string operator()(const std::string& value) const { return value; }
};

std::string declaration(const Value& value) {
  return fmt::format("{}: {}", text_name(value), to_string(value.type()));
}

std::string declarations(const std::vector<Value>& values) {
  std::vector<std::string> parts;
  for (const Value& value : values) parts.push_back(declaration(value));
  return joined(parts, ", ");
}

struct Line {
  std::string names;
  std::string call;
  std::string types;
  std::string note;
};

Line line_of(const Node& node) {
  std::vector<std::string> names;
  std::vector<std::string> types;
  for (std::size_t i = 0; i < node.types.size(); ++i) {
    names.push_back(text_name(node.output(i)));
    types.push_back(to_string(node.types[i]));
  }
  std::vector<std::string> arguments;
  for (const Value& input : node.inputs) arguments.push_back(text_name(input));
  std::string call = joined(arguments, ", ");
  const std::string attributes = attributes_text(node.attributes);
  call += arguments.empty() && !attributes.empty() ? attributes.substr(2) : attributes;
  return {joined(names, ", "), fmt::format("{}({})", node.op->name, call), joined(types, ", "),
          node.note};
}

void print(const Graph& graph, const std::string& indent, std::string& text);

void print_lines(const Graph& graph, const std::string& indent, std::string& text) {
  std::vector<std::pair<const Node*, Line>> lines;
  std::size_t name_width = 0;
  std::size_t call_width = 0;
  for (const Node& node : graph.nodes()) {
    if (node.op->source) continue;
    lines.emplace_back(&node, line_of(node));
    name_width = std::max(name_width, lines.back().second.names.size());
    call_width = std::max(call_width, std::min<std::size_t>(60, lines.back().second.call.size()));
  }
  for (const auto& [node, line] : lines) {
    text += fmt::format("{}{:<{}} = {:<{}} : {}{}\n", indent, line.names, name_width, line.call,
                        call_width, line.types, line.note.empty() ? "" : "   # " + line.note);
    if (node->body) print(*node->body, indent + "  ", text);
  }
}

void print(const Graph& graph, const std::string& indent, std::string& text) {
  text += fmt::format("{}graph {}({}{}{}) {{\n", indent, graph.name(), declarations(graph.inputs()),
                      graph.parameters().empty() ? "" : "; ", declarations(graph.parameters()));
  print_lines(graph, indent + "  ", text);
  for (const auto& [name, value] : graph.outputs()) {
    text += fmt::format("{}  return {} = {}\n", indent, name, text_name(value));
  }
  for (const auto& [parameter, next] : graph.updates()) {
    text += fmt::format("{}  update {} = {}\n", indent, text_name(parameter), text_name(next));
  }
  text += indent + "}\n";
}

}  // namespace

std::string attributes_text(const Attributes& attributes) {
  std::string text;
  for (const Attribute& a : attributes) {
    text += fmt::format(", {}={}", a.name, std::visit(AttributeText{}, a.value));
  }
  return text;
}

std::string to_string(const Type& type) {
  return fmt::format("{}[{}]", to_string(type.dtype), joined(type.shape, ","));
}

std::string text_name(const Value& value) {
  if (!value.name().empty()) return value.name();
  const Node& node = value.node();
  if (node.types.size() == 1) return fmt::format("v{}", node.id);
  return fmt::format("v{}.{}", node.id, value.index());
}

std::string to_text(const Graph& graph) {
  std::string text;
  print(graph, "", text);
  return text;
}

}  // namespace chainrule
