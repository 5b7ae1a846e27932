// Model files: safetensors with metadata. Reading trusts nothing: the network is built anew from
// its text, and every tensor must be there with the shape that follows.
#include "chainrule/model.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/format.h"
#include "base/json.h"
#include "chainrule/error.h"
#include "chainrule/safetensors.h"

namespace chainrule {
namespace {

constexpr const char* kFormatKey = "chainrule.format";
constexpr const char* kFormat = "1";

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw FileError(fmt::format("{}: {}", path, why), path);
}

const std::string& entry(const SafeTensors& file, const std::string& path, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) refuse(path, fmt::format("the metadata lack \"{}\"", key));
  return found->second;
}

template <typename T>
T json_entry(const SafeTensors& file, const std::string& path, const std::string& key) {
  try {
    return Json::parse(entry(file, path, key)).get<T>();
  } catch (const JsonError&) {
    refuse(path, fmt::format("the metadata's \"{}\" cannot be read; the file is damaged", key));
  }
}

void check_tensor(const std::string& path, const ParameterInfo& info, const Tensor& tensor) {
  if (tensor.dtype() != DType::kF32 || tensor.shape() != info.shape) {
    refuse(path, fmt::format("{}: expected f32 {}, got {} {}", info.name, to_string(info.shape),
                             to_string(tensor.dtype()), to_string(tensor.shape())));
  }
  const std::span<const float> values = tensor.values<float>();
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    refuse(path, fmt::format("{} holds NaN or infinity", info.name));
  }
}

void check_parameters(const std::string& path, const Model& model) {
  const std::vector<ParameterInfo> expected = model.network.parameters(model.input);
  for (const ParameterInfo& info : expected) {
    const auto found = model.parameters.find(info.name);
    if (found == model.parameters.end()) refuse(path, fmt::format("no tensor {}", info.name));
    check_tensor(path, info, found->second);
  }
  if (expected.size() != model.parameters.size()) {
    refuse(path, fmt::format("{} tensors, but the network \"{}\" has {}", model.parameters.size(),
                             model.network.to_text(), expected.size()));
  }
}

void check_ends(const std::string& path, const Model& model) {
  if (model.input != model.encoder.example_shape()) {
    refuse(path, fmt::format("the encoder gives rows of {}, the network takes {}",
                             to_string(model.encoder.example_shape()), to_string(model.input)));
  }
  if (model.network.output_shape(model.input) != model.encoder.output_shape()) {
    refuse(path, fmt::format("the network gives {} a row, the target needs {}",
                             to_string(model.network.output_shape(model.input)),
                             to_string(model.encoder.output_shape())));
  }
}

}  // namespace

void save_model(const std::string& path, const Model& model) {
  std::map<std::string, Tensor> tensors;
  for (const ParameterInfo& info : model.network.parameters(model.input)) {
    const auto found = model.parameters.find(info.name);
    if (found == model.parameters.end()) throw UsageError("save_model: no parameter " + info.name);
    tensors.emplace(info.name, found->second);
  }
  save_safetensors(path, tensors,
                   {{kFormatKey, kFormat},
                    {"network", model.network.to_text()},
                    {"input", Json(model.input).dump()},
                    {"encoder", model.encoder.to_json()},
                    {"labels", Json(model.encoder.classes()).dump()},
                    {"training", Json(model.training).dump()}});
}

Model load_model(const std::string& path) {
  SafeTensors file = load_safetensors(path);
  if (!file.metadata.contains(kFormatKey)) {
    refuse(path, "a safetensors file, but not one that chainrule train wrote");
  }
  if (file.metadata.at(kFormatKey) != kFormat) {
    refuse(path, fmt::format("model format {}, but this chainrule reads format {}",
                             file.metadata.at(kFormatKey), kFormat));
  }
  Model model;
  model.input = json_entry<Shape>(file, path, "input");
  model.training = json_entry<std::map<std::string, std::string>>(file, path, "training");
  model.encoder = Encoder::from_json(entry(file, path, "encoder"), path);
  if (json_entry<std::vector<std::string>>(file, path, "labels") != model.encoder.classes()) {
    refuse(path, "the labels differ from the encoder's classes");
  }
  model.parameters.insert(std::make_move_iterator(file.tensors.begin()),
                          std::make_move_iterator(file.tensors.end()));
  const std::string& network = entry(file, path, "network");
  try {
    model.network = Sequential::parse(network);
    check_ends(path, model);
    check_parameters(path, model);
  } catch (const FileError&) {
    throw;
  } catch (const Error& error) {
    refuse(path, fmt::format("the network \"{}\" cannot be built: {}", network, error.what()));
  }
  return model;
}

}  // namespace chainrule
