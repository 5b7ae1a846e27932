// The reader has parsed the file already; here only the layout and the customs of its author matter.
#include "explain/emit/python_source.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "base/format.h"
#include "graph/op.h"
#include "notation/words.h"

namespace chainrule {
namespace {

using numpy::Block;
using numpy::Expression;
using numpy::ExpressionKind;
using numpy::ExpressionPtr;
using numpy::Statement;
using numpy::StatementKind;
using numpy::StatementPtr;
using numpy::Token;
using numpy::TokenKind;

std::string text_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Every expression of every statement.
void visit_expressions(const Block& block, const numpy::SeeExpression& see) {
  visit(block, [&](const Statement& s, bool) {
    for (const ExpressionPtr& target : s.targets) visit(target, see);
    visit(s.value, see);
  });
}

// The names that an assignment to `target` gives a value: a, b of `a, b = …`; none of `a[0] = …`.
void add_targets(const Expression& target, std::set<std::string>& names) {
  if (target.kind == ExpressionKind::kName) names.insert(target.text);
  if (target.kind != ExpressionKind::kTuple && target.kind != ExpressionKind::kList) return;
  for (const ExpressionPtr& child : target.children) add_targets(*child, names);
}

bool is_name(const Expression& e, std::string_view name) {
  return e.kind == ExpressionKind::kName && e.text == name;
}

// "W1" of params['W1'], "hs_0" of hs[0], "W1" of self.W1.
std::string plain(const std::string& expression) {
  if (const std::size_t quote = expression.find_first_of("'\""); quote != std::string::npos) {
    return expression.substr(quote + 1, expression.find_last_of("'\"") - quote - 1);
  }
  std::string name;
  for (const char c : expression.substr(expression.rfind('.') + 1)) {
    if (is_word(c)) name += c;
    if (c == '[') name += '_';
    if (c == '-') name += 'm';
  }
  return name;
}

// How matrix products are written, by how often.
std::map<ProductStyle, int> products_of(const Block& statements) {
  std::map<ProductStyle, int> counts;
  visit_expressions(statements, [&](const Expression& e) {
    if (e.kind == ExpressionKind::kBinary && e.text == "@") ++counts[ProductStyle::kOperator];
    if (e.kind != ExpressionKind::kCall) return;
    const Expression& called = *e.children[0];
    if (called.kind != ExpressionKind::kAttribute) return;
    const Expression& object = *called.children[0];
    const bool of_module = is_name(object, "np") || is_name(object, "numpy");
    if (called.text == "dot") ++counts[of_module ? ProductStyle::kDot : ProductStyle::kMethod];
    if (called.text == "matmul" && of_module) ++counts[ProductStyle::kMatmul];
  });
  return counts;
}

template <typename Style>
Style most_frequent(const std::map<Style, int>& counts, Style otherwise) {
  int most = 0;
  for (const auto& [style, count] : counts) {
    if (count > most) {
      most = count;
      otherwise = style;
    }
  }
  return otherwise;
}

// By key, params of params['W1'] or else of `params = {'W1': …}`: the first that is one of
// `variables`.
std::map<std::string, std::string> containers_of(const Block& statements,
                                                 const std::set<std::string>& variables) {
  std::map<std::string, std::string> containers;
  const auto add = [&](const ExpressionPtr& key, const Expression& container) {
    if (!key || key->kind != ExpressionKind::kString) return;
    if (container.kind != ExpressionKind::kName || !variables.contains(container.text)) return;
    containers.emplace(key->text, container.text);
  };
  visit_expressions(statements, [&](const Expression& e) {
    if (e.kind == ExpressionKind::kSubscript) add(e.children[1], *e.children[0]);
  });
  visit(statements, [&](const Statement& s, bool) {
    if (s.kind != StatementKind::kAssign || s.value->kind != ExpressionKind::kDict) return;
    const std::vector<ExpressionPtr>& items = s.value->children;
    for (std::size_t i = 0; i < items.size(); i += 2) add(items[i], *s.targets[0]);
  });
  return containers;
}

}  // namespace

std::string gradient_name(const std::string& expression, GradientStyle style) {
  const std::string name = plain(expression);
  switch (style) {
    case GradientStyle::kD: return "d" + name;
    case GradientStyle::kGradPrefix: return "grad_" + name;
    case GradientStyle::kGradSuffix: return name + "_grad";
    case GradientStyle::kDUnderscore: return "d_" + name;
  }
  return "d" + name;
}

std::string gradient_base(const std::string& name) {
  for (const std::string_view prefix : {"grad_", "d_", "d"}) {
    if (name.starts_with(prefix) && name.size() > prefix.size()) return name.substr(prefix.size());
  }
  for (const std::string_view suffix : {"_grad", "_gradient"}) {
    if (name.ends_with(suffix) && name.size() > suffix.size()) {
      return name.substr(0, name.size() - suffix.size());
    }
  }
  return "";
}

PythonSource::PythonSource(const NumpyProgram& program)
    : program_(program),
      starts_(program.lines.size(), program.lines.size()),
      code_(program.lines.size()) {
  const std::string text = text_of(program.lines);
  statements_ = numpy::parse(text, program.file);
  visit(statements_, [&](const Statement& s, bool inside) {
    if (inside) return;
    std::set<std::string> targets;
    for (const ExpressionPtr& target : s.targets) add_targets(*target, targets);
    const bool loops = s.kind == StatementKind::kFor;
    (loops ? names_ : variables_).insert(targets.begin(), targets.end());
    if (s.kind == StatementKind::kDefine) names_.insert(s.function->name);
    if (s.kind == StatementKind::kImport || s.kind == StatementKind::kImportFrom) {
      for (std::size_t i = 1; i < s.names.size(); i += 2) names_.insert(s.names[i]);
    }
  });
  names_.insert(variables_.begin(), variables_.end());
  containers_ = containers_of(statements_, variables_);
  std::size_t next = 0;  // the first line that belongs to no statement yet
  for (const StatementPtr& s : statements_) {
    const auto start = static_cast<std::size_t>(s->at.line) - 1;
    const auto end = static_cast<std::size_t>(s->last_line);
    // Of several statements on one line the first begins there.
    for (; next < std::min(end, starts_.size()); ++next) starts_[next] = start;
  }
  read_words(numpy::tokens_of(text, program.file));
}

void PythonSource::read_words(const std::vector<Token>& tokens) {
  std::vector<std::size_t> begins(code_.size());  // of the lines, in bytes of the source
  for (std::size_t i = 1; i < begins.size(); ++i) {
    begins[i] = begins[i - 1] + program_.lines[i - 1].size() + 1;
  }
  for (const Token& token : tokens) {
    const auto line = static_cast<std::size_t>(token.at.line) - 1;
    if (token.kind == TokenKind::kNewline || token.kind == TokenKind::kEnd ||
        line >= code_.size()) {
      continue;
    }
    if (token.kind == TokenKind::kName) identifiers_[starts_[line]].insert(token.text);
    // A word that goes on over lines, a string, is all there is on them.
    const auto last = static_cast<std::size_t>(token.end_line) - 1;
    for (std::size_t i = line; i < last; ++i) code_[i] = program_.lines[i];
    code_[last] = program_.lines[last].substr(0, token.end - begins[last]);
  }
}

PythonStyle PythonSource::style() const {
  PythonStyle style;
  style.numpy = "";
  visit(statements_, [&](const Statement& s, bool) {
    if (s.kind != StatementKind::kImport) return;
    for (std::size_t i = 0; i + 1 < s.names.size(); i += 2) {
      if (s.names[i] == "numpy") style.numpy = s.names[i + 1];
    }
  });
  style.product = most_frequent(products_of(statements_), style.product);
  std::set<std::string> targets;
  for (const NumpyAssignment& a : program_.assignments) targets.insert(a.target);
  std::map<GradientStyle, int> votes;
  for (const std::string& target : targets) {
    const std::string base = gradient_base(target);
    if (base.empty() || !targets.contains(base)) continue;
    if (target == "d" + base) ++votes[GradientStyle::kD];
    if (target == "d_" + base) ++votes[GradientStyle::kDUnderscore];
    if (target == "grad_" + base) ++votes[GradientStyle::kGradPrefix];
    if (target == base + "_grad") ++votes[GradientStyle::kGradSuffix];
  }
  style.gradient = most_frequent(votes, style.gradient);
  return style;
}

std::set<std::string> PythonSource::identifiers(std::size_t start) const {
  const auto found = identifiers_.find(start);
  return found == identifiers_.end() ? std::set<std::string>() : found->second;
}

// params['W1'] for a W1 that is kept in a dictionary, hs[0] for an hs_0 in a list.
std::string PythonSource::element(const std::string& name) const {
  if (const auto found = containers_.find(name); found != containers_.end()) {
    return fmt::format("{}['{}']", found->second, name);
  }
  const std::size_t split = name.rfind('_');
  if (split == std::string::npos || !variables_.contains(name.substr(0, split))) return "";
  std::string number = name.substr(split + 1);
  const bool from_the_end = number.starts_with('m');
  if (from_the_end) number.erase(0, 1);
  const bool digits =
      !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  return digits ? fmt::format("{}[{}{}]", name.substr(0, split), from_the_end ? "-" : "", number)
                : "";
}

std::vector<std::string> PythonSource::expressions() const {
  std::map<std::string, Value> holds;  // what each variable holds after the loss
  std::vector<std::string> expressions(program_.graph->nodes().size());
  for (std::size_t i = 0; i < program_.forward; ++i) {
    const NumpyAssignment& a = program_.assignments[i];
    if (a.function.empty()) holds[a.target] = a.value;
  }
  for (const auto& [target, value] : holds) {
    if (!value) continue;
    std::string& expression = expressions[static_cast<std::size_t>(value.node().id)];
    const std::string here = variables_.contains(target) ? target : element(target);
    // Of several names for one value, the one that the graph has.
    if (expression.empty() || value.name() == target) expression = here;
  }
  // What was put into a dictionary or a list in one go, and whole numbers used as real ones.
  for (const Node& node : program_.graph->nodes()) {
    std::string& expression = expressions[static_cast<std::size_t>(node.id)];
    const std::string& name = node.names[0];
    if (!expression.empty() || name.empty() || holds.contains(name)) continue;
    if (!variables_.contains(name)) expression = element(name);
    static const std::string kIndex = "_index";
    if (expression.empty() && name.ends_with(kIndex)) {
      const std::string base = name.substr(0, name.size() - kIndex.size());
      if (holds.contains(base)) expression = base + ".astype(int)";
    }
  }
  return expressions;
}

}  // namespace chainrule
