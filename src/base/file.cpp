// Reads by the system's calls: a stream that inserts its buffer into another one does not tell an
// error, or memory that runs out, from the end of the file.
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/printable.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 18U;
constexpr std::size_t kBeginning = 64;

class FileReader {
 public:
  FileReader(const std::string& path, const Reading& how) : path_(path), how_(how) {
    // Standard input as the process has it: its path cannot be opened where it is a socket.
    descriptor_ = path == kStandardInput ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                         : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail(std::string("cannot be opened: ") + std::strerror(errno));
  }
  ~FileReader() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  std::string read() {
    const std::uint64_t size = expected_size();
    std::string bytes;
    try {
      read_pieces(bytes, static_cast<std::size_t>(size));
    } catch (const std::bad_alloc&) {
      throw MemoryError(file_name(path_) + ": out of memory after " + bytes_text(bytes.size()) +
                        (size > 0 ? " of " + bytes_text(size) : ""));
    }
    return bytes;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw FileError(file_name(path_) + ": " + why, path_);
  }

  [[noreturn]] void fail_too_large(const std::string& size) const {
    fail("holds " + size + "; expected at most " + bytes_text(how_.most));
  }

  // 0 where nobody knows.
  std::uint64_t expected_size() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) {
      fail(std::string("cannot be read: ") + std::strerror(errno));
    }
    if (S_ISDIR(status.st_mode)) fail("is a folder; expected a file");
    if (S_ISBLK(status.st_mode) || (S_ISCHR(status.st_mode) && !ends(status))) {
      fail("is a device; expected a file or a pipe");
    }
    if (!S_ISREG(status.st_mode)) return 0;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > how_.most) fail_too_large(bytes_text(size));
    return size;
  }

  // A terminal ends when the user says so, /dev/null at once.
  bool ends(const struct stat& device) const {
    struct stat null {};
    return ::isatty(descriptor_) == 1 ||
           (::stat("/dev/null", &null) == 0 && null.st_rdev == device.st_rdev);
  }

  void read_pieces(std::string& bytes, std::size_t size) const {
    bytes.reserve(std::min(kPiece, size + 1));  // one more, so that the end is seen without a copy
    bool looked = false;
    for (;;) {
      const std::size_t before = bytes.size();
      const std::size_t room = bytes.capacity() - before;
      bytes.resize(before + (room > 0 ? std::min(room, kPiece) : kPiece));
      const std::size_t got = take(bytes.data() + before, bytes.size() - before);
      bytes.resize(before + got);
      if (bytes.size() > how_.most) fail_too_large("more than " + bytes_text(how_.most));
      if (!how_.text.empty()) refuse_binary(std::string_view(bytes).substr(before));
      if (!looked && (got == 0 || bytes.size() >= kBeginning)) {
        looked = true;
        if (how_.begins) how_.begins(std::string_view(bytes).substr(0, kBeginning));
        bytes.reserve(size + 1);  // not before it is known to be such a file
      }
      if (got == 0) return;
    }
  }

  std::size_t take(char* to, std::size_t size) const {
    for (;;) {
      const ssize_t got = ::read(descriptor_, to, size);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) fail(std::string("cannot be read: ") + std::strerror(errno));
    }
  }

  void refuse_binary(std::string_view piece) const {
    if (piece.find('\0') == std::string_view::npos) return;
    fail("expected " + std::string(how_.text) + ", got binary data");
  }

  const std::string& path_;
  const Reading& how_;
  int descriptor_ = -1;
};

}  // namespace

std::string readable(const std::string& path) { return path == "-" ? kStandardInput : path; }

std::string file_name(const std::string& path) {
  return path == kStandardInput ? "standard input" : printable(path, path.size());
}

std::string read_file(const std::string& path, const Reading& how) {
  return FileReader(path, how).read();
}

}  // namespace chainrule
