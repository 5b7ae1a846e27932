// Text made of pieces: fmt::format and fmt::print with the format checked at compile time, by the
// light half of {fmt}. The other half, <fmt/format.h>, costs every file that includes it more time
// to compile than all the rest of the file; what is missed of it stands here.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace chainrule {

/// The pieces with `separator` between each and the next; "" for none.
///
/// Example:  joined(shape, ",")   // {2, 3} → "2,3"
std::string joined(std::span<const std::string> pieces, std::string_view separator);
std::string joined(std::span<const std::int64_t> numbers, std::string_view separator);

/// "1,797".
std::string grouped(std::int64_t number);

}  // namespace chainrule
