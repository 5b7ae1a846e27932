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

void visit(const ExpressionPtr& e, const std::function<void(const Expression&)>& see) {
  if (!e) return;
  see(*e);
  for (const ExpressionPtr& child : e->children) visit(child, see);
  if (e->function) visit(e->function->result, see);
}

// Statements in the order of the file, those of functions and blocks included; `inside` is true for
// those of functions.
void visit(const Block& block, bool inside,
           const std::function<void(const Statement&, bool inside)>& see) {
  for (const StatementPtr& s : block) {
    see(*s, inside);
    if (s->function) visit(s->function->body, true, see);
    visit(s->body, inside, see);
    visit(s->other, inside, see);
  }
}

// Every expression of every statement.
void visit_expressions(const Block& block, const std::function<void(const Expression&)>& see) {
  visit(block, false, [&](const Statement& s, bool) {
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

bool is_string(const ExpressionPtr& e, std::string_view text) {
  return e && e->kind == ExpressionKind::kString && e->text == text;
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

// params of params['W1'] or of `params = {'W1': …}`, the first that is one of `variables`; "".
std::string container_of(const std::string& key, const Block& statements,
                         const std::set<std::string>& variables) {
  std::string subscripted;
  std::string literal;
  visit_expressions(statements, [&](const Expression& e) {
    if (e.kind != ExpressionKind::kSubscript || !is_string(e.children[1], key)) return;
    const Expression& object = *e.children[0];
    const bool fits = object.kind == ExpressionKind::kName && variables.contains(object.text);
    if (fits && subscripted.empty()) subscripted = object.text;
  });
  visit(statements, false, [&](const Statement& s, bool) {
    if (s.kind != StatementKind::kAssign || s.value->kind != ExpressionKind::kDict) return;
    const std::vector<ExpressionPtr>& items = s.value->children;
    for (std::size_t i = 0; i < items.size(); i += 2) {
      const Expression& target = *s.targets[0];
      const bool fits = target.kind == ExpressionKind::kName && variables.contains(target.text);
      if (fits && is_string(items[i], key) && literal.empty()) literal = target.text;
    }
  });
  return subscripted.empty() ? literal : subscripted;
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
    : program_(program), starts_(program.lines.size(), program.lines.size()) {
  const std::string text = text_of(program.lines);
  tokens_ = numpy::tokens_of(text, program.file);
  statements_ = numpy::parse(text, program.file);
  visit(statements_, false, [&](const Statement& s, bool inside) {
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
  std::size_t next = 0;  // the first line that belongs to no statement yet
  for (const StatementPtr& s : statements_) {
    const auto start = static_cast<std::size_t>(s->at.line) - 1;
    const auto end = static_cast<std::size_t>(s->last_line);
    // Of several statements on one line the first begins there.
    for (; next < std::min(end, starts_.size()); ++next) starts_[next] = start;
  }
}

PythonStyle PythonSource::style() const {
  PythonStyle style;
  style.numpy = "";
  visit(statements_, false, [&](const Statement& s, bool) {
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

std::string PythonSource::code(std::size_t line) const {
  const auto number = static_cast<int>(line) + 1;
  std::size_t end = 0;  // bytes of the source
  std::size_t begin = 0;
  for (std::size_t i = 0; i < line; ++i) begin += program_.lines[i].size() + 1;
  for (const Token& token : tokens_) {
    if (token.kind == TokenKind::kNewline || token.kind == TokenKind::kEnd) continue;
    if (token.end_line == number) end = std::max(end, token.end);
    if (token.at.line <= number && token.end_line > number) return program_.lines[line];
  }
  return end <= begin ? "" : program_.lines[line].substr(0, end - begin);
}

std::set<std::string> PythonSource::identifiers(std::size_t start) const {
  std::set<std::string> names;
  for (const Token& token : tokens_) {
    const auto line = static_cast<std::size_t>(token.at.line) - 1;
    if (token.kind != TokenKind::kName || line >= starts_.size()) continue;
    if (starts_[line] == start && line >= start) names.insert(token.text);
  }
  return names;
}

// params['W1'] for a W1 that is kept in a dictionary, hs[0] for an hs_0 in a list.
std::string PythonSource::element(const std::string& name) const {
  const std::string container = container_of(name, statements_, variables_);
  if (!container.empty()) return fmt::format("{}['{}']", container, name);
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
