// How people name gradients.
#include <algorithm>
#include <array>
#include <cctype>

#include "explain/backprop_study.h"

namespace chainrule::backprop {
namespace {

// Longest first, so that "dl_dw" is not read as the gradient of "l_dw".
constexpr std::array<std::string_view, 30> kBefore{
    "gradientof", "gradient", "dlossd", "dcostd", "derivative", "gradof", "partial", "dloss",
    "dcost",      "nabla",    "delta",  "grads",  "grad",       "deriv",  "djd",     "dld",
    "dcd",        "ded",      "dfd",    "djw",    "dj",         "dl",     "dc",      "de",
    "gr",         "pd",       "der",    "d",      "g",          "error"};
constexpr std::array<std::string_view, 8> kAfter{"gradient", "grads",  "grad",  "delta",
                                                 "deriv",    "dgrad",  "error", "bar"};

}  // namespace

std::string folded(const std::string& name) {
  std::string text;
  for (const char c : name) {
    if (c != '_') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
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

}  // namespace chainrule::backprop
