// Where the tests find their files, and Python. Compiled into one file, so that no other has the
// place of the sources among its flags.
#pragma once

#include <string>
#include <string_view>

namespace chainrule {

/// The path of a file of the sources, as "tests/golden/ops.json".
std::string source_path(std::string_view file);

/// The Python that CMake found.
std::string python_program();

}  // namespace chainrule
