// What the standard library throws, told in the words of the command that it came up in.
#pragma once

#include <string>
#include <utility>

namespace chainrule::cli {

/// Throws the exception that is being handled anew: one of ours as it is, and memory that runs out,
/// a path that the system refuses and whatever else a library throws as an Error about `stage`.
[[noreturn]] void rethrow_told(const std::string& stage);

/// Runs one stage of a command, as "reading digits.csv".
///
/// Example:  const Model model = stage("reading " + path, [&] { return Model::load(path); });
template <typename Work>
auto stage(const std::string& name, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (...) {
    rethrow_told(name);
  }
}

}  // namespace chainrule::cli
