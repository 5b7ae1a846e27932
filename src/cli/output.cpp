// A result that cannot be kept is better known before an hour of training than after it.
#include "cli/output.h"

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <span>

#include "base/atomic_file.h"
#include "base/format.h"
#include "base/printable.h"
#include "chainrule/data.h"
#include "chainrule/error.h"
#include "chainrule/images.h"

namespace chainrule::cli {
namespace {

bool is_standard_output(const std::string& path) { return path.empty() || path == "-"; }

// What is read of `input`: a folder's images with their labels, else the file itself.
std::vector<std::string> files_of(const std::string& input) {
  if (input.empty() || is_builtin(input)) return {};
  if (input == "-") return {"/dev/stdin"};
  if (const std::optional<IdxFiles> files = find_idx_files(input)) {
    return {files->train_images, files->train_labels, files->test_images, files->test_labels};
  }
  return {input};
}

}  // namespace

void check_output(const std::string& option, const std::string& path,
                  const std::vector<std::string>& inputs) {
  if (is_standard_output(path)) return;
  for (const std::string& input : inputs) {
    for (const std::string& file : files_of(input)) {
      if (!is_same_file(file, path)) continue;
      throw UsageError(
          fmt::format("{} {}: this is the file {}, which the command reads and would replace; give "
                      "another name",
                      option, path, input == "-" ? "at standard input" : file));
    }
  }
  const AtomicFile probe(path);
}

void check_binary_output(const std::string& option, const std::string& path,
                         const std::vector<std::string>& inputs) {
  if (is_standard_output(path)) {
    throw UsageError(
        fmt::format("{} {}: a model cannot be written to standard output; give the name of a file",
                    option, path.empty() ? "\"\"" : path));
  }
  check_output(option, path, inputs);
}

void note(const std::string& text) {
  std::fflush(stdout);
  fmt::print(stderr, "chainrule: note: {}\n", text);
}

void write_output(const std::string& path, std::string_view text) {
  if (is_standard_output(path)) {
    // A terminal would obey some of what stands in cells and texts; a file or a pipe gets each
    // byte.
    const std::string printed =
        ::isatty(STDOUT_FILENO) == 1 ? printable_lines(text) : std::string(text);
    // What goes wrong here is seen at the program's end, as for all that is printed.
    std::fwrite(printed.data(), 1, printed.size(), stdout);
    return;
  }
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace chainrule::cli
