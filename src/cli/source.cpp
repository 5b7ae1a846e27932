// What train, evaluate and predict share: reading rows, applying a model, printing a result.
#include "cli/source.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "base/nearest.h"
#include "chainrule/error.h"
#include "chainrule/images.h"
#include "chainrule/text.h"
#include "cli/output.h"
#include "cli/stage.h"

namespace chainrule::cli {

bool is_builtin(const std::string& name) {
  const std::vector<std::string> names = builtin_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

Table load_table(const std::string& name, const CsvOptions& options) {
  if (is_builtin(name)) return builtin(name);
  if (name == "-") return read_csv(kStandardInput, options);
  const bool looks_like_a_path = name.find_first_of("./\\") != std::string::npos;
  if (!looks_like_a_path && !std::filesystem::exists(name)) {
    throw UsageError("no such file, and " +
                     unknown_name("built-in data set", name, builtin_names()));
  }
  if (std::filesystem::is_directory(name)) {
    throw UsageError(file_name(name) +
                     ": a folder without images; expected a CSV file, a built-in data set, or a "
                     "folder with files such as train-images-idx3-ubyte");
  }
  return read_csv(name, options);
}

std::string read_program(const std::string& name) {
  constexpr std::uint64_t kMost = 16'000'000;
  return read_file(name == "-" ? kStandardInput : name,
                   {.text = "a Python file with a forward pass in NumPy", .most = kMost});
}

namespace {

// The images of `name` and, where they are needed, their labels.
std::pair<std::string, std::string> image_files_for(const std::string& name, bool labels) {
  const std::optional<IdxFiles> files = find_idx_files(name);
  if (!files) {
    // A file of any name may hold images, but where its labels are nobody knows.
    if (!labels && std::filesystem::exists(name)) return {name, ""};
    throw UsageError(
        fmt::format("{}: the model was trained on images; expected a folder with files such as "
                    "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, or the file of images",
                    name));
  }
  const bool test = !files->test_images.empty();
  const std::string& images = test ? files->test_images : files->train_images;
  const std::string& with = test ? files->test_labels : files->train_labels;
  if (labels && with.empty()) {
    throw UsageError(fmt::format("{}: no file of labels beside it", images));
  }
  return {images, with};
}

void require_shape(const Model& model, const std::string& name, const Tensor& x) {
  const Shape got(x.shape().begin() + 1, x.shape().end());
  if (got != model.input) {
    throw DataError(fmt::format("{}: images of {}, but the model was trained on images of {}", name,
                                to_string(got), to_string(model.input)),
                    name);
  }
}

}  // namespace

Dataset load_dataset_for(const Model& model, const std::string& name, const CsvOptions& csv) {
  const Encoder& encoder = model.encoder;
  const std::string path = name == "-" ? kStandardInput : name;
  switch (encoder.kind()) {
    case Encoder::Kind::kTable: {
      const Table table = load_table(name, csv);
      return encoder.encode(table, all_rows(table.rows()));
    }
    case Encoder::Kind::kImages: {
      const auto [images, labels] = image_files_for(name, true);
      Dataset data = read_idx_dataset(images, labels, encoder.classes());
      require_shape(model, images, data.x);
      return data;
    }
    case Encoder::Kind::kText:
      return text_windows(encode_text(read_text(path), encoder.classes(), name), encoder.classes(),
                          model.input[0], 0, name);
    case Encoder::Kind::kWords:
      return word_contexts(read_words(path), encoder.classes(), model.input[0]);
  }
  throw Error("unknown kind of rows");
}

Tensor load_features_for(const Model& model, const std::string& name, const CsvOptions& csv) {
  if (model.encoder.kind() == Encoder::Kind::kImages) {
    const std::string images = image_files_for(name, false).first;
    Tensor x = read_idx_images(images);
    require_shape(model, images, x);
    return x;
  }
  if (model.encoder.kind() != Encoder::Kind::kTable) {
    throw UsageError(
        "a model of characters answers no rows; chainrule generate lets it write, evaluate "
        "measures it");
  }
  const Table table = load_table(name, csv);
  return model.encoder.features(table, all_rows(table.rows()));
}

Model read_model(const std::string& path) {
  Model model = stage("reading the model " + path, [&] { return load_model(path); });
  if (!model.verified) {
    note(path +
         ": a model file without a digest, written by an older chainrule; damage to it would go "
         "unnoticed");
  }
  return model;
}

Tensor apply_model(const Model& model, const Tensor& x,
                   const std::shared_ptr<cpu::ThreadPool>& threads, const std::string& source) {
  return stage("applying the model to " + source, [&] {
    auto parameters = std::make_shared<Parameters>();
    for (const auto& [name, tensor] : model.parameters) parameters->set(name, tensor);
    Predictor predict(model.network, model.input, parameters, threads);
    Tensor y = predict(x);
    try {
      require_finite_outputs(y);
    } catch (const DataError& error) {
      throw DataError(
          fmt::format("{}: {}; its numbers or the weights are too large", source, error.what()),
          source);
    }
    return y;
  });
}

std::string metrics_text(const Metrics& metrics, const Encoder& encoder) {
  if (encoder.task() == Task::kRegression) {
    const double unit = encoder.original_units(1) - encoder.original_units(0);
    if (!std::isfinite(metrics.rmse * unit)) {
      throw DataError("the error in the target's units is not finite: its numbers are too large");
    }
    return fmt::format("RMSE {:.5g} (R² {:.4f}) on {} rows", metrics.rmse * unit, metrics.r2,
                       grouped(metrics.rows));
  }
  if (encoder.kind() == Encoder::Kind::kText || encoder.kind() == Encoder::Kind::kWords) {
    const std::int64_t places =
        metrics.rows * (encoder.kind() == Encoder::Kind::kText ? encoder.example_shape()[0] : 1);
    return fmt::format("loss {:.4f} a character, accuracy {:.2f} % on {} characters", metrics.loss,
                       100 * metrics.accuracy, grouped(places));
  }
  const auto right = std::llround(metrics.accuracy * static_cast<double>(metrics.rows));
  return fmt::format("accuracy {:.2f} % ({} of {}), loss {:.4f}", 100 * metrics.accuracy,
                     grouped(right), grouped(metrics.rows), metrics.loss);
}

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::int64_t sign = number < 0 ? 1 : 0;
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > sign; at -= 3) {
    text.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return text;
}

}  // namespace chainrule::cli
