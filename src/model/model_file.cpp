// Model files: safetensors with metadata. Reading trusts nothing: the network is built anew from
// its text, and every tensor must be there with the shape that follows. Writing goes through the
// same checks, so that what is written can be read.
#include "chainrule/model.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/atomic_file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/printable.h"
#include "chainrule/error.h"
#include "chainrule/safetensors.h"
#include "interchange/digest.h"
#include "interchange/safetensors_file.h"

namespace chainrule {
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr const char* kFormatKey = "chainrule.format";
constexpr const char* kFormat = "1";
constexpr const char* kDigestKey = "chainrule.digest";
constexpr const char* kSaving = "the model cannot be saved";

// An example of more numbers is a damaged file; memory would be asked for it before a row is read.
constexpr std::int64_t kLargestExample = std::int64_t{1} << 28;

// `source` is the file that is read, or kSaving.
[[noreturn]] void refuse(const std::string& source, const std::string& why) {
  throw FileError(fmt::format("{}: {}", source, why), source);
}

// Whole, unless a file made it absurdly long.
std::string quoted_network(const std::string& network) {
  constexpr std::size_t kMost = 500;
  return '"' + printable(network, kMost) + '"';
}

const std::string& entry(const Metadata& metadata, const std::string& source, const char* key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) refuse(source, fmt::format("the metadata lack \"{}\"", key));
  return found->second;
}

template <typename T>
T json_entry(const Metadata& metadata, const std::string& source, const char* key) {
  try {
    return Json::parse(entry(metadata, source, key)).get<T>();
  } catch (const JsonError&) {
    refuse(source, fmt::format("the metadata's \"{}\" cannot be read; the file is damaged", key));
  }
}

Shape input_entry(const Metadata& metadata, const std::string& source) {
  Shape shape = json_entry<Shape>(metadata, source, "input");
  std::int64_t room = kLargestExample;
  for (const std::int64_t extent : shape) {
    if (extent < 1 || extent > room) {
      refuse(source, fmt::format("the metadata's \"input\": expected extents from 1 whose product "
                                 "is at most 2^28, got {}; the file is damaged",
                                 to_string(shape)));
    }
    room /= extent;
  }
  return shape;
}

void check_tensor(const std::string& source, const ParameterInfo& info, const Tensor& tensor) {
  if (tensor.dtype() != DType::kF32 || tensor.shape() != info.shape) {
    refuse(source, fmt::format("{}: expected f32 {}, got {} {}", info.name, to_string(info.shape),
                               to_string(tensor.dtype()), to_string(tensor.shape())));
  }
  const std::span<const float> values = tensor.values<float>();
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    refuse(source, fmt::format("{} holds NaN or infinity", info.name));
  }
}

void check_parameters(const std::string& source, const Model& model,
                      const std::map<std::string, Tensor>& tensors) {
  const std::vector<ParameterInfo> expected = model.network.parameters(model.input);
  for (const ParameterInfo& info : expected) {
    const auto found = tensors.find(info.name);
    if (found == tensors.end()) refuse(source, fmt::format("no tensor {}", info.name));
    check_tensor(source, info, found->second);
  }
  if (expected.size() != tensors.size()) {
    refuse(source, fmt::format("{} tensors, but the network {} has {}", tensors.size(),
                               quoted_network(model.network.to_text()), expected.size()));
  }
}

void check_ends(const std::string& source, const Model& model) {
  if (model.input != model.encoder.example_shape()) {
    refuse(source, fmt::format("the encoder gives rows of {}, the network takes {}",
                               to_string(model.encoder.example_shape()), to_string(model.input)));
  }
  if (model.network.output_shape(model.input) != model.encoder.output_shape()) {
    refuse(source, fmt::format("the network gives {} a row, the target needs {}",
                               to_string(model.network.output_shape(model.input)),
                               to_string(model.encoder.output_shape())));
  }
}

// Everything but the parameters, from metadata that fit together and, with the tensors, make a
// model. The one gate: Model::load reads through it, and save writes what passes it.
Model described(const SafeTensors& file, const std::string& source) {
  const Metadata& metadata = file.metadata;
  Model model;
  model.input = input_entry(metadata, source);
  model.training = json_entry<Metadata>(metadata, source, "training");
  model.encoder = Encoder::from_json(entry(metadata, source, "encoder"), source);
  if (json_entry<std::vector<std::string>>(metadata, source, "labels") != model.encoder.classes()) {
    refuse(source, "the labels differ from the encoder's classes");
  }
  const std::string& network = entry(metadata, source, "network");
  try {
    model.network = Sequential::parse(network);
    check_ends(source, model);
    check_parameters(source, model, file.tensors);
  } catch (const FileError&) {
    throw;
  } catch (const Error& error) {
    refuse(source, fmt::format("the network {} cannot be built: {}", quoted_network(network),
                               error.what()));
  }
  return model;
}

// ── writing ──────────────────────────────────────────────────────────────────

SafeTensors contents_of(const Model& model) {
  SafeTensors file;
  for (const ParameterInfo& info : model.network.parameters(model.input)) {
    const auto found = model.parameters.find(info.name);
    if (found == model.parameters.end()) {
      throw UsageError(fmt::format("{}: no parameter {}", kSaving, info.name));
    }
    file.tensors.emplace(info.name, found->second);
  }
  try {
    file.metadata = {{kFormatKey, kFormat},
                     {"network", model.network.to_text()},
                     {"input", Json(model.input).dump()},
                     {"encoder", model.encoder.to_json()},
                     {"labels", Json(model.encoder.classes()).dump()},
                     {"training", Json(model.training).dump()}};
    described(file, kSaving);
  } catch (const JsonError&) {
    throw UsageError(
        fmt::format("{}: expected names and options in UTF-8, got other bytes", kSaving));
  } catch (const FileError& error) {
    throw UsageError(error.what());
  }
  file.metadata.emplace(kDigestKey, content_digest(file.tensors, file.metadata));
  return file;
}

// ── reading ──────────────────────────────────────────────────────────────────

void check_format(const Metadata& metadata, const std::string& path) {
  const auto format = metadata.find(kFormatKey);
  if (format == metadata.end()) {
    refuse(path, "a safetensors file, but not one that chainrule train wrote");
  }
  if (format->second != kFormat) {
    refuse(path, fmt::format("model format {}, but this chainrule reads format {}", format->second,
                             kFormat));
  }
}

// Takes the digest out of the metadata. False when there is none.
bool check_digest(SafeTensors& file, const std::string& path) {
  const auto digest = file.metadata.extract(kDigestKey);
  if (digest.empty()) return false;
  if (digest.mapped() != content_digest(file.tensors, file.metadata)) {
    refuse(path,
           "damaged, or changed by another program: the contents do not match the digest that was "
           "written with them; take a whole copy, or train it anew");
  }
  return true;
}

}  // namespace

void Model::save(const std::string& path) const {
  const SafeTensors file = contents_of(*this);
  save_safetensors(path, file.tensors, file.metadata);
}

void Model::check_saving(const std::string& path) const {
  const SafeTensors file = contents_of(*this);
  AtomicFile rehearsal(path);
  write_safetensors(rehearsal, file.tensors, file.metadata);
}

Model Model::load(const std::string& path) {
  SafeTensors file = load_safetensors(path);
  check_format(file.metadata, path);
  const bool verified = check_digest(file, path);
  Model model = described(file, path);
  model.verified = verified;
  model.parameters.insert(std::make_move_iterator(file.tensors.begin()),
                          std::make_move_iterator(file.tensors.end()));
  return model;
}

}  // namespace chainrule
