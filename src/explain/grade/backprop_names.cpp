// How people name gradients, and how what they have named is called in a sentence.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/format.h"
#include "explain/grade/backprop_study.h"

namespace chainrule::backprop {
namespace {

// Longest first, so that "dl_dw" is not read as the gradient of "l_dw".
constexpr std::array<std::string_view, 30> kBefore{
    "gradientof", "gradient", "dlossd", "dcostd", "derivative", "gradof", "partial", "dloss",
    "dcost",      "nabla",    "delta",  "grads",  "grad",       "deriv",  "djd",     "dld",
    "dcd",        "ded",      "dfd",    "djw",    "dj",         "dl",     "dc",      "de",
    "gr",         "pd",       "der",    "d",      "g",          "error"};
constexpr std::array<std::string_view, 8> kAfter{"gradient", "grads", "grad",  "delta",
                                                 "deriv",    "dgrad", "error", "bar"};

}  // namespace

std::string folded(const std::string& name) {
  std::string text;
  for (const char c : name) {
    if (c != '_') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

bool looks_like_gradient(const std::string& name) {
  const std::string text = folded(name);
  for (const std::string_view begin : {"d", "g", "err", "nabla", "partial", "residual"}) {
    if (text.starts_with(begin)) return true;
  }
  return std::any_of(kAfter.begin(), kAfter.end(),
                     [&](std::string_view end) { return text.ends_with(end); });
}

std::vector<std::string> gradient_stems(const std::string& name) {
  const std::string text = folded(name);
  std::vector<std::string> stems;
  const auto add = [&](std::string_view stem) {
    if (!stem.empty()) stems.emplace_back(stem);
  };
  const std::string_view view = text;
  for (const std::string_view affix : kAfter) {
    if (view.ends_with(affix)) add(view.substr(0, view.size() - affix.size()));
  }
  for (const std::string_view affix : kBefore) {
    if (view.starts_with(affix)) add(view.substr(affix.size()));
  }
  return stems;
}

std::string Study::called(std::size_t of) const {
  if (!forward[of].name.empty()) return forward[of].name;
  for (const Activation& a : activations) {
    if (a.before == forward[of].value) {
      return fmt::format("the argument of {} in {}",
                         a.function.empty() ? "the activation" : a.function, name_of(a.after));
    }
  }
  return "an inner value";
}

std::string Study::name_of(Value v) const {
  if (const auto g = gradient_at.find(v); g != gradient_at.end()) {
    return gradients[g->second].name;
  }
  if (const auto f = forward_at.find(v); f != forward_at.end()) return forward[f->second].name;
  for (const Updated& u : updates) {
    if (u.value == v) return forward[u.of].name;
  }
  for (const NumpyAssignment& a : program.assignments) {
    if (a.value && value_of(a) == v) return a.target;
  }
  return {};
}

std::string Study::number_name(double value) {
  const auto near = [](double a, double b) { return std::abs(a - b) < 1e-6 * std::abs(b); };
  const auto plain = [&](double v) -> std::string {
    for (const auto& [name, number] : numbers_) {
      if (near(v, number)) return name;
    }
    return {};
  };
  if (near(value, 1)) return "1";
  if (value < 0) return "-" + number_name(-value);
  for (const double simple : {2.0, 0.5}) {
    if (near(value, simple)) return fmt::format("{}", simple);
  }
  if (std::string name = plain(value); !name.empty()) return name;
  if (const std::string name = plain(1 / value); !name.empty()) return "1/" + name;
  for (const double simple : {2.0, 0.5}) {
    if (const std::string name = plain(value / simple); !name.empty()) {
      return fmt::format("{}*{}", simple, name);
    }
    if (const std::string name = plain(simple / value); !name.empty()) {
      return fmt::format("{}/{}", simple, name);
    }
  }
  if (value < 1 && near(1 / value, std::round(1 / value))) {
    return fmt::format("1/{:.0f}", 1 / value);
  }
  return fmt::format("{:.6g}", value);
}

}  // namespace chainrule::backprop
