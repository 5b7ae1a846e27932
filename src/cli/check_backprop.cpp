// chainrule check FILE.py: a person's own backward pass, marked line by line.
#include "cli/check.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "chainrule/error.h"
#if __has_include("chainrule/backprop_check.h")
#include "chainrule/backprop_check.h"
#define CHAINRULE_HAS_BACKPROP_CHECK 1
#endif

namespace chainrule::cli {

void check_backprop_file(const std::string& path) {
#ifdef CHAINRULE_HAS_BACKPROP_CHECK
  std::ifstream file(path);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) throw FileError(path + ": cannot be read", path);
  const BackpropReport report = check_backprop(text.str(), path);
  fmt::print("{}", to_text(report));
  if (!report.right) throw Error(path + ": the check failed: a gradient is wrong");
#else
  throw UsageError(path + ": this build checks networks, not yet NumPy files");
#endif
}

}  // namespace chainrule::cli
