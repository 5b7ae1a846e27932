// IDX files: every type of number, both forms of file, and a clear word for what is none.
#include <doctest/doctest.h>
#include <zlib.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "chainrule/error.h"
#include "chainrule/images.h"
#include "data/data_testing.h"
#include "support/folder.h"

using namespace chainrule;

namespace {

std::string idx(char type, std::initializer_list<int> extents, const std::string& numbers) {
  std::string bytes{0, 0, type, static_cast<char>(extents.size())};
  for (const int extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(extent >> shift);
  }
  return bytes + numbers;
}

std::string written(const Folder& folder, const char* name, const std::string& bytes) {
  std::ofstream(folder / name, std::ios::binary) << bytes;
  return folder / name;
}

std::string compressed(const Folder& folder, const char* name, const std::string& bytes) {
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
  const Folder folder;
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

TEST_CASE(
    "images become numbers from 0 to 1 with a channel axis, and classes the labels that occur") {
  const Folder folder;
  const std::string images =
      written(folder, "train-images-idx3-ubyte", idx(8, {2, 1, 3}, {0, 51, '\xff', 102, 0, 0}));
  const std::string labels = compressed(folder, "train-labels-idx1-ubyte.gz", idx(8, {2}, {2, 0}));
  const Dataset data = read_idx_dataset(images, labels);
  CHECK(data.x.shape() == Shape{2, 1, 3, 1});
  CHECK(numbers<float>(data.x) == std::vector<float>{0, 0.2F, 1, 0.4F, 0, 0});
  CHECK(numbers<std::int32_t>(data.labels) == std::vector<std::int32_t>{1, 0});
  CHECK(data.classes == std::vector<std::string>{"0", "2"});
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
  SUBCASE("labels are found by the classes' names, or by place where those are words") {
    const Dataset test = read_idx_dataset(images, labels, {"0", "1", "2"});
    CHECK(numbers<std::int32_t>(test.labels) == std::vector<std::int32_t>{2, 0});
    const Dataset named = read_idx_dataset(images, labels, {"shirt", "shoe", "bag"});
    CHECK(numbers<std::int32_t>(named.labels) == std::vector<std::int32_t>{2, 0});
    const std::string signs = written(folder, "signs", idx(9, {2}, {1, '\xff'}));
    const Dataset signed_labels = read_idx_dataset(images, signs);
    CHECK(signed_labels.classes == std::vector<std::string>{"-1", "1"});
    CHECK(numbers<std::int32_t>(signed_labels.labels) == std::vector<std::int32_t>{1, 0});
  }
  SUBCASE("labels must fit images and classes") {
    const std::string three = written(folder, "three", idx(8, {3}, {0, 1, 2}));
    CHECK(message([&] { read_idx_dataset(images, three); }) ==
          three + ": 3 labels, but " + images + " holds 2 images");
    CHECK(message([&] {
            read_idx_dataset(images, labels, {"a", "b"});
          }) == labels + ", label 1: 2 is no class; the classes are \"a\" and \"b\"");
    CHECK(message([&] {
            read_idx_dataset(images, labels, {"3", "0"});
          }) == labels + ", label 1: 2 is no class; the classes are \"3\" and \"0\"");
    CHECK(message([&] { read_idx_dataset(images, images); }) ==
          images + ": expected labels, one whole number an image, got an array of [2, 1, 3]");
    CHECK(message([&] { read_idx_dataset(labels, labels); }) ==
          labels +
              ": expected images, [N, H, W] or [N, H, W, C], got an array of [2]; are these "
              "the labels?");
  }
}

TEST_CASE("files that are no IDX, or not a whole one, are refused by name") {
  const Folder folder;
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
  CHECK(refusal(huge) ==
        huge +
            ": shape [2147483647, 2147483647, 9] has 4.15e+19 elements, more than any memory "
            "holds");
  const std::string large = written(folder, "large", idx(14, {0x7fffffff, 2}, "a"));
  CHECK(refusal(large) ==
        large + ": an array of [2147483647, 2] takes more than 17.2 GB, the most that is read");
  // 2⁶⁴ elements, which a product of 64 bits takes for none.
  std::string none = idx(8, {8, 0, 1 << 30}, "");
  none[8] = '\x80';
  CHECK(refusal(written(folder, "none", none)).find("1.84e+19 elements") != std::string::npos);
  for (const auto& extents : {std::array{0, 5, 5}, std::array{3, 0, 5}}) {
    const std::string path =
        written(folder, "pixels", idx(8, {extents[0], extents[1], extents[2]}, ""));
    CHECK(message([&] { read_idx_images(path); }).find("holds no pixel") != std::string::npos);
  }
  CHECK(refusal(folder / "nowhere") ==
        (folder / "nowhere") + ": cannot be opened: No such file or directory");
  CHECK(refusal(folder / "").ends_with("is a folder; expected a file"));

  std::string noise;
  for (unsigned i = 0; i < 4000; ++i) noise += static_cast<char>(i * i * 2654435761U >> 13U);
  const std::string zipped = compressed(folder, "z.gz", idx(8, {4000}, noise));
  std::filesystem::resize_file(zipped, std::filesystem::file_size(zipped) / 2);
  CHECK(refusal(zipped) == zipped + ": the compressed file is cut short");
}

TEST_CASE("what gzip's checksum and end say is heard") {
  const Folder folder;
  const auto refusal = [&](const std::string& path) { return message([&] { read_idx(path); }); };
  const auto bytes_of = [](const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string good =
      bytes_of(compressed(folder, "good.gz", idx(8, {300}, std::string(300, 'x'))));
  const std::string rest = bytes_of(compressed(folder, "rest.gz", std::string(100, 'y')));
  const std::string junk = written(folder, "junk.gz", good + "junk");
  CHECK(refusal(junk) ==
        junk + ": the compressed file goes on behind its end, with 4 bytes that are no gzip");
  std::string wrong = good;
  wrong[wrong.size() - 8] ^= 1;
  const std::string crc = written(folder, "crc.gz", wrong);
  CHECK(refusal(crc) == crc + ": the compressed file is damaged: incorrect data check");
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK(refusal(written(folder, "cut.gz", good.substr(0, size))) != "accepted");
  }
  const std::string parts =
      written(folder, "parts.gz", bytes_of(compressed(folder, "h.gz", idx(8, {100}, ""))) + rest);
  CHECK(numbers<std::int32_t>(read_idx(parts)) == std::vector<std::int32_t>(100, 'y'));
  const std::string text = compressed(folder, "text.gz", std::string(1000, 'a'));
  CHECK(refusal(text).ends_with("got 61 61 61 61"));
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
