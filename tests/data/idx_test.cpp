// IDX files: every type of number, both forms of file, and a clear word for what is none.
#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "chainrule/error.h"
#include "chainrule/images.h"
#include "data/data_testing.h"

using namespace chainrule;
using testing::TemporaryFolder;

namespace {

std::string idx(char type, std::initializer_list<int> extents, const std::string& numbers) {
  std::string bytes{0, 0, type, static_cast<char>(extents.size())};
  for (const int extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(extent >> shift);
  }
  return bytes + numbers;
}

std::string written(const TemporaryFolder& folder, const char* name, const std::string& bytes) {
  std::ofstream(folder / name, std::ios::binary) << bytes;
  return folder / name;
}

std::string compressed(const TemporaryFolder& folder, const char* name, const std::string& bytes) {
  gzFile file = gzopen((folder / name).c_str(), "wb");
  REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
          static_cast<int>(bytes.size()));
  gzclose(file);
  return folder / name;
}

template <typename T>
std::vector<T> numbers(const Tensor& tensor) {
  const std::span<const T> values = tensor.values<T>();
  return {values.begin(), values.end()};
}

std::string message(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("IDX arrays of every type are read, gzipped or not") {
  const TemporaryFolder folder;
  using Ints = std::vector<std::int32_t>;
  const std::string bytes = written(folder, "a", idx(8, {2, 2}, {0, 1, '\x7f', '\xff'}));
  CHECK(read_idx(bytes).shape() == Shape{2, 2});
  CHECK(numbers<std::int32_t>(read_idx(bytes)) == Ints{0, 1, 127, 255});
  const std::string same = compressed(folder, "a.gz", idx(8, {2, 2}, {0, 1, '\x7f', '\xff'}));
  CHECK(numbers<std::int32_t>(read_idx(same)) == Ints{0, 1, 127, 255});
  CHECK(numbers<std::int32_t>(read_idx(written(folder, "b", idx(9, {2}, {'\x80', 5})))) ==
        Ints{-128, 5});
  CHECK(numbers<std::int32_t>(
            read_idx(written(folder, "c", idx(11, {2}, {'\xff', '\xfe', 1, 2})))) == Ints{-2, 258});
  CHECK(numbers<std::int32_t>(read_idx(written(folder, "d", idx(12, {1}, {'\xff', 0, 0, 1})))) ==
        Ints{-16777215});
  CHECK(numbers<float>(read_idx(written(folder, "e", idx(13, {1}, {'\x3f', '\xa0', 0, 0})))) ==
        std::vector<float>{1.25F});
  CHECK(numbers<double>(
            read_idx(written(folder, "f", idx(14, {1}, {'\xbf', '\xf0', 0, 0, 0, 0, 0, 0})))) ==
        std::vector<double>{-1.0});
}

TEST_CASE("images become numbers from 0 to 1 with a channel axis, and classes the labels' range") {
  const TemporaryFolder folder;
  const std::string images =
      written(folder, "train-images-idx3-ubyte", idx(8, {2, 1, 3}, {0, 51, '\xff', 102, 0, 0}));
  const std::string labels = compressed(folder, "train-labels-idx1-ubyte.gz", idx(8, {2}, {2, 0}));
  const Dataset data = read_idx_dataset(images, labels);
  CHECK(data.x.shape() == Shape{2, 1, 3, 1});
  CHECK(numbers<float>(data.x) == std::vector<float>{0, 0.2F, 1, 0.4F, 0, 0});
  CHECK(numbers<std::int32_t>(data.labels) == std::vector<std::int32_t>{2, 0});
  CHECK(data.classes == std::vector<std::string>{"0", "1", "2"});
  const std::string colour = written(folder, "c", idx(8, {1, 1, 2, 3}, {0, 1, 2, 3, 4, 5}));
  CHECK(read_idx_images(colour).shape() == Shape{1, 1, 2, 3});

  SUBCASE("they are found by their names") {
    const IdxFiles all = find_idx_files(folder / "").value();
    CHECK(all.train_images == images);
    CHECK(all.train_labels == labels);
    CHECK(all.test_images.empty());
    const IdxFiles one = find_idx_files(images).value();
    CHECK(one.train_images == images);
    CHECK(one.train_labels == labels);
    CHECK(!find_idx_files(labels));
    CHECK(!find_idx_files(folder / "nowhere"));
    CHECK(!find_idx_files("iris"));
  }
  SUBCASE("labels must fit images and classes") {
    const std::string three = written(folder, "three", idx(8, {3}, {0, 1, 2}));
    CHECK(message([&] { read_idx_dataset(images, three); }) ==
          three + ": 3 labels, but " + images + " holds 2 images");
    CHECK(message([&] {
            read_idx_dataset(images, labels, {"a", "b"});
          }) == labels + ", label 1: 2 is no class; the classes are 0 to 1");
    CHECK(message([&] { read_idx_dataset(images, images); }) ==
          images + ": expected labels, one whole number an image, got an array of [2, 1, 3]");
    CHECK(message([&] { read_idx_dataset(labels, labels); }) ==
          labels +
              ": expected images, [N, H, W] or [N, H, W, C], got an array of [2]; are these "
              "the labels?");
  }
}

TEST_CASE("files that are no IDX, or not a whole one, are refused by name") {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& path) { return message([&] { read_idx(path); }); };
  const std::string whole = idx(8, {2, 3}, "abcdef");
  const std::string png = written(folder, "png", "\x89PNG\r\n");
  CHECK(refusal(png) == png +
                            ": expected an IDX file, which begins with 00 00, a type and a number "
                            "of axes; got 89 50 4e 47");
  const std::string empty = written(folder, "empty", "");
  CHECK(refusal(empty).ends_with("got nothing"));
  const std::string head = written(folder, "head", whole.substr(0, 7));
  CHECK(refusal(head) == head + ": ends within its header; the file is cut short");
  const std::string cut = written(folder, "cut", whole.substr(0, whole.size() - 2));
  CHECK(refusal(cut) ==
        cut + ": expected 6 bytes of numbers for [2, 3], got 4; the file is cut short");
  const std::string more = written(folder, "more", whole + "g");
  CHECK(refusal(more) == more + ": holds more than the 6 bytes of numbers of [2, 3]");
  const std::string kind = written(folder, "kind", idx(10, {1}, "a"));
  CHECK(refusal(kind).ends_with("got 00 00 0a 01"));
  const std::string huge = written(folder, "huge", idx(8, {0x7fffffff, 0x7fffffff, 9}, "a"));
  CHECK(refusal(huge) == huge + ": an array of more than 16 GB");
  CHECK(refusal(folder / "nowhere") ==
        (folder / "nowhere") + ": cannot be opened: No such file or directory");
  CHECK(refusal(folder / "").ends_with("is a folder, not an IDX file"));

  std::string noise;
  for (unsigned i = 0; i < 4000; ++i) noise += static_cast<char>(i * i * 2654435761U >> 13U);
  const std::string zipped = compressed(folder, "z.gz", idx(8, {4000}, noise));
  std::filesystem::resize_file(zipped, std::filesystem::file_size(zipped) / 2);
  CHECK(refusal(zipped) == zipped + ": the compressed file is cut short");
}

TEST_CASE("MNIST") {
  const char* root = std::getenv("CHAINRULE_DATA");
  if (root == nullptr) {
    MESSAGE("skipped: CHAINRULE_DATA is not set");
    return;
  }
  const IdxFiles files = find_idx_files(std::string(root) + "/mnist").value();
  const Dataset test = read_idx_dataset(files.test_images, files.test_labels);
  CHECK(test.x.shape() == Shape{10000, 28, 28, 1});
  CHECK(test.classes.size() == 10);
  CHECK(test.labels.values<std::int32_t>()[0] == 7);
  CHECK(read_idx(files.train_labels).values<std::int32_t>()[0] == 5);
}
