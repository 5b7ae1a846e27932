// IDX: two zero bytes, the kind of number, the number of axes, the extents as big-endian 32-bit
// integers, and the numbers, big-endian and row-major; gzipped or not.

#include <algorithm>
#include <bit>
#include <charconv>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "base/file.h"
#include "base/format.h"
#include "base/nearest.h"
#include "base/printable.h"
#include "chainrule/error.h"
#include "chainrule/images.h"
#include "data/gzip.h"

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
  throw FileError(file_name(path) + ": " + why, path);
}

std::string hex(std::uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {kDigits[byte >> 4], kDigits[byte & 15]};
}

struct IdxFile {
  Kind kind = Kind::kByte;
  Shape shape;
  std::string bytes;  // the numbers begin at `first`
  std::size_t first = 0;

  std::span<const std::uint8_t> numbers() const {
    return {reinterpret_cast<const std::uint8_t*>(bytes.data()) + first, bytes.size() - first};
  }
};

constexpr std::size_t kHead = 4;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 34U;

std::uint8_t byte_at(std::string_view bytes, std::size_t i) {
  return static_cast<std::uint8_t>(bytes[i]);
}

bool is_compressed(std::string_view bytes) { return bytes.starts_with("\x1F\x8B"); }

void require_head(const std::string& path, std::string_view bytes) {
  const bool fits = bytes.size() >= kHead && byte_at(bytes, 0) == 0 && byte_at(bytes, 1) == 0 &&
                    bytes_of(static_cast<Kind>(bytes[2])) > 0 && byte_at(bytes, 3) > 0 &&
                    byte_at(bytes, 3) <= 8;
  if (fits) return;
  std::string found = bytes.empty() ? "nothing" : "";
  for (std::size_t i = 0; i < std::min(bytes.size(), kHead); ++i) {
    found += (i > 0 ? " " : "") + hex(byte_at(bytes, i));
  }
  refuse(path, "expected an IDX file, which begins with 00 00, a type and a number of axes; got " +
                   found);
}

// Reads the head of `idx.bytes`; returns the bytes of numbers that it announces.
std::uint64_t read_head(const std::string& path, IdxFile& idx) {
  require_head(path, idx.bytes);
  idx.kind = static_cast<Kind>(idx.bytes[2]);
  const std::size_t axes = byte_at(idx.bytes, 3);
  idx.first = kHead + 4 * axes;
  if (idx.bytes.size() < idx.first) refuse(path, "ends within its header; the file is cut short");
  for (std::size_t axis = 0; axis < axes; ++axis) {
    std::int64_t extent = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      extent = (extent << 8U) | byte_at(idx.bytes, kHead + 4 * axis + i);
    }
    idx.shape.push_back(extent);
  }
  try {
    const auto count = static_cast<std::uint64_t>(element_count(idx.shape));
    if (count <= kMostBytes / bytes_of(idx.kind)) return count * bytes_of(idx.kind);
  } catch (const ShapeError& error) {
    refuse(path, error.what());
  }
  refuse(path, "an array of " + to_string(idx.shape) + " takes more than " +
                   bytes_text(kMostBytes) + ", the most that is read");
}

// The length of the whole file, by its head.
std::uint64_t announced_size(const std::string& path, std::string_view head) {
  require_head(path, head);
  IdxFile idx;
  idx.bytes = head;
  const std::uint64_t numbers = read_head(path, idx);
  return idx.first + numbers;
}

IdxFile read_idx_file(const std::string& path) {
  IdxFile idx;
  idx.bytes = read_file(path, {.most = kMostBytes, .begins = [&](std::string_view head) {
                                 if (!is_compressed(head)) require_head(path, head);
                               }});
  if (is_compressed(idx.bytes)) {
    idx.bytes =
        gunzip(idx.bytes, path, [&](std::string_view head) { return announced_size(path, head); });
  }
  const std::uint64_t expected = read_head(path, idx);
  const std::uint64_t got = idx.numbers().size();
  if (got < expected) {
    refuse(path, "expected " + std::to_string(expected) + " bytes of numbers for " +
                     to_string(idx.shape) + ", got " + std::to_string(got) +
                     "; the file is cut short");
  }
  if (got > expected) {
    refuse(path, "holds more than the " + std::to_string(expected) + " bytes of numbers of " +
                     to_string(idx.shape));
  }
  return idx;
}

template <typename Word>
Word big_endian(const std::uint8_t* bytes) {
  Word word = 0;
  for (std::size_t i = 0; i < sizeof(Word); ++i) word = static_cast<Word>((word << 8U) | bytes[i]);
  return word;
}

}  // namespace

Tensor read_idx(const std::string& path) {
  const IdxFile idx = read_idx_file(path);
  const std::uint8_t* bytes = idx.numbers().data();
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
  IdxFile idx = read_idx_file(path);
  if (idx.shape.size() != 3 && idx.shape.size() != 4) {
    refuse(path, "expected images, [N, H, W] or [N, H, W, C], got an array of " +
                     to_string(idx.shape) +
                     (idx.shape.size() == 1 ? "; are these the labels?" : ""));
  }
  if (idx.kind != Kind::kByte) refuse(path, "expected pixels that are bytes, 0 to 255");
  if (idx.shape.size() == 3) idx.shape.push_back(1);
  if (element_count(idx.shape) == 0) {
    refuse(path, "an array of " + to_string(idx.shape) +
                     " holds no pixel; expected at least one image of at least one");
  }
  Tensor images(DType::kF32, idx.shape);
  const std::span<const std::uint8_t> pixels = idx.numbers();
  std::transform(pixels.begin(), pixels.end(), images.values<float>().begin(),
                 [](std::uint8_t pixel) { return static_cast<float>(pixel) / 255.0F; });
  return images;
}

namespace {

// The different labels, in ascending order.
std::vector<std::string> classes_of(const Tensor& labels, const std::string& file) {
  const std::span<const std::int32_t> values = labels.values<std::int32_t>();
  const std::set<std::int32_t> different(values.begin(), values.end());
  constexpr std::size_t kMostClasses = 100'000;
  if (different.size() > kMostClasses) {
    throw DataError(file_name(file) + ": " + std::to_string(different.size()) +
                        " different labels; expected at most " + std::to_string(kMostClasses),
                    file);
  }
  std::vector<std::string> names;
  for (const std::int32_t label : different) names.push_back(std::to_string(label));
  return names;
}

// The place of each label: that of its name where the classes are numbers, else the label itself.
std::unordered_map<std::int32_t, std::int32_t> places_of(const std::vector<std::string>& classes) {
  std::unordered_map<std::int32_t, std::int32_t> by_name;
  std::unordered_map<std::int32_t, std::int32_t> by_number;
  for (const std::string& name : classes) {
    const auto place = static_cast<std::int32_t>(by_number.size());
    std::int32_t label = 0;
    const char* end = name.data() + name.size();
    const std::from_chars_result read = std::from_chars(name.data(), end, label);
    if (read.ec == std::errc() && read.ptr == end) by_name.emplace(label, place);
    by_number.emplace(place, place);
  }
  return by_name.size() == classes.size() ? by_name : by_number;
}

void replace_by_places(Tensor& labels, const std::vector<std::string>& classes,
                       const std::string& file) {
  const auto places = places_of(classes);
  std::size_t row = 0;
  for (std::int32_t& label : labels.values<std::int32_t>()) {
    ++row;
    const auto found = places.find(label);
    if (found == places.end()) {
      throw DataError(file_name(file) + ", label " + std::to_string(row) + ": " +
                          std::to_string(label) + " is no class; the classes are " +
                          quoted_list(classes),
                      file);
    }
    label = found->second;
  }
}

}  // namespace

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
    throw DataError(file_name(labels) + ": " + std::to_string(data.labels.size()) +
                        " labels, but " + file_name(images) + " holds " + std::to_string(rows) +
                        " images",
                    labels);
  }
  data.classes = classes.empty() ? classes_of(data.labels, labels) : classes;
  replace_by_places(data.labels, data.classes, labels);
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
