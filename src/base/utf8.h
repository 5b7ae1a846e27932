// UTF-8, for the readers of text.
#pragma once

#include <cstddef>
#include <string_view>

namespace chainrule {

/// The length of the UTF-8 sequence at `at`, or 0 when there is none.
std::size_t utf8_length(std::string_view text, std::size_t at);

}  // namespace chainrule
