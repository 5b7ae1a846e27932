#include "chainrule/model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "chainrule/error.h"
#include "chainrule/safetensors.h"
#include "support/folder.h"

using namespace chainrule;

namespace {

Model iris_model() {
  const Table table = builtin("iris");
  Model model("linear 5, relu, linear 3");
  model.input = {4};
  model.encoder = Encoder::fit(table, all_rows(150), {.target = "species"});
  model.parameters = initialize(model.network, {4}, 1);
  model.training = {{"data", "iris"}, {"epochs", "3"}};
  return model;
}

std::string refusal(const std::string& path) {
  try {
    Model::load(path);
  } catch (const FileError& error) {
    CHECK(error.file == path);
    return error.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a model file gives back the same model") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  const Model model = iris_model();
  model.save(path);
  const Model loaded = Model::load(path);
  CHECK(loaded.network == model.network);
  CHECK(loaded.input == model.input);
  CHECK(loaded.training == model.training);
  CHECK(loaded.verified);
  CHECK(loaded.encoder.to_json() == model.encoder.to_json());
  REQUIRE(loaded.parameters.size() == 4);
  for (const auto& [name, tensor] : model.parameters) {
    CHECK(std::ranges::equal(loaded.parameters.at(name).values<float>(), tensor.values<float>()));
  }
}

TEST_CASE("a model file is checked against its digest; one without is read, and says so") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  iris_model().save(path);
  CHECK(Model::load(path).verified);
  SafeTensors file = load_safetensors(path);
  file.metadata["training"] = "{\"epochs\":\"4\"}";
  save_safetensors(path, file.tensors, file.metadata);
  CHECK(contains(refusal(path), "do not match the digest"));
  file.metadata.erase("chainrule.digest");
  save_safetensors(path, file.tensors, file.metadata);
  CHECK_FALSE(Model::load(path).verified);
  CHECK_FALSE(iris_model().verified);
}

TEST_CASE("the digest is one of the contents, however another program lays them out") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  iris_model().save(path);
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  std::string text = bytes.str();
  text.insert(9, 8, ' ');  // blanks behind the header's "{"
  text[0] = static_cast<char>(text[0] + 8);
  REQUIRE(static_cast<unsigned char>(text[0]) >= 8);
  std::ofstream(path, std::ios::binary) << text;
  CHECK(Model::load(path).verified);
}

TEST_CASE("every flipped bit of a model file is refused or changes nothing") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  Model model = iris_model();
  model.network = Sequential::parse("linear 3");
  model.parameters = initialize(model.network, {4}, 1);
  model.save(path);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path));
  const auto put = [&](std::streamoff at, char byte) {
    file.seekp(at);
    file.put(byte);
    file.flush();
  };
  const auto is_the_same = [&](const Model& loaded) {
    return loaded.network == model.network && loaded.input == model.input &&
           loaded.training == model.training &&
           loaded.encoder.to_json() == model.encoder.to_json() &&
           std::ranges::all_of(model.parameters, [&](const auto& entry) {
             return std::ranges::equal(loaded.parameters.at(entry.first).template values<float>(),
                                       entry.second.template values<float>());
           });
  };
  std::int64_t refused = 0;
  std::int64_t harmless = 0;
  for (std::streamoff at = 0; at < size; ++at) {
    file.seekg(at);
    const char whole = static_cast<char>(file.get());
    for (int bit = 0; bit < 8; ++bit) {
      put(at, static_cast<char>(whole ^ (1 << bit)));
      try {
        const bool same = is_the_same(Model::load(path));
        if (!same) FAIL_CHECK("bit ", bit, " of byte ", at, " changes the model");
        ++harmless;
      } catch (const FileError&) {
        ++refused;
      }
    }
    put(at, whole);
  }
  CHECK(refused + harmless == 8 * size);
  // What may differ is where blanks stand and the name under which the digest is looked for.
  CHECK(harmless < 200);
  CHECK(Model::load(path).verified);
}

TEST_CASE("what load would refuse is not written, and what stood there stays") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  iris_model().save(path);
  const auto refused = [&](auto change, const std::string& part) {
    Model bad = iris_model();
    change(bad);
    for (const auto save : {&Model::save, &Model::check_saving}) {
      try {
        (bad.*save)(path);
        FAIL_CHECK("written: ", part);
      } catch (const Error& error) {
        CHECK(contains(error.what(), part));
      }
    }
    CHECK(Model::load(path).parameters.size() == 4);
    CHECK(folder.files() == 1);
  };
  refused(
      [](Model& m) {
        m.network = Sequential::parse("linear 5, relu, linear 2");
        m.parameters = initialize(m.network, {4}, 1);
      },
      "the network gives [2] a row, the target needs [3]");
  refused([](Model& m) { m.network = Sequential::parse("linear 6, relu, linear 3"); },
          "expected f32 [4, 6], got f32 [4, 5]");
  refused([](Model& m) { m.input = {5}; }, "the encoder gives rows of [4], the network takes [5]");
  refused([](Model& m) { m.parameters.erase("1.bias"); }, "no parameter 1.bias");
  refused([](Model& m) { m.parameters.at("1.bias") = Tensor(DType::kF64, {5}); },
          "expected f32 [5], got f64 [5]");
  refused(
      [](Model& m) {
        m.parameters.at("1.bias").values<float>()[0] = std::numeric_limits<float>::infinity();
      },
      "1.bias holds NaN or infinity");
  refused([](Model& m) { m.training["data"] = "caf\xE9"; }, "expected names and options in UTF-8");
}

TEST_CASE("a rehearsal of saving leaves nothing") {
  const Folder folder;
  iris_model().check_saving(folder / "m.safetensors");
  CHECK(folder.files() == 0);
  CHECK_THROWS_AS(iris_model().check_saving(folder / "none/m"), FileError);
}

TEST_CASE("what is no model of ours is refused by name") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  CHECK(contains(refusal(path), path));

  std::ofstream(path) << "not a model";
  CHECK(contains(refusal(path), path));

  save_safetensors(path, {{"w", Tensor(DType::kF32, {2})}}, {{"format", "pt"}});
  CHECK(refusal(path) == path + ": a safetensors file, but not one that chainrule train wrote");

  iris_model().save(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 7);
  CHECK(contains(refusal(path), path));
}

TEST_CASE("a model file whose parts do not fit together is refused") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  iris_model().save(path);
  SafeTensors good = load_safetensors(path);
  good.metadata.erase("chainrule.digest");
  const auto refused = [&](auto change, const std::string& part) {
    SafeTensors bad = good;
    change(bad);
    save_safetensors(path, bad.tensors, bad.metadata);
    CHECK(contains(refusal(path), part));
  };
  refused([](SafeTensors& f) { f.metadata["chainrule.format"] = "99"; }, "model format 99");
  refused([](SafeTensors& f) { f.metadata.erase("encoder"); }, "the metadata lack \"encoder\"");
  refused([](SafeTensors& f) { f.metadata["encoder"] = "{"; }, path);
  refused([](SafeTensors& f) { f.metadata["input"] = "[5]"; }, "the encoder gives rows of [4]");
  for (const char* input : {"[0]", "[-4]", "[4.5]", "[1e300]", "[4294967296]", "[65536,65536]",
                            "[8,2147483648,1073741824]"}) {
    CAPTURE(input);
    refused([&](SafeTensors& f) { f.metadata["input"] = input; }, "the file is damaged");
  }
  refused([](SafeTensors& f) { f.metadata["input"] = "x"; }, "the file is damaged");
  refused([](SafeTensors& f) { f.metadata["labels"] = "[\"a\"]"; }, "labels");
  refused([](SafeTensors& f) { f.metadata["network"] = "linear 5, rellu, linear 3"; },
          "unknown layer \"rellu\"");
  refused([](SafeTensors& f) { f.metadata["network"] = "linear 5, relu, linear 4"; }, "gives [4]");
  refused([](SafeTensors& f) { f.metadata["network"] = "linear 6, relu, linear 3"; },
          "expected f32 [4, 6], got f32 [4, 5]");
  // Four elements, modulo 2⁶⁴.
  refused(
      [](SafeTensors& f) {
        f.metadata["network"] = "reshape 4x5x5581x8681x49477x384773, flatten, linear 3";
      },
      "has 1.84e+19 elements, more than any memory holds");
  refused(
      [](SafeTensors& f) {
        f.metadata["input"] = "[8,2147483648,1073741824]";
        f.metadata["encoder"] =
            R"({"version":1,"task":"classification","target":{"column":"label","place":0,)"
            R"("classes":["setosa","versicolor","virginica"]},"of":"images",)"
            R"("example":[8,2147483648,1073741824]})";
      },
      "whose product is at most 2^28");
  refused([](SafeTensors& f) { f.tensors.erase("3.bias"); }, "no tensor 3.bias");
  refused([](SafeTensors& f) { f.tensors.emplace("extra", Tensor(DType::kF32, {1})); },
          "5 tensors, but the network");
  refused(
      [](SafeTensors& f) {
        f.tensors.at("3.bias").values<float>()[0] = std::numeric_limits<float>::quiet_NaN();
      },
      "3.bias holds NaN or infinity");
}
