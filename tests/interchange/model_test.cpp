#include "chainrule/model.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "chainrule/error.h"
#include "chainrule/safetensors.h"

using namespace chainrule;

namespace {

// A folder that goes away with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "chainrule-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

Model iris_model() {
  const Table table = builtin("iris");
  Model model;
  model.network = Sequential::parse("linear 5, relu, linear 3");
  model.input = {4};
  model.encoder = Encoder::fit(table, all_rows(150), {.target = "species"});
  model.parameters = initialize(model.network, {4}, 1);
  model.training = {{"data", "iris"}, {"epochs", "3"}};
  return model;
}

std::string refusal(const std::string& path) {
  try {
    load_model(path);
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
  save_model(path, model);
  const Model loaded = load_model(path);
  CHECK(loaded.network == model.network);
  CHECK(loaded.input == model.input);
  CHECK(loaded.training == model.training);
  CHECK(loaded.encoder.to_json() == model.encoder.to_json());
  REQUIRE(loaded.parameters.size() == 4);
  for (const auto& [name, tensor] : model.parameters) {
    CHECK(std::ranges::equal(loaded.parameters.at(name).values<float>(), tensor.values<float>()));
  }
}

TEST_CASE("what is no model of ours is refused by name") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  CHECK(contains(refusal(path), path));

  std::ofstream(path) << "not a model";
  CHECK(contains(refusal(path), path));

  save_safetensors(path, {{"w", Tensor(DType::kF32, {2})}}, {{"format", "pt"}});
  CHECK(refusal(path) == path + ": a safetensors file, but not one that chainrule train wrote");

  save_model(path, iris_model());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 7);
  CHECK(contains(refusal(path), path));
}

TEST_CASE("a model file whose parts do not fit together is refused") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  save_model(path, iris_model());
  const SafeTensors good = load_safetensors(path);
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
  refused([](SafeTensors& f) { f.metadata["input"] = "x"; }, "the file is damaged");
  refused([](SafeTensors& f) { f.metadata["labels"] = "[\"a\"]"; }, "labels");
  refused([](SafeTensors& f) { f.metadata["network"] = "linear 5, rellu, linear 3"; },
          "unknown layer \"rellu\"");
  refused([](SafeTensors& f) { f.metadata["network"] = "linear 5, relu, linear 4"; }, "gives [4]");
  refused([](SafeTensors& f) { f.metadata["network"] = "linear 6, relu, linear 3"; },
          "expected f32 [4, 6], got f32 [4, 5]");
  // So many elements that their product has none, or four, of the 64 bits left.
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
      "more than any memory holds");
  refused([](SafeTensors& f) { f.tensors.erase("3.bias"); }, "no tensor 3.bias");
  refused([](SafeTensors& f) { f.tensors.emplace("extra", Tensor(DType::kF32, {1})); },
          "5 tensors, but the network");
  refused(
      [](SafeTensors& f) {
        f.tensors.at("3.bias").values<float>()[0] = std::numeric_limits<float>::quiet_NaN();
      },
      "3.bias holds NaN or infinity");
}
