// The two definitions come from cmake/tests.cmake.
#include "support/places.h"

namespace chainrule {

std::string source_path(std::string_view file) {
  return std::string(CHAINRULE_SOURCE_DIR "/").append(file);
}

std::string python_program() { return CHAINRULE_PYTHON; }

}  // namespace chainrule
