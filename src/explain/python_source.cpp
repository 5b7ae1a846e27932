// The text of a Python file, looked at line by line. The reader has parsed it already; here only
// the layout and the customs of its author matter.
#include "explain/python_source.h"

#include <algorithm>
#include <regex>

#include "base/format.h"
#include "explain/words.h"
#include "graph/op.h"

namespace chainrule {
namespace {

constexpr std::size_t kLongestLine = 1000;  // that is looked at

std::size_t count(const std::vector<std::string>& bare, const std::regex& pattern) {
  std::size_t n = 0;
  for (const std::string& line : bare) {
    n += static_cast<std::size_t>(
        std::distance(std::sregex_iterator(line.begin(), line.end(), pattern), {}));
  }
  return n;
}

bool is_blank(const std::string& line) {
  return line.find_first_not_of(" \t\r") == std::string::npos;
}

// Keeps the shape of the text: what is blotted out becomes blanks.
class Blotter {
 public:
  std::string line(const std::string& text) {
    std::string bare = text;
    for (std::size_t i = 0; i < bare.size(); ++i) {
      if (!quote_.empty()) {
        if (bare[i] == '\\') {
          bare[i] = ' ';
          if (i + 1 < bare.size()) bare[++i] = ' ';
        } else if (bare.compare(i, quote_.size(), quote_) == 0) {
          i += quote_.size() - 1;
          quote_.clear();
        } else {
          bare[i] = ' ';
        }
        continue;
      }
      if (bare[i] == '#') {
        bare.erase(i);
        break;
      }
      if (bare[i] == '\'' || bare[i] == '"') {
        const bool triple = bare.compare(i, 3, std::string(3, bare[i])) == 0;
        quote_ = std::string(triple ? 3 : 1, bare[i]);
        i += quote_.size() - 1;
      }
    }
    if (quote_.size() == 1) quote_.clear();  // a string ends with its line
    return bare;
  }

 private:
  std::string quote_;  // of the string that we are in
};

// "W1" of params['W1'], "hs_0" of hs[0], "W1" of self.W1.
std::string plain(const std::string& expression) {
  std::smatch parts;
  static const std::regex kQuoted(R"(.*\[['"](\w+)['"]\])");
  if (expression.size() <= kLongestLine && std::regex_match(expression, parts, kQuoted)) {
    return parts[1];
  }
  std::string name;
  for (const char c : expression.substr(expression.rfind('.') + 1)) {
    if (is_word(c)) name += c;
    if (c == '[') name += '_';
    if (c == '-') name += 'm';
  }
  return name;
}

}  // namespace

std::vector<std::string> bare_lines(const std::vector<std::string>& lines) {
  Blotter blotter;
  std::vector<std::string> bare;
  for (const std::string& line : lines) {
    bare.push_back(blotter.line(line));
    // What the customs of an author show in stands at the beginning of a line; behind it there may
    // be a megabyte of numbers, and std::regex takes a frame of the stack for each character.
    if (bare.back().size() > kLongestLine) bare.back().resize(kLongestLine);
  }
  return bare;
}

std::set<std::string> identifiers(const std::vector<std::string>& bare) {
  std::set<std::string> names;
  for (const std::string& line : bare) {
    for (std::size_t i = 0; i < line.size();) {
      std::size_t end = i;
      while (end < line.size() && is_word(line[end])) ++end;
      if (end > i) names.insert(line.substr(i, end - i));
      i = std::max(end, i + 1);
    }
  }
  return names;
}

PythonStyle style_of(const NumpyProgram& program) {
  const std::vector<std::string> bare = bare_lines(program.lines);
  PythonStyle style;
  style.numpy = "";
  static const std::regex kImport(R"(^\s*import\s+numpy(\s+as\s+(\w+))?\s*$)");
  for (const std::string& line : bare) {
    std::smatch parts;
    if (std::regex_match(line, parts, kImport))
      style.numpy = parts[2].matched ? parts[2].str() : "numpy";
  }
  static const std::regex kOperator(R"([\w\])]\s*@\s*[\w(])");
  static const std::regex kDot(R"(\b(np|numpy)\.dot\()");
  static const std::regex kMatmul(R"(\b(np|numpy)\.matmul\()");
  static const std::regex kMethod(R"(\.dot\()");
  const std::size_t dots = count(bare, kDot);
  const std::pair<std::size_t, ProductStyle> products[] = {
      {count(bare, kOperator), ProductStyle::kOperator},
      {dots, ProductStyle::kDot},
      {count(bare, kMatmul), ProductStyle::kMatmul},
      {count(bare, kMethod) - dots, ProductStyle::kMethod}};
  std::size_t most = 0;
  for (const auto& [n, product] : products) {
    if (n > most) {
      most = n;
      style.product = product;
    }
  }
  std::set<std::string> targets;
  for (const NumpyAssignment& a : program.assignments) targets.insert(a.target);
  std::map<GradientStyle, int> votes;
  for (const std::string& target : targets) {
    const std::string base = gradient_base(target);
    if (base.empty() || !targets.contains(base)) continue;
    if (target == "d" + base) ++votes[GradientStyle::kD];
    if (target == "d_" + base) ++votes[GradientStyle::kDUnderscore];
    if (target == "grad_" + base) ++votes[GradientStyle::kGradPrefix];
    if (target == base + "_grad") ++votes[GradientStyle::kGradSuffix];
  }
  int best = 0;
  for (const auto& [gradient, n] : votes) {
    if (n > best) {
      best = n;
      style.gradient = gradient;
    }
  }
  return style;
}

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

std::vector<std::size_t> top_level_starts(const std::vector<std::string>& bare) {
  std::vector<std::size_t> starts(bare.size());
  std::size_t start = 0;
  int open = 0;  // brackets
  bool in_string = false;
  std::size_t blank_since = 0;
  for (std::size_t i = 0; i < bare.size(); ++i) {
    const std::string& line = bare[i];
    const bool goes_on = open > 0 || in_string || (i > 0 && bare[i - 1].ends_with('\\'));
    for (std::size_t k = 0; k < line.size(); ++k) {
      if (line.compare(k, 3, "\"\"\"") == 0 || line.compare(k, 3, "'''") == 0) {
        in_string = !in_string;
        k += 2;
      } else if (!in_string) {
        open += std::string_view("([{").find(line[k]) != std::string_view::npos ? 1 : 0;
        open -= std::string_view(")]}").find(line[k]) != std::string_view::npos ? 1 : 0;
      }
    }
    if (is_blank(line) && !goes_on) {
      starts[i] = start;
      continue;
    }
    const bool begins = !goes_on && line[0] != ' ' && line[0] != '\t' &&
                        !line.starts_with("else") && !line.starts_with("elif");
    if (begins) {
      for (std::size_t k = blank_since; k < i; ++k) starts[k] = i;
      start = i;
    } else {
      for (std::size_t k = blank_since; k < i; ++k) starts[k] = start;
    }
    starts[i] = start;
    blank_since = i + 1;
  }
  for (std::size_t k = blank_since; k < bare.size(); ++k) starts[k] = bare.size();
  return starts;
}

namespace {

// The variables that hold something at top level.
std::set<std::string> top_level_variables(const std::vector<std::string>& bare) {
  static const std::regex kAssigned(R"(^\s*((?:\w+\s*,\s*)*\w+)\s*[-+*/]?=[^=])");
  static const std::regex kWord(R"(\w+)");
  std::set<std::string> variables;
  bool in_function = false;
  for (const std::string& line : bare) {
    if (is_blank(line)) continue;
    if (line[0] != ' ' && line[0] != '\t') in_function = line.starts_with("def ");
    std::smatch parts;
    if (in_function || !std::regex_search(line, parts, kAssigned)) continue;
    const std::string names = parts[1];
    for (std::sregex_iterator it(names.begin(), names.end(), kWord), end; it != end; ++it) {
      variables.insert(it->str());
    }
  }
  return variables;
}

}  // namespace

std::set<std::string> top_level_names(const std::vector<std::string>& bare) {
  std::set<std::string> names = top_level_variables(bare);
  static const std::regex kDefined(R"(^\s*(?:def|class|for)\s+(\w+))");
  static const std::regex kImported(R"(^\s*(?:import|from)\b.*\b(\w+)\s*$)");
  for (const std::string& line : bare) {
    std::smatch parts;
    if (std::regex_search(line, parts, kDefined)) names.insert(parts[1]);
    if (std::regex_search(line, parts, kImported)) names.insert(parts[1]);
  }
  return names;
}

namespace {

// params['W1'] for a W1 that is kept in a dictionary, hs[0] for an hs_0 in a list.
std::string element_expression(const std::string& name, const NumpyProgram& program,
                               const std::set<std::string>& variables) {
  const std::regex quoted(R"((\w+)\[(['"]))" + name + R"(\2\])");
  const std::regex literal(R"(^\s*(\w+)\s*=\s*\{.*(['"]))" + name + R"(\2\s*:)");
  for (const std::regex& pattern : {quoted, literal}) {
    for (const std::string& line : program.lines) {
      std::smatch parts;
      if (std::regex_search(line, parts, pattern) && variables.contains(parts[1])) {
        return fmt::format("{}['{}']", parts[1].str(), name);
      }
    }
  }
  static const std::regex kNumbered(R"((\w+)_(m?)(\d+))");
  std::smatch parts;
  if (std::regex_match(name, parts, kNumbered) && variables.contains(parts[1])) {
    return fmt::format("{}[{}{}]", parts[1].str(), parts[2].length() > 0 ? "-" : "",
                       parts[3].str());
  }
  return "";
}

}  // namespace

std::vector<std::string> python_expressions(const NumpyProgram& program) {
  const std::vector<std::string> bare = bare_lines(program.lines);
  const std::set<std::string> variables = top_level_variables(bare);
  std::map<std::string, Value> holds;  // what each variable holds after the loss
  std::vector<std::string> expressions(program.graph->nodes().size());
  for (std::size_t i = 0; i < program.forward; ++i) {
    const NumpyAssignment& a = program.assignments[i];
    if (a.function.empty()) holds[a.target] = a.value;
  }
  for (const auto& [target, value] : holds) {
    if (!value) continue;
    std::string& expression = expressions[static_cast<std::size_t>(value.node().id)];
    const std::string here =
        variables.contains(target) ? target : element_expression(target, program, variables);
    // Of several names for one value, the one that the graph has.
    if (expression.empty() || value.name() == target) expression = here;
  }
  // What was put into a dictionary or a list in one go, and whole numbers used as real ones.
  for (const Node& node : program.graph->nodes()) {
    std::string& expression = expressions[static_cast<std::size_t>(node.id)];
    const std::string& name = node.names[0];
    if (!expression.empty() || name.empty() || holds.contains(name)) continue;
    if (!variables.contains(name)) expression = element_expression(name, program, variables);
    static const std::string kIndex = "_index";
    if (expression.empty() && name.ends_with(kIndex)) {
      const std::string base = name.substr(0, name.size() - kIndex.size());
      if (holds.contains(base)) expression = base + ".astype(int)";
    }
  }
  return expressions;
}

}  // namespace chainrule
