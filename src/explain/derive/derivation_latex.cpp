// A derivation as a document for pdflatex: one paragraph a value, with amsmath.
#include <set>

#include "base/format.h"
#include "chainrule/derivation.h"
#include "notation/math_text.h"
#include "notation/notation.h"

namespace chainrule {
namespace {

// Prose, whose mathematics stands between backquotes.
std::string prose(const std::string& text) {
  std::string latex;
  bool inside = false;
  std::string part;
  for (const char c : text + "`") {
    if (c != '`') {
      part += c;
      continue;
    }
    if (inside) {
      latex += "$" + latex_of(part) + "$";
    } else {
      for (const char p : part) {
        if (p == '_' || p == '%' || p == '#' || p == '&') latex += '\\';
        latex += p;
      }
    }
    part.clear();
    inside = !inside;
  }
  return latex;
}

std::string shape_latex(const Shape& shape) {
  if (shape.empty()) return R"(\text{scalar})";
  std::string text;
  for (const std::int64_t extent : shape) {
    text += (text.empty() ? "" : R"( \times )") + std::to_string(extent);
  }
  return text;
}

std::string partial(const std::string& above, const std::string& below) {
  return R"(\frac{\partial )" + latex_name(above) + R"(}{\partial )" + latex_name(below) + "}";
}

// Formulas under each other, aligned at their equals signs.
class Aligned {
 public:
  void line(const std::string& left, const std::string& right) {
    lines_ += (lines_.empty() ? "" : " \\\\\n") + std::string("  ") + left + " &= " + right;
  }
  // "a = b", cut at its first equals sign.
  void equation(const std::string& latex) {
    const std::size_t at = latex.find(" = ");
    if (at == std::string::npos) return;
    line(latex.substr(0, at), latex.substr(at + 3));
  }
  std::string text() const { return "\\begin{align*}\n" + lines_ + "\n\\end{align*}\n"; }

 private:
  std::string lines_;
};

void print_term(const Derivation& d, const DerivationStep& step, const ChainTerm& term,
                std::set<std::string>& said, std::string& text) {
  text += fmt::format("${}$ is used in ${} = {}$.", latex_name(step.value), latex_name(term.reader),
                      term.formula.latex);
  if (!term.upstream.empty()) {
    text += fmt::format(" From above comes ${}$, $({})$.", latex_name(term.upstream),
                        shape_latex(term.reader_shape));
  }
  text += "\n";
  Aligned lines;
  for (const MathText& local : term.local) lines.equation(local.latex);
  if (term.chain.latex.empty()) {
    lines.line(partial(d.loss, step.value), term.contribution.latex);
  } else {
    lines.equation(term.chain.latex);
    lines.line("", term.contribution.latex);
  }
  text += lines.text();
  std::string reasons;
  for (const std::string& reason : term.reasons) {
    if (said.insert(reason).second) reasons += (reasons.empty() ? "" : "; ") + prose(reason);
  }
  for (const std::string& shapes : term.products) {
    std::string latex = shapes;
    for (const auto& [from, to] : {std::pair{"·", R"(\cdot)"}, {"→", R"(\to)"}}) {
      for (std::size_t at = latex.find(from); at != std::string::npos; at = latex.find(from)) {
        latex.replace(at, std::string_view(from).size(), to);
      }
    }
    reasons += (reasons.empty() ? "" : "; ") + std::string("the shapes: $") + latex + "$";
  }
  if (!reasons.empty()) text += "Why: " + reasons + ".\n\n";
}

void print_step(const Derivation& d, const DerivationStep& step, std::string& text) {
  text += fmt::format("\n\\subsection*{{${} = \\partial {} / \\partial {}$ \\quad $({})$}}\n",
                      latex_name(step.gradient), latex_name(d.loss), latex_name(step.value),
                      shape_latex(step.shape));
  std::set<std::string> said;
  for (const ChainTerm& term : step.terms) print_term(d, step, term, said, text);
  Aligned result;
  if (step.terms.size() > 1) result.line(latex_name(step.gradient), step.sum.latex);
  if (step.cancels) {
    std::string joint = "With ";
    for (const ChainTerm& term : step.terms) {
      for (const DerivationStep& other : d.steps) {
        if (other.gradient != term.upstream) continue;
        text += joint + "$" + latex_name(other.gradient) + " = " + other.result.latex + "$";
        joint = " and ";
      }
    }
    text += joint == "With " ? "Simplified:\n" : " put in, this is\n";
    result.line(latex_name(step.gradient), step.result.latex);
  } else if (step.terms.size() > 1) {
    text += "Together:\n";
  }
  if (step.cancels || step.terms.size() > 1) text += result.text();
  text += "NumPy:\n{\\small\\begin{verbatim}\n" + step.gradient + " = " + step.numpy +
          "\n\\end{verbatim}}\n";
}

}  // namespace

std::string to_latex(const Derivation& d) {
  std::string names;
  for (const std::string& name : d.wrt) names += (names.empty() ? "" : ", ") + latex_name(name);
  std::string text = R"(\documentclass[11pt]{article}
\usepackage[a4paper, margin=2.4cm]{geometry}
\usepackage{amsmath}
\setlength{\parindent}{0pt}
\allowdisplaybreaks
\begin{document}
)";
  text += fmt::format("\\section*{{The gradient of ${}$ for ${}$}}\n", latex_name(d.loss), names);
  text +=
      R"($\odot$ goes element by element; $[\,c\,]$ is 1 where the condition $c$ holds and 0 elsewhere;
)";
  text += fmt::format("${}$ stands for $\\partial {} / \\partial {}$ and has the shape of ${}$.\n",
                      latex_name(d.steps.front().gradient), latex_name(d.loss),
                      latex_name(d.steps.front().value), latex_name(d.steps.front().value));
  text += "\n\\section*{Forward}\n";
  std::string forward;
  for (const DerivationLine& line : d.forward) {
    forward += (forward.empty() ? "" : " \\\\\n") +
               fmt::format("  {} &= {} && ({})", latex_name(line.name), line.formula.latex,
                           shape_latex(line.shape));
  }
  text += "\\begin{align*}\n" + forward + "\n\\end{align*}\n";
  text += "\n\\section*{Backward}\n";
  for (const DerivationStep& step : d.steps) print_step(d, step, text);
  text += "\n\\section*{The backward pass as a program}\n{\\small\\begin{verbatim}\n";
  for (const DerivationLine& line : d.backward) text += line.name + " = " + line.numpy + "\n";
  return text + "\\end{verbatim}}\n\\end{document}\n";
}

}  // namespace chainrule
