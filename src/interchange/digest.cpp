// Every piece is preceded by its length, so that no two contents are the same row of bytes.
#include "interchange/digest.h"

#include <zlib.h>

#include <cstdint>
#include <string_view>

namespace chainrule {
namespace {

class Crc {
 public:
  void add(std::uint64_t number) { add_bytes(&number, sizeof number); }

  void add(std::string_view text) {
    add(static_cast<std::uint64_t>(text.size()));
    add_bytes(text.data(), text.size());
  }

  void add(const Tensor& tensor) {
    add(std::string_view(to_string(tensor.dtype())));
    add(static_cast<std::uint64_t>(tensor.shape().size()));
    for (const std::int64_t extent : tensor.shape()) add(static_cast<std::uint64_t>(extent));
    add_bytes(tensor.data(), tensor.bytes());
  }

  std::string text() const {
    std::string digits = "crc32:";
    for (int shift = 28; shift >= 0; shift -= 4) {
      digits += "0123456789abcdef"[(value_ >> shift) & 15U];
    }
    return digits;
  }

 private:
  void add_bytes(const void* bytes, std::size_t count) {
    // zlib takes no bytes at no address for a wish to begin anew.
    if (count > 0) value_ = crc32_z(value_, static_cast<const Bytef*>(bytes), count);
  }

  uLong value_ = crc32_z(0, nullptr, 0);
};

}  // namespace

std::string content_digest(const std::map<std::string, Tensor>& tensors,
                           const std::map<std::string, std::string>& metadata) {
  Crc crc;
  crc.add(static_cast<std::uint64_t>(metadata.size()));
  for (const auto& [name, text] : metadata) {
    crc.add(std::string_view(name));
    crc.add(std::string_view(text));
  }
  for (const auto& [name, tensor] : tensors) {
    crc.add(std::string_view(name));
    crc.add(tensor);
  }
  return crc.text();
}

}  // namespace chainrule
