// LaTeX to MathML, for the small part of LaTeX that this program writes.
#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "notation/math_text.h"

namespace chainrule {
namespace {

using Sign = std::pair<std::string_view, std::string_view>;

constexpr std::array<Sign, 15> kOperators = {{
    {"odot", "⊙"},
    {"cdot", "·"},
    {"le", "≤"},
    {"ge", "≥"},
    {"ne", "≠"},
    {"to", "→"},
    {"sum", "∑"},
    {"partial", "∂"},
    {"surd", "√"},
    {"times", "×"},
    {"ldots", "…"},
    {"in", "∈"},
    {"Rightarrow", "⇒"},
    {"_", "_"},
    {"#", "#"},
}};
constexpr std::array<Sign, 17> kLetters = {{
    {"alpha", "α"},
    {"beta", "β"},
    {"gamma", "γ"},
    {"delta", "δ"},
    {"epsilon", "ϵ"},
    {"eta", "η"},
    {"theta", "θ"},
    {"lambda", "λ"},
    {"mu", "μ"},
    {"rho", "ρ"},
    {"sigma", "σ"},
    {"tau", "τ"},
    {"phi", "φ"},
    {"omega", "ω"},
    {"top", "⊤"},
    {"pi", "π"},
    {"varepsilon", "ε"},
}};
constexpr std::array<std::string_view, 6> kFunctions = {"exp", "log", "tanh", "max", "min", "det"};

std::string_view find(const auto& table, std::string_view name) {
  for (const auto& [from, to] : table) {
    if (from == name) return to;
  }
  return {};
}

std::string tagged(std::string_view tag, const std::string& content) {
  return "<" + std::string(tag) + ">" + content + "</" + std::string(tag) + ">";
}

std::string html_char(char c) {
  if (c == '<') return "&lt;";
  if (c == '>') return "&gt;";
  if (c == '&') return "&amp;";
  if (c == '-') return "−";
  return std::string(1, c);
}

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

class Converter {
 public:
  explicit Converter(std::string_view latex) : latex_(latex) {}

  // Up to a closing brace, \right or the end.
  std::string row() {
    std::string result;
    while (at_ < latex_.size() && latex_[at_] != '}' && !starts("\\right")) {
      if (latex_[at_] == ' ') {
        ++at_;
        continue;
      }
      result += with_scripts(atom());
    }
    return result;
  }

 private:
  bool starts(std::string_view s) const { return latex_.substr(at_).starts_with(s); }

  std::string group() {
    while (at_ < latex_.size() && latex_[at_] == ' ') ++at_;
    if (at_ < latex_.size() && latex_[at_] == '{') {
      ++at_;
      std::string inner = row();
      ++at_;
      return tagged("mrow", inner);
    }
    return atom();
  }

  // The braced text as it stands.
  std::string plain() {
    const std::size_t end = latex_.find('}', at_);
    std::string text;
    for (std::size_t i = at_ + 1; i < end; ++i) {
      if (latex_[i] != '\\') text += latex_[i];
    }
    at_ = end + 1;
    return text;
  }

  std::string with_scripts(const std::string& base) {
    std::string below;
    std::string above;
    for (;;) {
      if (starts("_")) {
        ++at_;
        below = group();
      } else if (starts("^")) {
        ++at_;
        above = group();
      } else if (starts("'")) {
        ++at_;
        above = "<mo>′</mo>";
      } else {
        break;
      }
    }
    const bool sum = base.find("∑") != std::string::npos && base.size() < 20;
    const std::string under = sum ? "munder" : "msub";
    if (below.empty() && above.empty()) return base;
    if (above.empty()) return tagged(under, base + below);
    if (below.empty()) return tagged("msup", base + above);
    return tagged("msubsup", base + below + above);
  }

  std::string command() {
    const std::size_t begin = ++at_;
    while (at_ < latex_.size() && is_letter(latex_[at_])) ++at_;
    if (at_ == begin) ++at_;  // \, and the like
    const std::string_view name = latex_.substr(begin, at_ - begin);
    if (name == "frac") {
      const std::string above = group();
      return tagged("mfrac", above + group());
    }
    if (name == "sqrt") return tagged("msqrt", group());
    if (name == "text") return "<mtext>" + plain() + "</mtext>";
    if (name == "mathrm" || name == "operatorname") {
      if (starts("{")) return "<mi mathvariant=\"normal\">" + plain() + "</mi>";
    }
    if (name == "hat") return tagged("mover", group() + "<mo>^</mo>");
    if (name == "bar") return tagged("mover", group() + "<mo>¯</mo>");
    if (name == "tilde") return tagged("mover", group() + "<mo>~</mo>");
    if (name == "left") return fenced();
    if (name == "," || name == " ") return "<mspace width=\"0.17em\"/>";
    if (name == "quad") return "<mspace width=\"1em\"/>";
    if (const std::string_view letter = find(kLetters, name); !letter.empty()) {
      return tagged("mi", std::string(letter));
    }
    if (std::find(kFunctions.begin(), kFunctions.end(), name) != kFunctions.end()) {
      return tagged("mi", std::string(name));
    }
    const std::string_view sign = find(kOperators, name);
    return tagged("mo", std::string(sign.empty() ? name : sign));
  }

  std::string fenced() {
    const std::string open = html_char(latex_[at_++]);
    const std::string inner = row();
    std::string close;
    if (starts("\\right")) {
      at_ += std::string_view("\\right").size();
      close = html_char(latex_[at_++]);
    }
    return tagged("mrow", "<mo>" + open + "</mo>" + inner + "<mo>" + close + "</mo>");
  }

  std::string atom() {
    const char c = latex_[at_];
    if (c == '\\') return command();
    if (c == '{') return group();
    if (is_digit(c)) {
      const std::size_t begin = at_;
      while (at_ < latex_.size() && (is_digit(latex_[at_]) || latex_[at_] == '.')) ++at_;
      return tagged("mn", std::string(latex_.substr(begin, at_ - begin)));
    }
    if (is_letter(c)) {
      ++at_;
      return tagged("mi", std::string(1, c));
    }
    // A sign of several bytes is taken whole.
    std::size_t size = 1;
    while (at_ + size < latex_.size() && (latex_[at_ + size] & 0xC0) == 0x80) ++size;
    const std::string sign = size == 1 ? html_char(c) : std::string(latex_.substr(at_, size));
    at_ += size;
    return tagged("mo", sign);
  }

  std::string_view latex_;
  std::size_t at_ = 0;
};

}  // namespace

std::string mathml(std::string_view latex, bool display) {
  return std::string(display ? "<math display=\"block\">" : "<math>") + "<mrow>" +
         Converter(latex).row() + "</mrow></math>";
}

}  // namespace chainrule
