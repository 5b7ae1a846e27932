// Names and numbers in each notation.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/format.h"
#include "chainrule/numpy_format.h"
#include "notation/notation.h"

namespace chainrule {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string escaped(const std::string& text) {
  std::string latex;
  for (const char c : text) {
    if (c == '_' || c == '%' || c == '#' || c == '&' || c == '$') latex += '\\';
    latex += c;
  }
  return latex;
}

bool is_greek(const std::string& word) {
  constexpr std::array<std::string_view, 14> kGreek = {
      "alpha",  "beta", "gamma", "delta", "epsilon", "eta", "theta",
      "lambda", "mu",   "rho",   "sigma", "tau",     "phi", "omega"};
  return std::find(kGreek.begin(), kGreek.end(), word) != kGreek.end();
}

// dW1 and db are differentials; data and delta are words.
bool is_differential(const std::string& name) {
  if (name.size() < 2 || name[0] != 'd') return false;
  if (is_upper(name[1]) || is_greek(name.substr(1))) return true;
  return is_lower(name[1]) && (name.size() == 2 || !is_lower(name[2]));
}

std::string letters(const std::string& word) {
  if (word.size() <= 1) return word;
  if (is_greek(word)) return "\\" + word;
  return "\\mathrm{" + escaped(word) + "}";
}

// "1_2" is 1,2; "xh" stays; a longer word is upright.
std::string subscript(const std::string& text) {
  std::string latex;
  std::string part;
  const auto end_part = [&] {
    if (part.empty()) return;
    const bool is_short = part.size() <= 2 || std::all_of(part.begin(), part.end(), is_digit);
    latex += (latex.empty() ? "" : ",") + (is_short ? part : "\\mathrm{" + escaped(part) + "}");
    part.clear();
  };
  for (const char c : text) {
    if (c == '_') {
      end_part();
    } else {
      part += c;
    }
  }
  end_part();
  return latex;
}

}  // namespace

std::string latex_name(const std::string& name) {
  if (name.ends_with('\'')) return latex_name(name.substr(0, name.size() - 1)) + "'";
  if (is_differential(name)) return "\\mathrm{d}" + latex_name(name.substr(1));
  for (const char* accent : {"hat", "bar", "tilde"}) {
    const std::string ending = std::string("_") + accent;
    if (name.size() > ending.size() && name.ends_with(ending)) {
      return std::string("\\") + accent + "{" +
             latex_name(name.substr(0, name.size() - ending.size())) + "}";
    }
  }
  std::size_t stem = 0;
  while (stem < name.size() && !is_digit(name[stem]) && name[stem] != '_') ++stem;
  const std::string word = name.substr(0, stem);
  const std::string rest = name.substr(stem);
  // Wxh and bh: a letter with its index.
  const bool indexed = word.size() >= 2 && word.size() <= 3 &&
                       std::all_of(word.begin() + 1, word.end(), is_lower) &&
                       (is_upper(word[0]) || (word[0] == 'b' && word.size() == 2));
  if (indexed && rest.find('_') == std::string::npos) {
    return word.substr(0, 1) + "_{" + word.substr(1) + rest + "}";
  }
  const bool words = word.empty() || (word.size() > 1 && rest.size() > 1 && rest[0] == '_' &&
                                      !is_digit(rest[1]) && !is_greek(word));
  if (words) return "\\mathrm{" + escaped(name) + "}";
  const std::string sub = subscript(rest);
  return letters(word) + (sub.empty() ? "" : "_{" + sub + "}");
}

std::string number_text(double value, Notation notation) {
  const bool whole = std::abs(value - std::round(value)) < 1e-15 && std::abs(value) < 1e15;
  if (notation == Notation::kNumpy || notation == Notation::kTorch) {
    if (!std::isfinite(value)) {
      return std::isnan(value) ? "float('nan')" : value > 0 ? "float('inf')" : "-float('inf')";
    }
    return value == std::round(value) && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value)
                                                                : python_repr(value);
  }
  if (whole) return fmt::format("{:.0f}", value);
  std::string text = fmt::format("{:.6g}", value);
  const std::size_t e = text.find('e');
  if (notation == Notation::kText || e == std::string::npos) return text;
  const std::string digits = text.substr(0, e);
  const std::string power = fmt::format("10^{{{}}}", std::stoi(text.substr(e + 1)));
  return digits == "1" ? power : digits + R"( \cdot )" + power;
}

}  // namespace chainrule
