// A TOML file in the place of options: each key is an option's name without its dashes.
#pragma once

#include <string>

#include "cli/command.h"

namespace chainrule::cli {

bool is_toml(const std::string& path);

/// Gives `arguments` the values that the file states, except those that the command line
/// gave already. Keys that only another subcommand knows are passed over, so that one file serves
/// them all. A path under "data" is looked for beside the file first.
///
/// throws  FileError when the file cannot be read; UsageError naming file, line and column for text
///         that is no TOML, an unknown key (with the nearest known) or a value that its option
///         refuses.
void fill_from_toml(Arguments& arguments, const std::string& path);

}  // namespace chainrule::cli
