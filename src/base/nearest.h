// What to say when a name is not known: the nearest one that is, and the list of them all.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chainrule {

/// The known word that differs from `word` by the fewest letters, or "" when none is close.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// `; did you mean "relu"?`, or "" when none is close.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

/// `"a", "b" and "c"`, or `"a", "b" and 12 more`.
std::string quoted_list(std::span<const std::string> names, std::size_t at_most = 20);

/// `unknown layer "rellu"; did you mean "relu"? There are: elu, linear, relu`.
std::string unknown_name(std::string_view what, std::string_view word,
                         const std::vector<std::string>& known);

}  // namespace chainrule
