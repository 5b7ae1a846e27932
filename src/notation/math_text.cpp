// Unicode mathematics to LaTeX, for the formulas that ops state about their derivatives.
#include "notation/math_text.h"

#include <array>
#include <cctype>
#include <utility>

#include "notation/notation.h"
#include "notation/words.h"

namespace chainrule {
namespace {

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_name(char c) { return is_word(c) || c == '\''; }

constexpr std::array<std::pair<std::string_view, std::string_view>, 26> kSigns = {{
    {"⊙", "\\odot "},    {"·", "\\,"},     {"Σ", "\\sum "},   {"ᵀ", "^{\\top}"}, {"²", "^{2}"},
    {"≤", "\\le "},      {"≥", "\\ge "},   {"≠", "\\ne "},    {"→", "\\to "},    {"√", "\\surd "},
    {"∂", "\\partial "}, {"(", "\\left("}, {")", "\\right)"}, {"[", "\\left["},  {"]", "\\right]"},
    {"−", "-"},          {"_", "\\_"},     {"ₘ", "_{m}"},     {"ₙ", "_{n}"},     {"ᵢ", "_{i}"},
    {"ⱼ", "_{j}"},       {"ₖ", "_{k}"},    {"ₗ", "_{l}"},     {"×", "\\times "}, {"…", "\\ldots "},
    {"∈", "\\in "},
}};

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::string all() {
    std::string latex;
    while (at_ < text_.size()) latex += next();
    return latex;
  }

 private:
  bool starts(std::string_view s) const { return text_.substr(at_).starts_with(s); }

  // Up to `stop` outside brackets, or to the end.
  std::string_view until(std::string_view stop) {
    const std::size_t begin = at_;
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      if (depth == 0 && starts(stop)) break;
      if (text_[at_] == '(' || text_[at_] == '[') ++depth;
      if (text_[at_] == ')' || text_[at_] == ']') --depth;
      if (depth < 0) break;
    }
    return text_.substr(begin, at_ - begin);
  }

  std::string derivative() {
    const std::size_t begin = at_;
    at_ += std::string_view("∂").size();
    const std::string_view above = until("/∂");
    const bool loose = above.find(' ') != std::string_view::npos && above.front() != '(';
    if (!starts("/∂") || loose) {
      at_ = begin + std::string_view("∂").size();
      return "\\partial ";
    }
    at_ += std::string_view("/∂").size();
    const std::string_view below = until(" ");
    return "\\frac{\\partial " + Reader(above).all() + "}{\\partial " + Reader(below).all() + "}";
  }

  // 1e-09 is 10^{-9}.
  std::string number() {
    const std::size_t begin = at_;
    const auto is_digit = [&](std::size_t at) {
      return at < text_.size() && (std::isdigit(static_cast<unsigned char>(text_[at])) != 0);
    };
    while (is_digit(at_) || (starts(".") && is_digit(at_ + 1))) ++at_;
    const bool small = starts("e-") && is_digit(at_ + 2);
    const bool large = starts("e+") && is_digit(at_ + 2);
    if (small || large) {
      at_ += 2;
      while (is_digit(at_)) ++at_;
      return number_text(std::stod(std::string(text_.substr(begin, at_ - begin))),
                         Notation::kLatex);
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    const std::string name(text_.substr(begin, at_ - begin));
    const bool function = starts("(") && name.size() > 1;
    const std::string latex = function ? "\\operatorname{" + name + "}" : latex_name(name);
    return with_index(latex);
  }

  // Z2[m,n] is an element: (Z_2)_{mn}.
  std::string with_index(const std::string& latex) {
    if (!starts("[")) return latex;
    const std::size_t end = text_.find(']', at_);
    if (end == std::string_view::npos) return latex;
    std::string letters;
    for (const char c : text_.substr(at_ + 1, end - at_ - 1)) {
      if (c == ',') continue;
      if (c < 'a' || c > 'z') return latex;
      letters += c;
    }
    at_ = end + 1;
    const bool plain = latex.find('_') == std::string::npos && latex.size() == 1;
    return (plain ? latex : "\\left(" + latex + "\\right)") + "_{" + letters + "}";
  }

  std::string next() {
    if (starts("∂")) return derivative();
    if (std::isdigit(static_cast<unsigned char>(text_[at_])) != 0) return number();
    if (is_name_start(text_[at_])) return word();
    if (starts("Σₘₙ")) {
      at_ += std::string_view("Σₘₙ").size();
      return "\\sum_{m,n}";
    }
    for (const auto& [sign, latex] : kSigns) {
      if (!starts(sign)) continue;
      at_ += sign.size();
      return sign == ")" ? with_index(std::string(latex)) : std::string(latex);
    }
    return std::string(1, text_[at_++]);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::string latex_of(std::string_view text) { return Reader(text).all(); }

}  // namespace chainrule
