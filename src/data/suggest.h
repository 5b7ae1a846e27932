// The nearest of several names to one that was mistyped.
#pragma once

#include <span>
#include <string>

namespace chainrule {

/// "; did you mean \"species\"?" for the name nearest to `wrong` by edit distance, or an empty text
/// when none is near.
std::string suggestion(const std::string& wrong, std::span<const std::string> names);

/// "a", "b" and 12 more.
std::string listed(std::span<const std::string> names, std::size_t at_most = 20);

}  // namespace chainrule
