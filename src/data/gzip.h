// Files that gzip compressed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace chainrule {

/// What `bytes`, a gzip file of one part or several, decompress to. `most` is given how that begins
/// (its first 64 bytes), and returns how many are wanted, or throws: somewhat behind so many the
/// rest is left out.
///
/// throws  FileError naming `path` for a file that is cut short, whose checksum or size is wrong,
///         or that goes on behind its end. MemoryError.
std::string gunzip(std::string_view bytes, const std::string& path,
                   const std::function<std::uint64_t(std::string_view)>& most);

}  // namespace chainrule
