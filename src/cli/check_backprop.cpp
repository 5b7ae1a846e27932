// chainrule check FILE.py: a person's own backward pass, marked line by line.
#include "chainrule/error.h"
#include "cli/check.h"

namespace chainrule::cli {

void check_backprop_file(const std::string& path) {
  throw UsageError(path + ": this build checks networks, not yet NumPy files");
}

}  // namespace chainrule::cli
