// A derivation as one page that needs nothing else: MathML, light and dark, from phone to desktop.
#include <set>

#include "base/format.h"
#include "chainrule/derivation.h"
#include "notation/math_text.h"
#include "notation/notation.h"

namespace chainrule {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #f6f7f9; --card: #fff;
  --line: #dde2e9; --accent: #2457c5; --result: #eef3ff; --code: #f0f2f5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa6b5; --paper: #12161c;
  --card: #1a2029; --line: #2d3643; --accent: #8fb4ff; --result: #1d2a44; --code: #11161d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 54rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; }
.soft { color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1rem 0 0; }
nav a { color: var(--accent); text-decoration: none; border: 1px solid var(--line);
  border-radius: 1rem; padding: .1rem .7rem; background: var(--card); }
nav a:hover, nav a:focus-visible { border-color: var(--accent); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem 1.1rem; margin: 1rem 0; scroll-margin-top: 1rem; }
.card h3 { margin: 0 0 .6rem; font-size: 1.1rem; font-weight: 600; display: flex; flex-wrap: wrap;
  align-items: center; gap: .2rem .8rem; }
.shape { font: .85rem ui-monospace, "DejaVu Sans Mono", monospace; color: var(--soft);
  white-space: nowrap; }
dl { display: grid; grid-template-columns: 7rem minmax(0, 1fr); gap: .35rem 1rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
.math { overflow-x: auto; overflow-y: hidden; padding: .15rem 0; }
math { font-size: 1.08em; font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math",
  "STIXGeneral", "DejaVu Math TeX Gyre", math; }
.term + .term { border-top: 1px dashed var(--line); margin-top: .8rem; padding-top: .8rem; }
.result { background: var(--result); border-radius: .4rem; padding: .5rem .7rem; margin-top: .8rem; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: .9rem; }
pre { background: var(--code); border-radius: .4rem; padding: .6rem .8rem; margin: .5rem 0 0;
  overflow-x: auto; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
td { padding: .2rem 0; vertical-align: middle; border-bottom: 1px solid var(--line); }
td:last-child { text-align: right; width: 5.5rem; }
@media (max-width: 34rem) { dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dt { margin-top: .5rem; font-size: .85rem; } main { padding: 1rem .7rem 3rem; }
  .card { padding: .8rem; } h1 { font-size: 1.3rem; } }
)";

std::string escaped(const std::string& text) {
  std::string html;
  for (const char c : text) {
    html += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return html;
}

std::string math_name(const std::string& name) { return mathml(latex_name(name)); }

std::string formula(const std::string& latex) {
  return "<div class=\"math\">" + mathml(latex) + "</div>";
}

// A shape as people read it: 3 × 2.
std::string shape_html(const Shape& shape) {
  std::string text;
  for (const std::int64_t extent : shape)
    text += (text.empty() ? "" : " × ") + std::to_string(extent);
  return "<span class=\"shape\">" + (text.empty() ? "scalar" : text) + "</span>";
}

// Prose, whose mathematics stands between backquotes.
std::string prose(const std::string& text) {
  std::string html;
  std::string part;
  bool inside = false;
  for (const char c : text + "`") {
    if (c != '`') {
      part += c;
      continue;
    }
    html += inside ? mathml(latex_of(part)) : escaped(part);
    part.clear();
    inside = !inside;
  }
  return html;
}

std::string entry(const std::string& label, const std::string& content) {
  return content.empty() ? "" : "<dt>" + label + "</dt><dd>" + content + "</dd>\n";
}

std::string whole(const Derivation& d, const DerivationStep& step) {
  return R"(\frac{\partial )" + latex_name(d.loss) + R"(}{\partial )" + latex_name(step.value) +
         "}";
}

std::string term_html(const Derivation& d, const DerivationStep& step, const ChainTerm& term,
                      std::set<std::string>& said) {
  std::string html = "<div class=\"term\"><dl>\n";
  html += entry("used in", formula(latex_name(term.reader) + " = " + term.formula.latex));
  if (!term.upstream.empty()) {
    html += entry("upstream", "<a href=\"#" + term.upstream + "\">" + math_name(term.upstream) +
                                  "</a> " + shape_html(term.reader_shape));
  }
  std::string local;
  for (const MathText& l : term.local) local += formula(l.latex);
  html += entry(term.elementwise ? "local, element by element" : "local", local);
  if (term.chain.latex.empty()) {
    html += entry("so", formula(whole(d, step) + " = " + term.contribution.latex));
  } else {
    html +=
        entry("chain rule", formula(term.chain.latex) + formula("{} = " + term.contribution.latex));
  }
  std::string shapes;
  for (const std::string& product : term.products) {
    shapes += "<div class=\"shape\">" + escaped(product) + "</div>";
  }
  html += entry("shapes", shapes);
  std::string reasons;
  for (const std::string& reason : term.reasons) {
    if (said.insert(reason).second) reasons += "<p>" + prose(reason) + "</p>";
  }
  return html + entry("why", reasons) + "</dl></div>\n";
}

std::string step_html(const Derivation& d, const DerivationStep& step) {
  const std::string name = latex_name(step.gradient);
  std::string html =
      fmt::format("<section class=\"card\" id=\"{}\">\n<h3>{} {}</h3>\n", step.gradient,
                  mathml(name + " = " + whole(d, step)), shape_html(step.shape));
  std::set<std::string> said;
  for (const ChainTerm& term : step.terms) html += term_html(d, step, term, said);
  html += "<div class=\"result\">";
  if (step.terms.size() > 1) {
    html += "<p class=\"soft\">It is used in several places: the gradients add up.</p>" +
            formula(name + " = " + step.sum.latex);
  }
  if (step.cancels) {
    std::string put_in;
    for (const ChainTerm& term : step.terms) {
      for (const DerivationStep& other : d.steps) {
        if (other.gradient != term.upstream) continue;
        put_in += (put_in.empty() ? "" : " and ") +
                  mathml(latex_name(other.gradient) + " = " + other.result.latex);
      }
    }
    if (put_in.empty()) {
      html += "<p class=\"soft\">Simplified:</p>";
    } else {
      html += "<div class=\"soft math\">With " + put_in + " put in, this is</div>";
    }
  }
  if (step.cancels || step.terms.size() == 1) html += formula(name + " = " + step.result.latex);
  html += "<pre>" + escaped(step.gradient + " = " + step.numpy) + "</pre>";
  if (!step.needed) {
    html += "<p class=\"soft\">Only on the way: the program below does without it.</p>";
  }
  return html + "</div>\n</section>\n";
}

}  // namespace

std::string to_html(const Derivation& d) {
  std::string names;
  for (const std::string& name : d.wrt) names += (names.empty() ? "" : ", ") + math_name(name);
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>The gradient of " +
      escaped(d.loss) + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n<main>\n";
  html += "<h1>The gradient of " + math_name(d.loss) + " for " + names + "</h1>\n";
  html += "<p class=\"soft\">" + mathml(R"(\odot)") + " goes element by element; " +
          mathml(R"(\left[c\right])") +
          " is 1 where the condition holds and 0 elsewhere; a gradient has the shape of its "
          "value.</p>\n<nav>";
  for (const DerivationStep& step : d.steps) {
    html += "<a href=\"#" + step.gradient + "\">" + math_name(step.gradient) + "</a>";
  }
  html += "</nav>\n<h2>Forward</h2>\n<div class=\"card\"><table>\n";
  for (const DerivationLine& line : d.forward) {
    html += "<tr><td>" + formula(latex_name(line.name) + " = " + line.formula.latex) + "</td><td>" +
            shape_html(line.shape) + "</td></tr>\n";
  }
  html += "</table></div>\n<h2>Backward, from the loss to the inputs</h2>\n";
  for (const DerivationStep& step : d.steps) html += step_html(d, step);
  html += "<h2>The backward pass as a program</h2>\n<pre>";
  for (const DerivationLine& line : d.backward) {
    html += escaped(line.name + " = " + line.numpy) + "\n";
  }
  return html + "</pre>\n</main>\n</body>\n</html>\n";
}

}  // namespace chainrule
