// The safetensors reader believes nothing, and the writer leaves nothing half written.
#include "chainrule/safetensors.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "chainrule/error.h"
#include "support/folder.h"
#include "support/places.h"

using namespace chainrule;

namespace {

std::string read_bytes(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

std::string file_of(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

template <typename Action>
std::string failure(const Action& action) {
  try {
    action();
  } catch (const FileError& error) {
    return error.what();
  }
  return "no error";
}

std::string refusal(const std::string& bytes) {
  return failure([&] { parse_safetensors(bytes, "m"); });
}

std::string refusal(const std::string& header, const std::string& data) {
  return refusal(file_of(header, data));
}

const std::string kGolden = source_path("tests/golden/by_hand.safetensors");

}  // namespace

TEST_CASE("tensors and metadata come back as they were saved") {
  const Folder folder;
  std::map<std::string, Tensor> tensors;
  tensors.emplace("w", Tensor::of<float>({2, 2}, {1, -0.0F, std::nanf(""), 1e-45F}));
  tensors.emplace("d", Tensor::of<double>({3}, {0.1, 1e300, -1.0 / 3}));
  tensors.emplace("i", Tensor::of<std::int32_t>({}, {-5}));
  tensors.emplace("empty", Tensor(DType::kF32, {0, 7}));
  const std::map<std::string, std::string> metadata = {{"model", "linear 3, \"relu\"\n"},
                                                       {"\xC3\xA9", ""}};
  save_safetensors(folder / "m.safetensors", tensors, metadata);
  CHECK(folder.files() == 1);
  const SafeTensors loaded = load_safetensors(folder / "m.safetensors");
  CHECK(loaded.metadata == metadata);
  REQUIRE(loaded.tensors.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const Tensor& other = loaded.tensors.at(name);
    CHECK(other.dtype() == tensor.dtype());
    CHECK(other.shape() == tensor.shape());
    CHECK(std::memcmp(other.data(), tensor.data(), tensor.bytes()) == 0);
  }
  save_safetensors(folder / "none.safetensors", {});
  CHECK(load_safetensors(folder / "none.safetensors").tensors.empty());
}

TEST_CASE("the written bytes are the format's, and the same each time") {
  const Folder folder;
  const std::map<std::string, Tensor> tensors = {{"a", Tensor::of<float>({1}, {1})},
                                                 {"b", Tensor::of<double>({1}, {2})}};
  save_safetensors(folder / "m", tensors, {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"b":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(read_bytes(folder / "m") ==
        file_of(padded, std::string("\0\0\0\0\0\0\0\x40\0\0\x80\x3F", 12)));
}

TEST_CASE("a file made by hand is read, half precision as f32") {
  const SafeTensors file = load_safetensors(kGolden);
  CHECK(file.metadata.at("made") == "by hand");
  CHECK(file.tensors.at("d").values<double>()[0] == 0.1);
  CHECK(file.tensors.at("f").shape() == Shape{2, 1});
  CHECK(file.tensors.at("f").values<float>()[1] == -2.0F);
  CHECK(file.tensors.at("i").values<std::int32_t>()[0] == -7);
  CHECK(file.tensors.at("none").shape() == Shape{0, 4});
  const Tensor& half = file.tensors.at("half");
  CHECK(half.shape() == Shape{2, 3});
  CHECK(half.values<float>()[0] == 1.0F);
  CHECK(half.values<float>()[1] == -2.0F);
  CHECK(half.values<float>()[2] == 0x1p-24F);
  CHECK(half.values<float>()[3] == 65504.0F);
  CHECK(half.values<float>()[4] == -std::numeric_limits<float>::infinity());
  CHECK(std::isnan(half.values<float>()[5]));
  CHECK(file.tensors.at("brain").values<float>()[0] == 1.5F);
  CHECK(file.tensors.at("brain").values<float>()[1] == -123.5F);
}

TEST_CASE("foreign and damaged files are refused in one clear line") {
  CHECK(refusal("") == "m: not a safetensors file");
  CHECK(refusal("PK\x03\x04 and so on and on") ==
        "m: not a safetensors file; it looks like a zip archive (.npz, .pt, .zip)");
  CHECK(refusal("\x80\x04\x95 a pickle of something") ==
        "m: not a safetensors file; it looks like a Python pickle");
  CHECK(refusal("\x93NUMPY\x01 and so on") ==
        "m: not a safetensors file; it looks like a NumPy .npy file");
  CHECK(refusal("a,b,c\n1,2,3\n4,5,6\n") == "m: not a safetensors file");
  CHECK(refusal(std::string("\x40\0\0\0\0\0\0\0{}", 10)) ==
        "m: truncated: expected a header of 64 bytes, got 2");
  CHECK(refusal(std::string("\0\0\0\0\0\0\0\x01{}", 10)) ==
        "m: a header of 72057594037927936 bytes; expected at most 100000000");
  CHECK(refusal("{\"a\":", "") == "m: the header is not valid JSON at byte 14");
  CHECK(refusal("{\"a\":1}", "") == "m: tensor \"a\": expected dtype, shape and data_offsets");
  CHECK(refusal("{\"__metadata__\":{\"a\":1}}", "") == "m: __metadata__ \"a\": expected a text");
  CHECK(failure([] { load_safetensors("/nonexistent/m"); }) ==
        "/nonexistent/m: cannot be opened: No such file or directory");
  CHECK(failure([] { load_safetensors("/tmp"); }) != "no error");
}

TEST_CASE("offsets and shapes that lie are refused") {
  const auto tensor = [](const std::string& name, const std::string& dtype,
                         const std::string& shape, const std::string& offsets) {
    return '"' + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape +
           "],\"data_offsets\":[" + offsets + "]}";
  };
  const std::string four(4, 'x');
  const std::string eight(8, 'x');
  const auto one = [&](const std::string& entry, const std::string& data) {
    return refusal('{' + entry + '}', data);
  };
  CHECK(one(tensor("a", "F32", "1", "0,4"), four) == "no error");
  CHECK(one(tensor("a", "F32", "1", "0,4"), "xxx") ==
        "m: truncated: expected 4 bytes of data, got 3");
  CHECK(one(tensor("a", "F32", "1", "0,4"), eight) == "m: expected 4 bytes of data, got 8");
  CHECK(one(tensor("a", "F32", "1", "4,8"), eight) ==
        "m: tensor \"a\" begins at byte 4 of the data; expected 0, the end of the one before");
  CHECK(one(tensor("a", "F32", "2", "0,4"), four) ==
        "m: tensor \"a\": expected 8 bytes for shape [2] of F32, got offsets 0 to 4");
  CHECK(one(tensor("a", "F32", "1", "4,0"), four) != "no error");
  CHECK(one(tensor("a", "F32", "-1", "0,4"), four) ==
        "m: tensor \"a\": expected extents that are whole numbers");
  CHECK(one(tensor("a", "F32", "1.5", "0,4"), four) != "no error");
  CHECK(one(tensor("a", "F32", "4294967296,4294967296", "0,4"), four) ==
        "m: tensor \"a\": shape [4294967296, 4294967296] has 1.84e+19 elements, more than any "
        "memory holds");
  CHECK(one(tensor("a", "F32", "4611686018427387904,4,0", "0,0"), "") != "no error");
  CHECK(one(tensor("a", "F32", "18446744073709551615", "0,4"), four) != "no error");
  CHECK(one(tensor("a", "I64", "1", "0,8"), eight) ==
        "m: tensor \"a\": dtype I64 is not supported; expected F32, F64, I32, F16 or BF16");
  CHECK(one(tensor("a", "F32", "1", "0,4") + ',' + tensor("b", "F32", "1", "0,4"), four) ==
        "m: tensor \"b\" begins at byte 0 of the data; expected 4, the end of the one before");
  CHECK(one(tensor("a", "F32", "1", "0,4") + ',' + tensor("a", "F32", "1", "4,8"), eight) ==
        "m: the header names \"a\" twice");
  CHECK(refusal('{' + std::string(100'000, '['), "") != "no error");
  CHECK(refusal("{\"a\":" + std::string(1'000'000, '['), "") != "no error");
}

TEST_CASE("every truncation and every damaged header byte loads or is refused") {
  const std::string whole =
      file_of(R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
              R"("b":{"dtype":"F16","shape":[1,1],"data_offsets":[8,10]}})",
              std::string(10, 'x'));
  REQUIRE(parse_safetensors(whole, "m").tensors.size() == 2);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(parse_safetensors(whole.substr(0, size), "m"), FileError);
  }
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), 8);
  int refused = 0;
  int loaded = 0;
  for (std::size_t at = 0; at < 8 + header; ++at) {
    for (int flip = 1; flip < 256; ++flip) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      try {
        loaded += parse_safetensors(damaged, "m").tensors.empty() ? 0 : 1;
      } catch (const FileError&) {
        ++refused;
      }
    }
  }
  // Damage in a name or in the metadata goes unseen, as the format has no checksum.
  CHECK(refused > 10 * loaded);
  CHECK(loaded > 0);
}

TEST_CASE("a file that cannot be written leaves the old one and nothing beside it") {
  const Folder folder;
  const std::map<std::string, Tensor> tensors = {{"a", Tensor::of<float>({1}, {1})}};
  CHECK(failure([&] { save_safetensors(folder / "absent/m", tensors); }) ==
        (folder / "absent/m") + ": cannot be written: there is no folder " + (folder / "absent"));
  std::filesystem::create_directory(folder / "m");
  CHECK(failure([&] { save_safetensors(folder / "m", tensors); }) ==
        (folder / "m") + ": cannot be written: it is a directory");
  CHECK(failure([&] { save_safetensors("/dev/null", tensors); }) ==
        "/dev/null: cannot be written: it is no regular file");
  save_safetensors(folder / "old", tensors);
  const std::string before = read_bytes(folder / "old");
  CHECK_THROWS_AS(save_safetensors(folder / "old", {{"__metadata__", Tensor()}}), UsageError);
  CHECK_THROWS_AS(save_safetensors(folder / "old", tensors, {{"k", "\xFF"}}), UsageError);
  CHECK(read_bytes(folder / "old") == before);
  CHECK(folder.files() == 2);
}
