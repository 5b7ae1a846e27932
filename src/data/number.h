// Numbers as tables write them.
#pragma once

#include <string_view>

namespace chainrule {

/// True for what reads as a number, NaN and infinity among it; then `value` is it.
bool parse_csv_number(std::string_view cell, double& value);

}  // namespace chainrule
