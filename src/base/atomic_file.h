// A file that appears whole or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>

namespace chainrule {

/// Writes a file beside its final place and moves it there at the end: whoever looks sees the old
/// file or the whole new one, also when the machine stops in between.
///
/// A symbolic link is followed: the file that it leads to is replaced, the link stays. A file that
/// is replaced hands its mode (and, where the system allows it, its owner) on; a new one has the
/// mode that the umask leaves. The name beside is random and made exclusively, so that writers who
/// share nothing but the folder never meet.
///
/// Example:  AtomicFile file("model.safetensors");
///           file.write(bytes);
///           file.commit();
class AtomicFile {
 public:
  /// throws  FileError naming `path` and the reason when no file can be made there: a folder, a
  ///         device, a file that is write-protected, a folder that is absent or write-protected.
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
  void open_beside(mode_t mode);
  [[noreturn]] void fail(const std::string& reason) const;
  [[noreturn]] void fail_by_system() const;

  std::string path_;       // as the user wrote it, for messages
  std::string target_;     // what it leads to
  std::string temporary_;  // beside the target; "" when there is nothing to remove
  int descriptor_ = -1;
};

/// Whether two paths are one file, whatever they are called: links of either kind are looked
/// through. False when one of them does not exist.
bool is_same_file(const std::string& a, const std::string& b);

}  // namespace chainrule
