// chainrule check backprop.py: the verdict on each hand-written gradient line.
#include "base/format.h"
#include "chainrule/backprop_check.h"
#include "cli/check.h"
#include "cli/source.h"

namespace chainrule::cli {

int check_backprop(const std::string& path, const NumpyOptions& options) {
  const BackpropReport report = chainrule::check_backprop(read_program(path), path, options);
  fmt::print("{}", to_text(report));
  return report.right ? 0 : 1;
}

}  // namespace chainrule::cli
