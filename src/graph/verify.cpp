// The verifier: what every graph must satisfy, checked after every pass in the tests.
#include <set>
#include <string>

#include "chainrule/error.h"
#include "chainrule/graph.h"
#include "graph/op.h"

namespace chainrule {
namespace {

[[noreturn]] void fail(const Graph& graph, const std::string& what) {
  throw Error("graph " + graph.name() + " is not well formed: " + what);
}

void verify_node(const Graph& graph, const Node& node) {
  const std::string name = text_name(node.output());
  if (node.op == nullptr) fail(graph, name + " has no op");
  for (const Value& input : node.inputs) {
    if (!input) fail(graph, name + " has an empty input");
    if (&input.graph() != &graph) fail(graph, name + " reads a value of another graph");
    if (input.node().id >= node.id)
      fail(graph, name + " reads " + text_name(input) + ", made later");
  }
  if (node.op->infer(node) != node.types)
    fail(graph, name + " has a type that its op does not infer");
  if (node.body) verify(*node.body);
}

}  // namespace

void verify(const Graph& graph) {
  std::set<std::string> names;
  std::int64_t id = 0;
  for (const Node& node : graph.nodes()) {
    if (node.id != id++ || node.graph != &graph) fail(graph, "a node is out of place");
    verify_node(graph, node);
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      const std::string name = text_name(node.output(i));
      if (!names.insert(name).second) fail(graph, "two values are called " + name);
    }
  }
  std::set<std::int64_t> updated;
  for (const auto& [parameter, next] : graph.updates()) {
    if (!is(parameter, "parameter")) fail(graph, text_name(parameter) + " is no parameter");
    if (parameter.type() != next.type())
      fail(graph, "an update changes the type of " + parameter.name());
    if (!updated.insert(parameter.node().id).second)
      fail(graph, parameter.name() + " is updated twice");
  }
}

}  // namespace chainrule
