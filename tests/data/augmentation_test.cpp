// What augmentation does to an image, and that only (seed, epoch, row) decide it.
#include <doctest/doctest.h>

#include <set>

#include "chainrule/error.h"
#include "chainrule/images.h"

using namespace chainrule;

namespace {

using Pixels = std::vector<float>;

Pixels varied(const char* text, Pixels image, const Shape& shape, std::int64_t row,
              std::uint32_t epoch = 1, std::uint64_t seed = 7) {
  Augmentation::parse(text).apply(image, shape, seed, epoch, row);
  return image;
}

}  // namespace

TEST_CASE("flip mirrors about half of the images") {
  const Pixels image{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const Pixels mirrored{5, 6, 3, 4, 1, 2, 11, 12, 9, 10, 7, 8};
  int flips = 0;
  for (int row = 0; row < 1000; ++row) {
    const Pixels got = varied("flip", image, {2, 3, 2}, row);
    REQUIRE((got == image || got == mirrored));
    flips += got == mirrored ? 1 : 0;
  }
  CHECK(flips > 440);
  CHECK(flips < 560);
  CHECK(varied("flip rate=1", image, {2, 3, 2}, 0) == mirrored);
  CHECK(varied("flip rate=0", image, {2, 3, 2}, 0) == image);
}

TEST_CASE("crop moves over zeros and shift over a repeated edge, everywhere equally often") {
  const Pixels image{1, 2, 3, 4};  // 2 by 2
  std::set<Pixels> crops;
  std::set<Pixels> shifts;
  for (int row = 0; row < 400; ++row) {
    crops.insert(varied("crop 1", image, {2, 2, 1}, row));
    shifts.insert(varied("shift 1", image, {2, 2, 1}, row));
  }
  CHECK(crops == std::set<Pixels>{image,
                                  {0, 0, 1, 2},
                                  {3, 4, 0, 0},
                                  {0, 1, 0, 3},
                                  {2, 0, 4, 0},
                                  {0, 0, 0, 1},
                                  {0, 0, 2, 0},
                                  {0, 3, 0, 0},
                                  {4, 0, 0, 0}});
  CHECK(shifts == std::set<Pixels>{image,
                                   {1, 2, 1, 2},
                                   {3, 4, 3, 4},
                                   {1, 1, 3, 3},
                                   {2, 2, 4, 4},
                                   {1, 1, 1, 1},
                                   {2, 2, 2, 2},
                                   {3, 3, 3, 3},
                                   {4, 4, 4, 4}});
}

TEST_CASE("the seed, the epoch and the row decide, and nothing else") {
  Pixels image(64);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i);
  const char* text = "flip, crop 2, shift 1";
  const auto of = [&](std::int64_t row, std::uint32_t epoch, std::uint64_t seed) {
    return varied(text, image, {8, 8, 1}, row, epoch, seed);
  };
  CHECK(of(3, 1, 7) == of(3, 1, 7));
  std::set<Pixels> different;
  for (std::int64_t i = 0; i < 8; ++i) {
    different.insert(of(i, 1, 7));
    different.insert(of(3, static_cast<std::uint32_t>(10 + i), 7));
    different.insert(of(3, 1, static_cast<std::uint64_t>(100 + i)));
  }
  CHECK(different.size() > 15);
}

TEST_CASE("an augmentation's text round-trips, and a wrong one says what there is") {
  CHECK(Augmentation::parse("").empty());
  CHECK(Augmentation::parse(" flip rate=0.3,crop  4 ").to_text() == "flip rate=0.3, crop 4");
  CHECK_THROWS_WITH_AS(Augmentation::parse("flip, cropp 4"),
                       "column 7: unknown augmentation \"cropp\"; did you mean \"crop\"? There "
                       "are: crop, flip, shift",
                       UsageError);
  CHECK_THROWS_AS(Augmentation::parse("crop"), UsageError);
  CHECK_THROWS_AS(Augmentation::parse("flip,"), UsageError);
  Pixels image(4);
  CHECK_THROWS_AS(Augmentation::parse("flip").apply(image, {4}, 0, 1, 0), ShapeError);
}
