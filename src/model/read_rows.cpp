// Rows of another file, read as the encoder's training data were.
#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/images.h"
#include "chainrule/open_data.h"
#include "chainrule/text.h"
#include "model/tables.h"

namespace chainrule {
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

void require_shape(const Encoder& encoder, const std::string& name, const Tensor& x) {
  const Shape got(x.shape().begin() + 1, x.shape().end());
  if (got != encoder.example_shape()) {
    throw DataError(fmt::format("{}: images of {}, but the model was trained on images of {}", name,
                                to_string(got), to_string(encoder.example_shape())),
                    name);
  }
}

CsvOptions csv_options(const Encoder& encoder, const ReadingOptions& options) {
  CsvOptions csv = encoder.csv_options();
  csv.missing.insert(csv.missing.end(), options.missing.begin(), options.missing.end());
  csv.header = options.header;
  return csv;
}

void require_fitting_options(const Encoder& encoder, const ReadingOptions& options) {
  const bool says = !options.missing.empty() || options.header != Header::kAuto;
  if (says && encoder.kind() != Encoder::Kind::kTable) {
    throw UsageError("--missing and --header are for tables; the model was trained on other data");
  }
}

}  // namespace

Dataset read_dataset(const Encoder& encoder, const std::string& path,
                     const ReadingOptions& options) {
  require_fitting_options(encoder, options);
  switch (encoder.kind()) {
    case Encoder::Kind::kTable: {
      const Table table = load_table(path, csv_options(encoder, options));
      return encoder.encode(table, all_rows(table.rows()));
    }
    case Encoder::Kind::kImages: {
      const auto [images, labels] = image_files_for(path, true);
      Dataset data = read_idx_dataset(images, labels, encoder.classes());
      require_shape(encoder, images, data.x);
      return data;
    }
    case Encoder::Kind::kText:
      return text_windows(encode_text(read_text(readable(path)), encoder.classes(), path),
                          encoder.classes(), encoder.example_shape()[0], 0, path);
    case Encoder::Kind::kWords:
      return word_contexts(read_words(readable(path)), encoder.classes(),
                           encoder.example_shape()[0]);
  }
  throw Error("unknown kind of rows");
}

Tensor read_features(const Encoder& encoder, const std::string& path,
                     const ReadingOptions& options) {
  require_fitting_options(encoder, options);
  if (encoder.kind() == Encoder::Kind::kImages) {
    const std::string images = image_files_for(path, false).first;
    Tensor x = read_idx_images(images);
    require_shape(encoder, images, x);
    return x;
  }
  if (encoder.kind() != Encoder::Kind::kTable) {
    throw UsageError(
        "a model of characters answers no rows; chainrule generate lets it write, evaluate "
        "measures it");
  }
  const Table table = load_table(path, csv_options(encoder, options));
  return encoder.features(table, all_rows(table.rows()));
}

}  // namespace chainrule
