// Write beside, fsync, rename: the one order in which POSIX promises that a file is never seen half
// written.
#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "chainrule/error.h"

namespace chainrule {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // one after the other, as Linux allows
constexpr int kMostTries = 100;
constexpr std::size_t kLongestStem = 200;  // bytes of the name; file systems allow 255 in all

// What a chain of symbolic links ends at, whether or not it exists. A chain without an end is left
// to the system, which refuses it.
fs::path followed(fs::path path) {
  for (int links = 0; links < kMostLinks; ++links) {
    std::error_code no_link;
    const fs::path next = fs::read_symlink(path, no_link);
    if (no_link) break;
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return path;
}

// Random whatever else is the same: two containers may share a folder, a process number and a
// clock.
std::string random_suffix() {
  std::array<std::uint8_t, 8> bytes{};
  if (::getentropy(bytes.data(), bytes.size()) != 0) return {};
  std::string text = ".partial-";
  for (const std::uint8_t byte : bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Owner before mode: a change of the owner clears bits of the mode. Where one is forbidden, the new
// file belongs to whoever writes it.
void take_over(int descriptor, const struct stat& from) {
  struct stat own {};
  const bool known = ::fstat(descriptor, &own) == 0;
  const bool same = known && own.st_uid == from.st_uid && own.st_gid == from.st_gid;
  [[maybe_unused]] bool allowed = same || ::fchown(descriptor, from.st_uid, from.st_gid) == 0;
  allowed = ::fchmod(descriptor, from.st_mode & 07777) == 0;
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) fail("the name is empty");
  struct stat old {};
  const bool exists = ::stat(path_.c_str(), &old) == 0;
  if (!exists && errno != ENOENT) fail_by_system();
  if (exists) {
    // Renaming onto a device would replace the device.
    if (S_ISDIR(old.st_mode)) fail("it is a directory");
    if (!S_ISREG(old.st_mode)) fail("it is no regular file");
    if (::faccessat(AT_FDCWD, path_.c_str(), W_OK, AT_EACCESS) != 0) fail_by_system();
  }
  target_ = followed(path_).string();
  // Nobody may read for a moment what the old file kept from them.
  open_beside(exists ? 0600 : 0666);
  if (exists) take_over(descriptor_, old);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::open_beside(mode_t mode) {
  const fs::path target = target_;
  const fs::path folder = target.has_parent_path() ? target.parent_path() : ".";
  const std::string stem = target.filename().string().substr(0, kLongestStem);
  for (int tries = 0; tries < kMostTries; ++tries) {
    const std::string suffix = random_suffix();
    if (suffix.empty()) fail_by_system();
    const std::string name = (folder / (stem + suffix)).string();
    descriptor_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (descriptor_ >= 0) {
      temporary_ = name;
      return;
    }
    if (errno != EEXIST) break;
  }
  const std::string reason = std::strerror(errno);
  std::error_code unknown;
  if (!fs::exists(folder, unknown)) fail("there is no folder " + folder.string());
  fail("no file can be made in the folder " + folder.string() + ": " + reason);
}

void AtomicFile::fail(const std::string& reason) const {
  throw FileError(path_ + ": cannot be written: " + reason, path_);
}

void AtomicFile::fail_by_system() const { fail(std::strerror(errno)); }

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_by_system();
    if (written == 0) fail("the system takes no more bytes");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  // EINVAL: a file system that cannot be asked for it.
  if (::fsync(descriptor_) != 0 && errno != EINVAL) fail_by_system();
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 || std::rename(temporary_.c_str(), target_.c_str()) != 0) fail_by_system();
  temporary_.clear();
  // The rename itself is durable once the folder is; some file systems cannot do that, and the file
  // is whole either way, so the result is not looked at.
  const fs::path folder = fs::path(target_).parent_path();
  const int directory = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (directory >= 0) {
    (void)::fsync(directory);
    ::close(directory);
  }
}

bool is_same_file(const std::string& a, const std::string& b) {
  struct stat of_a {};
  struct stat of_b {};
  return ::stat(a.c_str(), &of_a) == 0 && ::stat(b.c_str(), &of_b) == 0 &&
         of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

}  // namespace chainrule
