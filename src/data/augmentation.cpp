// Each phrase is a way of reading the old image at another place, so one copy of it is enough.
#include <algorithm>

#include "base/philox.h"
#include "base/phrase_rules.h"
#include "chainrule/error.h"
#include "chainrule/images.h"

namespace chainrule {
namespace {

// Beside the streams of batches.cpp; the random nodes of a graph are numbered from 0.
constexpr std::uint32_t kAugmentationStream = 0xFFFFFFFD;

const std::vector<PhraseRule>& rules() {
  static const OptionRule kPixels{.name = "pixels",
                                  .kind = OptionKind::kInteger,
                                  .minimum = 1,
                                  .maximum = 10000,
                                  .positional = true};
  static const std::vector<PhraseRule> table{
      {"crop", {kPixels}},
      {"flip", {{.name = "rate", .fallback = "0.5", .minimum = 0, .maximum = 1}}},
      {"shift", {kPixels}}};
  return table;
}

// The rows and columns of an image, and the bytes of a pixel's place.
struct Size {
  std::int64_t height;
  std::int64_t width;
  std::int64_t channels;
};

void mirror(std::span<float> image, const Size& size) {
  for (std::int64_t y = 0; y < size.height; ++y) {
    float* row = image.data() + y * size.width * size.channels;
    for (std::int64_t left = 0, right = size.width - 1; left < right; ++left, --right) {
      std::swap_ranges(row + left * size.channels, row + (left + 1) * size.channels,
                       row + right * size.channels);
    }
  }
}

// image[y, x] = old[y + down, x + right]; outside the old image its edge, or zeros.
void move(std::span<float> image, const Size& size, std::int64_t down, std::int64_t right,
          bool edge) {
  const std::vector<float> old(image.begin(), image.end());
  std::size_t to = 0;
  for (std::int64_t y = down; y < size.height + down; ++y) {
    for (std::int64_t x = right; x < size.width + right; ++x) {
      const std::int64_t from_y = std::clamp<std::int64_t>(y, 0, size.height - 1);
      const std::int64_t from_x = std::clamp<std::int64_t>(x, 0, size.width - 1);
      const bool inside = edge || (from_y == y && from_x == x);
      const auto from = static_cast<std::size_t>((from_y * size.width + from_x) * size.channels);
      for (std::int64_t c = 0; c < size.channels; ++c) {
        image[to++] = inside ? old[from + static_cast<std::size_t>(c)] : 0.0F;
      }
    }
  }
}

}  // namespace

Augmentation Augmentation::parse(std::string_view text) {
  Augmentation result;
  if (text.empty()) return result;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    result.phrases_.push_back(
        parse_phrase(text.substr(at, end - at), at + 1, "augmentation", rules()));
    at = end + 1;
  }
  return result;
}

std::string Augmentation::to_text() const {
  std::string text;
  for (const Phrase& phrase : phrases_) text += (text.empty() ? "" : ", ") + phrase.text;
  return text;
}

void Augmentation::apply(std::span<float> image, const Shape& shape, std::uint64_t seed,
                         std::uint32_t epoch, std::int64_t row) const {
  if (shape.size() != 3 || element_count(shape) != static_cast<std::int64_t>(image.size())) {
    throw ShapeError("augmentation: expected an image [H, W, C], got " + to_string(shape));
  }
  const Size size{shape[0], shape[1], shape[2]};
  const PhiloxStream stream{seed, kAugmentationStream, epoch};
  const std::uint64_t first = static_cast<std::uint64_t>(row) * phrases_.size();
  for (std::size_t i = 0; i < phrases_.size(); ++i) {
    const Phrase& phrase = phrases_[i];
    const std::array<std::uint32_t, 4> words = stream.words(first + i);
    if (phrase.name == "flip") {
      if ((words[0] >> 8U) * 0x1p-24 < phrase.real("rate")) mirror(image, size);
      continue;
    }
    const std::int64_t most = phrase.integer("pixels");
    const auto draw = [&](std::uint32_t word) {
      return static_cast<std::int64_t>(
                 (std::uint64_t{word} * static_cast<std::uint64_t>(2 * most + 1)) >> 32U) -
             most;
    };
    move(image, size, draw(words[0]), draw(words[1]), phrase.name == "shift");
  }
}

}  // namespace chainrule
