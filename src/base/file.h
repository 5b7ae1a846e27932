// Whole files: read to their end, or an error.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace chainrule {

/// The path that stands for standard input.
inline constexpr const char* kStandardInput = "/dev/stdin";

/// The path to open: "-" is standard input.
std::string readable(const std::string& path);

/// How a path is called in messages: as it was given, printable; "standard input".
std::string file_name(const std::string& path);

struct Reading {
  /// What a text file is expected to be, as "a CSV file": a byte of 0 is then refused as soon as it
  /// comes. Empty for files that are not text.
  std::string_view text = {};
  /// Bytes; a file of more is refused.
  std::uint64_t most = std::uint64_t{1} << 34U;
  /// Looks at how the file begins (its first 64 bytes, or all of it) and throws when it is of
  /// another kind, before the rest is read.
  std::function<void(std::string_view)> begins = {};
};

/// All bytes of a file, a pipe, or standard input. The end of the file is where the system says
/// that it is: an error in the middle is an error.
///
/// throws  FileError naming the path and the system's reason; also for a folder, and for a device
///         that has no end. MemoryError naming the path when memory runs out.
std::string read_file(const std::string& path, const Reading& how = {});

}  // namespace chainrule
