// zlib's inflate over bytes in memory. Its gz functions would take whatever follows the last part
// for padding.
#include "data/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <new>
#include <optional>

#include "base/file.h"
#include "base/printable.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20U;
constexpr std::size_t kBeginning = 64;

class Inflater {
 public:
  Inflater(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {
    constexpr int kGzipOnly = 15 + 16;  // of the largest window
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  std::string inflate_all(const std::function<std::uint64_t(std::string_view)>& most) {
    std::string result;
    std::optional<std::uint64_t> wanted;
    while (!finished() && !(wanted && result.size() > *wanted)) {
      const std::size_t before = result.size();
      result.resize(before + kPiece);
      result.resize(before + inflate_piece(result.data() + before));
      if (!wanted && (finished() || result.size() >= kBeginning)) {
        wanted = most(std::string_view(result).substr(0, kBeginning));
      }
    }
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw FileError(file_name(path_) + ": the compressed file " + why, path_);
  }

  bool finished() const { return part_ended_ && at_ == bytes_.size(); }

  // Fills up to a piece; returns how much.
  std::size_t inflate_piece(char* to) {
    if (part_ended_) begin_part();
    constexpr std::size_t kMostInput = std::size_t{1} << 30U;  // zlib counts in 32 bits
    const std::size_t input = std::min(bytes_.size() - at_, kMostInput);
    // zlib does not write to its input, but says so only in C's older versions of it.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes_.data() + at_));
    stream_.avail_in = static_cast<uInt>(input);
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(kPiece);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    at_ += input - stream_.avail_in;
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    if (code == Z_BUF_ERROR || (code == Z_OK && at_ == bytes_.size() && stream_.avail_out > 0)) {
      fail("is cut short");
    }
    if (code != Z_OK && code != Z_STREAM_END) {
      fail(std::string("is damaged: ") + (stream_.msg != nullptr ? stream_.msg : "no valid data"));
    }
    part_ended_ = code == Z_STREAM_END;
    return kPiece - stream_.avail_out;
  }

  void begin_part() {
    if (!bytes_.substr(at_).starts_with("\x1F\x8B")) {
      fail("goes on behind its end, with " + bytes_text(bytes_.size() - at_) + " that are no gzip");
    }
    inflateReset(&stream_);
    part_ended_ = false;
  }

  std::string_view bytes_;
  const std::string& path_;
  z_stream stream_{};
  std::size_t at_ = 0;
  bool part_ended_ = false;
};

}  // namespace

std::string gunzip(std::string_view bytes, const std::string& path,
                   const std::function<std::uint64_t(std::string_view)>& most) {
  try {
    return Inflater(bytes, path).inflate_all(most);
  } catch (const std::bad_alloc&) {
    throw MemoryError(file_name(path) + ": out of memory while it was decompressed");
  }
}

}  // namespace chainrule
