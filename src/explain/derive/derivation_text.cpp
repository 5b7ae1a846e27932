// A derivation for the terminal: one block a value, labels on the left, at most 100 columns.
#include <algorithm>
#include <set>

#include "base/format.h"
#include "chainrule/derivation.h"

namespace chainrule {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kIndent = 2;
constexpr std::size_t kLabel = 12;

// Letters, not bytes. A combining or subscript letter counts as one, as terminals show it.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t to) {
  return text + std::string(to - std::min(to, width(text)), ' ');
}

// Parts that are better not broken: what stands between spaces outside brackets.
std::vector<std::string> parts_of(const std::string& text, std::size_t columns) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    if (c == '(' || c == '[') ++depth;
    if (c == ')' || c == ']') --depth;
    if (c == ' ' && depth == 0) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  const bool fits = std::all_of(parts.begin(), parts.end(),
                                [&](const std::string& p) { return width(p) <= columns; });
  if (fits) return parts;
  parts.assign(1, "");
  for (const char c : text) {
    if (c == ' ') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// Broken into lines of at most `columns`; a line never ends behind an operator.
std::vector<std::string> wrapped(const std::string& text, std::size_t columns) {
  std::vector<std::string> lines(1);
  const std::vector<std::string> parts = parts_of(text, columns);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string part = parts[i];
    const bool is_operator = part == "+" || part == "-" || part == "⊙" || part == "*" ||
                             part == "·" || part == "/" || part == "@";
    if (is_operator && i + 1 < parts.size()) part += " " + parts[++i];
    if (!lines.back().empty() && width(lines.back()) + 1 + width(part) > columns) {
      lines.emplace_back();
    }
    lines.back() += (lines.back().empty() ? "" : " ") + part;
  }
  return lines;
}

std::string without_backquotes(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '`'), text.end());
  return text;
}

class Block {
 public:
  explicit Block(std::string& text) : text_(text) {}

  void entry(const std::string& label, const std::string& content, std::size_t shifted = 0) {
    bool first = true;
    for (const std::string& line : wrapped(content, kColumns - kIndent - kLabel - shifted)) {
      text_ += std::string(kIndent, ' ') + padded(first ? label : "", kLabel) +
               std::string(shifted, ' ') + line + "\n";
      first = false;
    }
  }

 private:
  std::string& text_;
};

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += i == 0 ? "" : i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

// "dA2 = -Y / (A2 + 1e-09) / 3": what stands behind the upstream gradients of a step.
std::string upstream_results(const Derivation& derivation, const DerivationStep& step) {
  std::string text;
  for (const ChainTerm& term : step.terms) {
    for (const DerivationStep& other : derivation.steps) {
      if (other.gradient != term.upstream) continue;
      text += (text.empty() ? "" : ", ") + other.gradient + " = " + other.result.text;
    }
  }
  return text;
}

void print_lines(const std::vector<DerivationLine>& lines, bool numpy, std::string& text) {
  std::size_t left = 0;
  std::size_t right = 0;
  for (const DerivationLine& line : lines) {
    left = std::max(left, width(line.name));
    right = std::max(right, width(numpy ? line.numpy : line.formula.text));
  }
  right = std::min<std::size_t>(right, 60);
  for (const DerivationLine& line : lines) {
    text += fmt::format("  {} = {}  {}{}\n", padded(line.name, left),
                        padded(numpy ? line.numpy : line.formula.text, right), numpy ? "# " : "",
                        to_string(line.shape));
  }
}

void print_term(const std::string& loss, const DerivationStep& step, const ChainTerm& term,
                std::set<std::string>& said, Block& block) {
  const auto number = static_cast<std::size_t>(&term - step.terms.data()) + 1;
  const bool several = step.terms.size() > 1;
  block.entry(several ? fmt::format("{}. used in", number) : "used in",
              term.reader + " = " + term.formula.text);
  if (!term.upstream.empty()) {
    block.entry("upstream", term.upstream + "  " + to_string(term.reader_shape));
  }
  bool first = true;
  for (const MathText& local : term.local) {
    block.entry(first ? "local" : "", local.text + (term.elementwise ? "   elementwise" : ""));
    first = false;
  }
  const std::string whole = "∂" + loss + "/∂" + step.value;
  if (term.chain.text.empty()) {
    block.entry("so", whole + " = " + term.contribution.text);
  } else {
    block.entry("chain rule", term.chain.text);
    block.entry("", "= " + term.contribution.text, width(whole) + 1);
  }
  for (const std::string& shapes : term.products) block.entry("shapes", shapes);
  const char* label = "why";
  for (const std::string& reason : term.reasons) {
    if (!said.insert(reason).second) continue;
    block.entry(label, without_backquotes(reason));
    label = "";
  }
}

}  // namespace

std::string to_text(const Derivation& derivation) {
  std::string text = fmt::format(
      "The gradient of {} for {}\n\n· is the matrix product, ⊙ goes element by element, "
      "[condition] is 1 where it holds, else 0\n\nforward\n",
      derivation.loss, list(derivation.wrt));
  print_lines(derivation.forward, false, text);
  text += fmt::format(
      "\nbackward: from the loss to the inputs; d… stands for ∂{}/∂… and has its shape\n",
      derivation.loss);
  for (const DerivationStep& step : derivation.steps) {
    text += "\n";
    const std::string title = step.gradient + " = ∂" + derivation.loss + "/∂" + step.value;
    text += title + "  " + to_string(step.shape) + "\n";
    Block block(text);
    std::set<std::string> said;
    for (const ChainTerm& term : step.terms) print_term(derivation.loss, step, term, said, block);
    if (step.terms.size() > 1) block.entry("sum", step.gradient + " = " + step.sum.text);
    if (step.cancels) {
      const std::string put_in = upstream_results(derivation, step);
      if (!put_in.empty()) block.entry("put in", put_in);
      block.entry("simplified", step.gradient + " = " + step.result.text);
    }
    block.entry("NumPy", step.gradient + " = " + step.numpy);
    if (!step.needed) block.entry("", "# only on the way: the program below does without it");
  }
  text += "\nthe backward pass as a program\n";
  print_lines(derivation.backward, true, text);
  return text;
}

}  // namespace chainrule
