// A file that appears whole or not at all.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace chainrule {

/// Writes a file beside its final place and moves it there at the end: whoever looks sees the old
/// file or the whole new one, also when the machine stops in between.
///
/// Example:  AtomicFile file("model.safetensors");
///           file.write(bytes);
///           file.commit();
class AtomicFile {
 public:
  /// throws  FileError naming `path` and the system's reason when no file can be made there.
  explicit AtomicFile(std::string path);

  /// Removes what was written, unless it was committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// throws  FileError, for example when the disk is full.
  void write(std::span<const std::byte> bytes);

  /// Makes the bytes durable and moves the file to its place.
  void commit();

 private:
  [[noreturn]] void fail() const;

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace chainrule
