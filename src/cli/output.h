// Where a command's result goes: looked at before the work for it begins, written whole after.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chainrule::cli {

/// Refuses a file that cannot be written, or that the command reads and would so replace, also when
/// it is called by another name or is one of the files in a folder that is read. "" and "-" are
/// standard output and always fit.
///
/// `option` is what the user wrote the path behind; `inputs` are files, folders, built-in data sets
/// and "-", as the user named them.
/// throws  UsageError for a file that is read; FileError naming the path and the system's reason.
void check_output(const std::string& option, const std::string& path,
                  const std::vector<std::string>& inputs);

/// The same for a file that is not text, which a terminal or a pipe has no use for.
///
/// throws  UsageError for "-" as well.
void check_binary_output(const std::string& option, const std::string& path,
                         const std::vector<std::string>& inputs);

/// Says on stderr what is no failure: "chainrule: note: …".
void note(const std::string& text);

/// Writes `text` whole or not at all; to standard output where `path` is "" or "-".
void write_output(const std::string& path, std::string_view text);

}  // namespace chainrule::cli
