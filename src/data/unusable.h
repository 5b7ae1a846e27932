// Columns that nothing can be learned from, said all at once.
#pragma once

#include <string>
#include <vector>

#include "chainrule/data.h"

namespace chainrule {

struct UnusableColumn {
  std::size_t place = 0;  // among the table's columns
  std::string why;        // "is constant (\"x\" in all 3 training rows)"
};

/// throws  DataError that names each column with what is wrong, and the --drop that leaves them
///         out: a sentence for one, a table of lines for several.
[[noreturn]] void refuse_unusable(const Table& table, const std::vector<UnusableColumn>& columns);

}  // namespace chainrule
