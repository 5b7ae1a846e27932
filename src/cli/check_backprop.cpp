// chainrule check backprop.py: the verdict on each hand-written gradient line.
#include <fstream>
#include <iterator>

#include "base/format.h"
#include "chainrule/backprop_check.h"
#include "chainrule/error.h"
#include "cli/check.h"

namespace chainrule::cli {

int check_backprop(const std::string& path, const NumpyOptions& options) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw FileError(path + ": cannot be opened", path);
  const std::string source{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad()) throw FileError(path + ": cannot be read", path);
  const BackpropReport report = chainrule::check_backprop(source, path, options);
  fmt::print("{}", to_text(report));
  return report.right ? 0 : 1;
}

}  // namespace chainrule::cli
