// Between two names the ops speak for themselves: elementwise stretches by their grad rules with dy
// = 1, the others by the formula and the reason in their blocks.
#include "explain/derive/local_derivative.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/simplify.h"
#include "compiler/passes.h"
#include "explain/derive/recognise.h"
#include "graph/copy.h"
#include "notation/math_text.h"

namespace chainrule {
namespace {

// The nodes on paths from `from` to `to`, by id, without those of other names in between.
std::vector<const Node*> nodes_between(const Value& from, const Value& to) {
  std::vector<const Node*> between;
  std::set<std::int64_t> reached{from.node().id};
  for (const Node& node : to.graph().nodes()) {
    if (node.id <= from.node().id || node.id > to.node().id) continue;
    const bool reads = std::any_of(node.inputs.begin(), node.inputs.end(), [&](const Value& v) {
      return v.dtype() == DType::kF32 && reached.contains(v.node().id);
    });
    if (reads) reached.insert(node.id);
  }
  std::set<std::int64_t> leads{to.node().id};
  for (std::int64_t id = to.node().id; id > from.node().id; --id) {
    if (!leads.contains(id)) continue;
    const Node& node = to.graph().nodes()[static_cast<std::size_t>(id)];
    for (const Value& v : node.inputs) leads.insert(v.node().id);
    if (reached.contains(id)) between.push_back(&node);
  }
  std::reverse(between.begin(), between.end());
  return between;
}

// How the values between two names are spoken of: by their formula when it is short, and else by a
// letter of their own.
class Speech {
 public:
  explicit Speech(const Graph& graph) {
    for (const Node& node : graph.nodes()) taken_.insert(node.names.begin(), node.names.end());
  }

  std::string operator()(const Value& v) {
    if (is(v, "broadcast_to")) return (*this)(v.node().inputs[0]);
    if (!v.name().empty()) return v.name();
    const auto known = letters_.find(v);
    if (known != letters_.end()) return known->second;
    const std::string text = expression(v, Notation::kText);
    if (text.find(' ') == std::string::npos) {
      return text.find("·") == std::string::npos ? text : "(" + text + ")";
    }
    for (const char* letter : {"u", "v", "w", "p", "q", "r"}) {
      if (!taken_.insert(letter).second) continue;
      letters_.emplace(v, letter);
      introduced.push_back({std::string(letter) + " = " + text,
                            std::string(letter) + " = " + expression(v, Notation::kLatex)});
      return letter;
    }
    return "(" + text + ")";
  }

  std::vector<MathText> introduced;  // "u = (A2 - Y)²", in the order of their first use

 private:
  std::set<std::string> taken_;
  ValueMap<std::string> letters_;
};

std::string with_inputs(const std::string& pattern, const Node& node, const std::string& output,
                        Speech& spoken) {
  std::string text = pattern;
  const auto put = [&](const std::string& place, const std::string& by) {
    for (std::size_t at = text.find(place); at != std::string::npos;
         at = text.find(place, at + by.size())) {
      text.replace(at, place.size(), by);
    }
  };
  put("{y}", output);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const std::string place = "{" + std::to_string(i) + "}";
    if (text.find(place) != std::string::npos) put(place, spoken(node.inputs[i]));
  }
  for (const Attribute& a : node.attributes) {
    const std::string all = attributes_text({a});
    put("{" + std::string(a.name) + "}", all.substr(all.find('=') + 1));
  }
  return text;
}

// ∂to/∂from where only elementwise ops lie between: the gradient with dy = 1. Empty when it is 1.
MathText elementwise_derivative(const Value& from, const Value& to) {
  Graph graph;
  GraphCopy copy(graph);
  const Value x = copy(from);
  const Value y = copy(to);
  const Value d = gradient(y, {x}, constant(graph, 1.0, y.shape()))[0];
  graph.output("derivative", d);
  const GraphPtr simple = name_masks(*simplify(graph));
  const Value derivative = simple->outputs()[0].second;
  if (is(derivative, "constant")) {
    const double value = derivative.node().real("value");
    if (value == 1) return {};
    const double inverse = std::round(1 / value);
    if (std::abs(inverse) > 2 && std::abs(1 / value - inverse) < 1e-9 * std::abs(inverse)) {
      const std::string sign = inverse < 0 ? "-" : "";
      const std::string below = number_text(std::abs(inverse), Notation::kText);
      return {sign + "1/" + below, sign + "\\frac{1}{" + below + "}"};
    }
  }
  return in_mathematics(derivative, "d" + from.name());
}

}  // namespace

std::string written(const Value& v, Notation notation, const std::string& own) {
  return !v.name().empty() && v.name() != own && !is(v, "constant") ? Writer(notation).name(v)
                                                                    : expression(v, notation);
}

MathText in_mathematics(const Value& v, const std::string& own) {
  return {written(v, Notation::kText, own), written(v, Notation::kLatex, own)};
}

std::string fraction(const std::string& above, const std::string& below) {
  return "∂" + above + "/∂" + below;
}

void add_local(const Value& v, const Value& reader, ChainTerm& term) {
  const std::vector<const Node*> between = nodes_between(v, reader);
  term.elementwise =
      std::all_of(between.begin(), between.end(), [](const Node* n) { return n->op->elementwise; });
  // From the reader inwards: elementwise stretches, and the ops between them.
  Speech spoken(reader.graph());
  Value end = reader;
  std::string output = spoken(reader);  // as the next op's output is spoken of
  for (auto it = between.rbegin();; ++it) {
    const bool last = it == between.rend();
    if (!last && (*it)->op->elementwise) continue;
    const Value begin = last ? v : (*it)->output();
    const auto within = nodes_between(begin, end);
    const bool only_elementwise =
        std::all_of(within.begin(), within.end(), [](const Node* n) { return n->op->elementwise; });
    if (!last) output = spoken(begin);
    if (begin != end && only_elementwise) {
      const MathText d = elementwise_derivative(begin, end);
      const std::string left = fraction(spoken(end), spoken(begin));
      if (!d.text.empty()) {
        term.local.push_back({left + " = " + d.text, latex_of(left) + " = " + d.latex});
      } else if (!last) {
        output = spoken(end);
      } else if (term.elementwise) {
        term.local.push_back({left + " = 1", latex_of(left) + " = 1"});
      }
    }
    if (last) break;
    const Node& node = **it;
    std::set<std::string> said;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const bool on_path = node.inputs[i] == v ||
                           std::any_of(between.begin(), between.end(),
                                       [&](const Node* n) { return n == &node.inputs[i].node(); });
      if (!on_path) continue;
      const LocalDerivative& local = node.op->local[std::min<std::size_t>(i, 2)];
      if (local.formula.empty()) continue;
      const bool says_nothing =
          spoken(node.inputs[i]) == output && node.op->formula.of(node).text == "{0}";
      const std::string formula = with_inputs(local.formula.of(node).text, node, output, spoken);
      if (!says_nothing && said.insert(formula).second)
        term.local.push_back({formula, latex_of(formula)});
      term.reasons.push_back(with_inputs(local.reason.of(node).text, node, output, spoken));
      end = node.inputs[i];
    }
  }
  term.local.insert(term.local.begin(), spoken.introduced.begin(), spoken.introduced.end());
}

}  // namespace chainrule
