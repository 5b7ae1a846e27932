// Reads and writes safetensors. A model file comes from anywhere, so the reader believes nothing:
// it checks every length before it allocates, and the tensors must tile the data without gap or
// overlap.
#include "chainrule/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <vector>

#include "base/atomic_file.h"
#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "chainrule/error.h"
#include "interchange/safetensors_file.h"

namespace chainrule {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the reference implementation's limit
constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 36U;
constexpr const char* kMetadata = "__metadata__";

enum class FileType : std::uint8_t { kF64, kF32, kI32, kF16, kBF16 };

constexpr struct {
  const char* name;
  FileType type;
  std::size_t size;
  DType dtype;
} kFileTypes[] = {{"F64", FileType::kF64, 8, DType::kF64},
                  {"F32", FileType::kF32, 4, DType::kF32},
                  {"I32", FileType::kI32, 4, DType::kI32},
                  {"F16", FileType::kF16, 2, DType::kF32},
                  {"BF16", FileType::kBF16, 2, DType::kF32}};

const char* file_name(DType dtype) {
  for (const auto& type : kFileTypes) {
    if (type.dtype == dtype) return type.name;
  }
  return "";
}

// ── reading ──────────────────────────────────────────────────────────────────

float from_half(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const float mantissa = static_cast<float>(bits & 1023);
  float magnitude = 0;
  if (exponent == 31) {
    magnitude = mantissa == 0 ? std::numeric_limits<float>::infinity()
                              : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(mantissa, -24);
  } else {
    magnitude = std::ldexp(mantissa + 1024, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

float from_bfloat(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// What the header says of one tensor.
struct Entry {
  std::string name;
  FileType type = FileType::kF32;
  DType dtype = DType::kF32;
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  /// The length and the first byte of the header, which other files do not have.
  void require_header() const {
    if (bytes_.size() <= kLengthBytes || bytes_[kLengthBytes] != '{') fail_foreign();
  }

  SafeTensors read() {
    const Json header = parse_header();
    SafeTensors result;
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.members()) {
      if (name == kMetadata) {
        result.metadata = metadata_of(value);
      } else {
        entries.push_back(entry_of(name, value));
      }
    }
    require_tiling(entries);
    for (const Entry& entry : entries) result.tensors.emplace(entry.name, tensor_of(entry));
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw FileError(chainrule::file_name(source_) + ": " + message, source_);
  }

  [[noreturn]] void fail_foreign() const {
    std::string kind;
    if (bytes_.starts_with("PK")) kind = "; it looks like a zip archive (.npz, .pt, .zip)";
    if (bytes_.starts_with("\x93NUMPY")) kind = "; it looks like a NumPy .npy file";
    if (bytes_.starts_with("\x80")) kind = "; it looks like a Python pickle";
    if (bytes_.starts_with("\x89HDF")) kind = "; it looks like an HDF5 file";
    fail("not a safetensors file" + kind);
  }

  Json parse_header() {
    require_header();
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), kLengthBytes);
    const std::uint64_t available = bytes_.size() - kLengthBytes;
    if (length > kLongestHeader) {
      fail("a header of " + std::to_string(length) + " bytes; expected at most " +
           std::to_string(kLongestHeader));
    }
    if (length > available) {
      fail("truncated: expected a header of " + std::to_string(length) + " bytes, got " +
           std::to_string(available));
    }
    data_ = bytes_.substr(kLengthBytes + length);
    try {
      return Json::parse(bytes_.substr(kLengthBytes, length));
    } catch (const JsonError& error) {
      if (error.byte == 0) fail(std::string("the header ") + error.what());
      fail("the header is not valid JSON at byte " + std::to_string(kLengthBytes + error.byte));
    }
  }

  std::map<std::string, std::string> metadata_of(const Json& value) const {
    std::map<std::string, std::string> result;
    if (!value.is_object()) fail("__metadata__: expected an object of texts");
    for (const auto& [name, text] : value.members()) {
      if (!text.is_string()) fail("__metadata__ " + in_quotes(name) + ": expected a text");
      result.emplace(name, text.get<std::string>());
    }
    return result;
  }

  Entry entry_of(const std::string& name, const Json& value) const {
    const auto expect = [&](bool holds, const std::string& what) {
      if (!holds) fail("tensor " + in_quotes(name) + ": expected " + what);
    };
    expect(value.is_object() && value.size() == 3 && value.contains("dtype") &&
               value.contains("shape") && value.contains("data_offsets"),
           "dtype, shape and data_offsets");
    const Json dtype = value.at("dtype");
    const Json shape = value.at("shape");
    const Json offsets = value.at("data_offsets");
    expect(dtype.is_string(), "a text as dtype");
    const std::string type_name = dtype.get<std::string>();
    const auto* type = std::find_if(std::begin(kFileTypes), std::end(kFileTypes),
                                    [&](const auto& t) { return type_name == t.name; });
    if (type == std::end(kFileTypes)) {
      fail("tensor " + in_quotes(name) + ": dtype " + printable(type_name) +
           " is not supported; expected F32, F64, I32, F16 or BF16");
    }
    expect(shape.is_array(), "an array as shape");
    Entry entry{name, type->type, type->dtype, {}, 0, 0};
    for (const Json& extent : shape.elements()) {
      expect(extent.is_number_unsigned() &&
                 extent.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max(),
             "extents that are whole numbers");
      entry.shape.push_back(extent.get<std::int64_t>());
    }
    expect(offsets.is_array() && offsets.size() == 2 && offsets.at(0).is_number_unsigned() &&
               offsets.at(1).is_number_unsigned(),
           "two whole numbers as data_offsets");
    entry.begin = offsets.at(0).get<std::uint64_t>();
    entry.end = offsets.at(1).get<std::uint64_t>();
    const std::uint64_t size = elements_of(entry) * type->size;
    expect(entry.begin <= entry.end && entry.end - entry.begin == size,
           std::to_string(size) + " bytes for shape " + to_string(entry.shape) + " of " +
               type_name + ", got offsets " + std::to_string(entry.begin) + " to " +
               std::to_string(entry.end));
    return entry;
  }

  std::uint64_t elements_of(const Entry& entry) const {
    try {
      return static_cast<std::uint64_t>(element_count(entry.shape));
    } catch (const ShapeError& error) {
      fail("tensor " + in_quotes(entry.name) + ": " + error.what());
    }
  }

  void require_tiling(std::vector<Entry>& entries) const {
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t at = 0;
    for (const Entry& entry : entries) {
      if (entry.begin != at) {
        fail("tensor " + in_quotes(entry.name) + " begins at byte " + std::to_string(entry.begin) +
             " of the data; expected " + std::to_string(at) + ", the end of the one before");
      }
      at = entry.end;
    }
    if (at != data_.size()) {
      fail((at > data_.size() ? "truncated: expected " : "expected ") + std::to_string(at) +
           " bytes of data, got " + std::to_string(data_.size()));
    }
  }

  Tensor tensor_of(const Entry& entry) const {
    Tensor tensor(entry.dtype, entry.shape);
    const std::string_view bytes = data_.substr(entry.begin, entry.end - entry.begin);
    if (entry.type != FileType::kF16 && entry.type != FileType::kBF16) {
      if (!bytes.empty()) std::memcpy(tensor.data(), bytes.data(), bytes.size());
      return tensor;
    }
    const std::span<float> values = tensor.values<float>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, bytes.data() + 2 * i, 2);
      values[i] = entry.type == FileType::kF16 ? from_half(bits) : from_bfloat(bits);
    }
    return tensor;
  }

  std::string_view bytes_;
  std::string_view data_;
  std::string source_;
};

// ── writing ──────────────────────────────────────────────────────────────────

using Named = std::pair<const std::string, Tensor>;

// Widest numbers first, so that every tensor is aligned to its own element size.
std::vector<const Named*> in_file_order(const std::map<std::string, Tensor>& tensors) {
  std::vector<const Named*> order;
  for (const Named& named : tensors) order.push_back(&named);
  std::stable_sort(order.begin(), order.end(), [](const Named* a, const Named* b) {
    return size_of(a->second.dtype()) > size_of(b->second.dtype());
  });
  return order;
}

std::string header_text(const std::vector<const Named*>& order,
                        const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header.set(kMetadata, metadata);
  std::size_t at = 0;
  for (const Named* named : order) {
    const auto& [name, tensor] = *named;
    if (name == kMetadata) {
      throw UsageError("safetensors: a tensor cannot be called \"__metadata__\"");
    }
    header.set(name, {{"dtype", file_name(tensor.dtype())},
                      {"shape", tensor.shape()},
                      {"data_offsets", {at, at + tensor.bytes()}}});
    at += tensor.bytes();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const JsonError&) {
    throw UsageError("safetensors: expected names and metadata in UTF-8, got other bytes");
  }
  // The data begins at a multiple of 8 bytes.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

SafeTensors parse_safetensors(std::string_view bytes, const std::string& source) {
  return Reader(bytes, source).read();
}

SafeTensors load_safetensors(const std::string& path) {
  const auto begins = [&](std::string_view head) { Reader(head, path).require_header(); };
  return parse_safetensors(read_file(path, {.most = kLargestFile, .begins = begins}), path);
}

void write_safetensors(AtomicFile& file, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<const Named*> order = in_file_order(tensors);
  const std::string header = header_text(order, metadata);
  const std::uint64_t length = header.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(std::as_bytes(std::span(header)));
  for (const Named* named : order) file.write({named->second.data(), named->second.bytes()});
}

void save_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  write_safetensors(file, tensors, metadata);
  file.commit();
}

}  // namespace chainrule
