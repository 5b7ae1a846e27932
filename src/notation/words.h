// Names in formulas and in lines of code.
#pragma once

#include <string>
#include <string_view>

namespace chainrule {

/// Whether `c` can stand in a name: an ASCII letter, a digit or an underscore.
bool is_word(char c);

/// `text` with every `from` replaced by `to`, from left to right; what was put in is not looked at
/// again.
///
/// requires  `from` is not empty.
std::string replaced(std::string text, std::string_view from, std::string_view to);

}  // namespace chainrule
