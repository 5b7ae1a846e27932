// Mathematics in Unicode, turned into LaTeX, and LaTeX turned into MathML.
#pragma once

#include <string>
#include <string_view>

namespace chainrule {

/// "∂Z2[m,n]/∂A1[m,k] = W2[k,n]" as LaTeX: names by latex_name(), [m,n] behind a name as its
/// index, ∂a/∂b as a fraction, Σ_m as a sum over m.
std::string latex_of(std::string_view text);

/// `<math>…</math>` of the LaTeX that Writer and latex_of() make.
///
/// Example:  mathml(R"(\frac{1}{3})")
std::string mathml(std::string_view latex, bool display = false);

}  // namespace chainrule
