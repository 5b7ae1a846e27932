// IDX: two zero bytes, the kind of number, the number of axes, the extents as big-endian 32-bit
// integers, and the numbers, big-endian and row-major. zlib reads plain files like compressed ones.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/images.h"

namespace chainrule {
namespace {

enum class Kind : std::uint8_t {
  kByte = 0x08,
  kSignedByte = 0x09,
  kShort = 0x0B,
  kInt = 0x0C,
  kFloat = 0x0D,
  kDouble = 0x0E
};

std::size_t bytes_of(Kind kind) {
  switch (kind) {
    case Kind::kByte:
    case Kind::kSignedByte: return 1;
    case Kind::kShort: return 2;
    case Kind::kInt:
    case Kind::kFloat: return 4;
    case Kind::kDouble: return 8;
  }
  return 0;
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw FileError(path + ": " + why, path);
}

std::string hex(std::uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {kDigits[byte >> 4], kDigits[byte & 15]};
}

struct IdxFile {
  Kind kind = Kind::kByte;
  Shape shape;
  std::vector<std::uint8_t> numbers;
};

class IdxReader {
 public:
  explicit IdxReader(const std::string& path) : path_(path) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) refuse(path, "is a folder, not an IDX file");
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_) {
      refuse(path, std::string("cannot be opened: ") +
                       (errno != 0 ? std::strerror(errno) : "out of memory"));
    }
    gzbuffer(file_.get(), 1U << 18U);
  }

  IdxFile read() {
    IdxFile idx;
    read_head(idx);
    std::uint64_t expected = bytes_of(idx.kind);
    for (const std::int64_t extent : idx.shape) {
      expected *= static_cast<std::uint64_t>(extent);
      if (expected > kMostBytes) refuse(path_, "an array of more than 16 GB");
    }
    read_numbers(idx, expected);
    return idx;
  }

 private:
  static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 34U;

  void read_head(IdxFile& idx) {
    std::array<std::uint8_t, 4> head{};
    const std::size_t got = take(head);
    idx.kind = static_cast<Kind>(head[2]);
    if (got < 4 || head[0] != 0 || head[1] != 0 || bytes_of(idx.kind) == 0 || head[3] == 0 ||
        head[3] > 8) {
      std::string found = got == 0 ? "nothing" : "";
      for (std::size_t i = 0; i < got; ++i) found += (i > 0 ? " " : "") + hex(head[i]);
      refuse(path_,
             "expected an IDX file, which begins with 00 00, a type and a number of axes; "
             "got " +
                 found);
    }
    for (std::uint8_t axis = 0; axis < head[3]; ++axis) {
      std::array<std::uint8_t, 4> extent{};
      if (take(extent) < 4) refuse(path_, "ends within its header; the file is cut short");
      idx.shape.push_back((std::int64_t{extent[0]} << 24) | (extent[1] << 16) | (extent[2] << 8) |
                          extent[3]);
    }
  }

  // In pieces, so that a wrong extent does not ask for memory that the file does not fill.
  void read_numbers(IdxFile& idx, std::uint64_t expected) {
    constexpr std::size_t kPiece = std::size_t{1} << 24U;
    std::uint64_t done = 0;
    while (done < expected) {
      const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, expected - done));
      idx.numbers.resize(static_cast<std::size_t>(done) + piece);
      const std::size_t got = take(std::span(idx.numbers).subspan(static_cast<std::size_t>(done)));
      done += got;
      if (got < piece) {
        refuse(path_, "expected " + std::to_string(expected) + " bytes of numbers for " +
                          to_string(idx.shape) + ", got " + std::to_string(done) +
                          "; the file is cut short");
      }
    }
    std::array<std::uint8_t, 1> more{};
    if (take(more) > 0) {
      refuse(path_, "holds more than the " + std::to_string(expected) + " bytes of numbers of " +
                        to_string(idx.shape));
    }
  }

  std::size_t take(std::span<std::uint8_t> to) {
    const int got = gzread(file_.get(), to.data(), static_cast<unsigned>(to.size()));
    int code = Z_OK;
    const std::string why = gzerror(file_.get(), &code);
    // The end of a compressed file in the middle of a block is Z_BUF_ERROR.
    if (code == Z_BUF_ERROR) refuse(path_, "the compressed file is cut short");
    if (got < 0) refuse(path_, "cannot be read: " + (code == Z_ERRNO ? std::strerror(errno) : why));
    return static_cast<std::size_t>(got);
  }

  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

template <typename Word>
Word big_endian(const std::uint8_t* bytes) {
  Word word = 0;
  for (std::size_t i = 0; i < sizeof(Word); ++i) word = static_cast<Word>((word << 8U) | bytes[i]);
  return word;
}

}  // namespace

Tensor read_idx(const std::string& path) {
  const IdxFile idx = IdxReader(path).read();
  const std::uint8_t* bytes = idx.numbers.data();
  const DType dtype = idx.kind == Kind::kFloat    ? DType::kF32
                      : idx.kind == Kind::kDouble ? DType::kF64
                                                  : DType::kI32;
  Tensor result(dtype, idx.shape);
  const auto count = static_cast<std::size_t>(result.size());
  const auto fill = [&](auto values, auto value_at) {
    for (std::size_t i = 0; i < count; ++i) values[i] = value_at(bytes + i * bytes_of(idx.kind));
  };
  using Bytes = const std::uint8_t*;
  switch (idx.kind) {
    case Kind::kByte:
      fill(result.values<std::int32_t>(), [](Bytes b) { return std::int32_t{*b}; });
      break;
    case Kind::kSignedByte:
      fill(result.values<std::int32_t>(),
           [](Bytes b) { return std::int32_t{static_cast<std::int8_t>(*b)}; });
      break;
    case Kind::kShort:
      fill(result.values<std::int32_t>(), [](Bytes b) {
        return std::int32_t{static_cast<std::int16_t>(big_endian<std::uint16_t>(b))};
      });
      break;
    case Kind::kInt:
      fill(result.values<std::int32_t>(),
           [](Bytes b) { return static_cast<std::int32_t>(big_endian<std::uint32_t>(b)); });
      break;
    case Kind::kFloat:
      fill(result.values<float>(),
           [](Bytes b) { return std::bit_cast<float>(big_endian<std::uint32_t>(b)); });
      break;
    case Kind::kDouble:
      fill(result.values<double>(),
           [](Bytes b) { return std::bit_cast<double>(big_endian<std::uint64_t>(b)); });
      break;
  }
  return result;
}

Tensor read_idx_images(const std::string& path) {
  IdxFile idx = IdxReader(path).read();
  if (idx.shape.size() != 3 && idx.shape.size() != 4) {
    refuse(path, "expected images, [N, H, W] or [N, H, W, C], got an array of " +
                     to_string(idx.shape) +
                     (idx.shape.size() == 1 ? "; are these the labels?" : ""));
  }
  if (idx.kind != Kind::kByte) refuse(path, "expected pixels that are bytes, 0 to 255");
  if (idx.shape.size() == 3) idx.shape.push_back(1);
  Tensor images(DType::kF32, idx.shape);
  std::transform(idx.numbers.begin(), idx.numbers.end(), images.values<float>().begin(),
                 [](std::uint8_t pixel) { return static_cast<float>(pixel) / 255.0F; });
  return images;
}

Dataset read_idx_dataset(const std::string& images, const std::string& labels,
                         const std::vector<std::string>& classes) {
  Dataset data;
  data.labels = read_idx(labels);
  if (data.labels.shape().size() != 1 || data.labels.dtype() != DType::kI32) {
    refuse(labels, "expected labels, one whole number an image, got an array of " +
                       to_string(data.labels.shape()));
  }
  data.x = read_idx_images(images);
  const std::int64_t rows = data.x.shape()[0];
  if (data.labels.size() != rows) {
    throw DataError(labels + ": " + std::to_string(data.labels.size()) + " labels, but " + images +
                        " holds " + std::to_string(rows) + " images",
                    labels);
  }
  const std::span<const std::int32_t> values = data.labels.values<std::int32_t>();
  const std::int32_t largest =
      values.empty() ? -1 : *std::max_element(values.begin(), values.end());
  data.classes = classes;
  if (classes.empty()) {
    if (largest > 99999) {
      throw DataError(labels + ": a label of " + std::to_string(largest) +
                          "; expected the numbers of classes, 0, 1, 2, …",
                      labels);
    }
    for (std::int32_t label = 0; label <= largest; ++label) {
      data.classes.push_back(std::to_string(label));
    }
  }
  const auto bad = std::find_if(values.begin(), values.end(), [&](std::int32_t label) {
    return label < 0 || static_cast<std::size_t>(label) >= data.classes.size();
  });
  if (bad != values.end()) {
    throw DataError(labels + ", label " + std::to_string(bad - values.begin() + 1) + ": " +
                        std::to_string(*bad) + " is no class; the classes are 0 to " +
                        std::to_string(data.classes.size() - 1),
                    labels);
  }
  return data;
}

// ── finding them ─────────────────────────────────────────────────────────────

namespace {

namespace fs = std::filesystem;

// The file of `folder` whose name is `part` ("train", "t10k"), `what` ("images", "labels") and the
// number of axes, in one of the ways in which they are written.
std::string file_of(const fs::path& folder, const std::string& part, const std::string& what) {
  for (const char* axes : {"1", "3", "4"}) {
    for (const char* joint : {"-", "."}) {
      for (const char* end : {"", ".gz"}) {
        const fs::path path =
            folder / fmt::format("{}-{}{}idx{}-ubyte{}", part, what, joint, axes, end);
        std::error_code ignored;
        if (fs::is_regular_file(path, ignored)) return path.string();
      }
    }
  }
  return {};
}

}  // namespace

std::optional<IdxFiles> find_idx_files(const std::string& folder_or_images) {
  const fs::path path(folder_or_images);
  std::error_code ignored;
  IdxFiles files;
  if (fs::is_directory(path, ignored)) {
    files.train_images = file_of(path, "train", "images");
    files.train_labels = file_of(path, "train", "labels");
    files.test_images = file_of(path, "t10k", "images");
    files.test_labels = file_of(path, "t10k", "labels");
    if (files.train_images.empty() && files.test_images.empty()) return std::nullopt;
    return files;
  }
  const std::string name = path.filename().string();
  const std::size_t at = name.find("-images");
  if (at == std::string::npos || name.find("idx") == std::string::npos) return std::nullopt;
  if (!fs::is_regular_file(path, ignored)) return std::nullopt;
  files.train_images = folder_or_images;
  files.train_labels = file_of(path.parent_path(), name.substr(0, at), "labels");
  return files;
}

}  // namespace chainrule
