// A sign in front may be a plus, which the parser of C++ does not take.
#include "data/number.h"

#include <fast_float/fast_float.h>

#include <system_error>

namespace chainrule {

bool parse_csv_number(std::string_view cell, double& value) {
  if (cell.size() > 1 && cell[0] == '+' && cell[1] != '-' && cell[1] != '+') cell.remove_prefix(1);
  const char* end = cell.data() + cell.size();
  const fast_float::from_chars_result result = fast_float::from_chars(cell.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace chainrule
