// The encoder as JSON, for a model file's metadata. JSON numbers are written with the digits that
// read back exactly, so a loaded encoder gives the same bits as the one that was fitted.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/json.h"
#include "chainrule/data.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

constexpr int kVersion = 1;
constexpr const char* kKinds[] = {"table", "images", "text", "words"};  // as Encoder::Kind

Encoder::Kind kind_of(const std::string& name) {
  for (std::size_t i = 1; i < std::size(kKinds); ++i) {
    if (name == kKinds[i]) return static_cast<Encoder::Kind>(i);
  }
  throw std::domain_error("unknown rows of \"" + name + '"');
}

bool is_usable(const Scaling& scaling) {
  return std::isfinite(scaling.mean) && std::isfinite(scaling.scale) && scaling.scale != 0;
}

// JSON has no infinity; a model file with one could never be read again.
Json json_of(const Scaling& scaling, const std::string& column) {
  if (!is_usable(scaling)) {
    throw DataError(
        "column \"" + column +
        "\": its scale is zero or not finite; its numbers are too large or too far apart");
  }
  return {scaling.mean, scaling.scale};
}

Scaling scaling_of(const Json& pair, const std::string& column) {
  Scaling scaling;
  try {
    scaling = {pair.at(0).get<double>(), pair.at(1).get<double>()};
  } catch (const JsonError& error) {
    throw std::domain_error("column \"" + column + "\": its mean and scale: " + error.what());
  }
  if (!is_usable(scaling)) {
    throw std::domain_error("column \"" + column + "\": a scale that is zero or not finite");
  }
  return scaling;
}

Shape shape_of(const Json& extents) {
  Shape shape = extents.get<Shape>();
  constexpr std::int64_t kMost = std::int64_t{1} << 28;
  const bool good =
      std::all_of(shape.begin(), shape.end(), [](std::int64_t n) { return n >= 1 && n <= kMost; });
  if (!good) throw std::domain_error("an example of shape " + to_string(shape));
  return shape;
}

std::vector<std::string> names_of(const Json& names, const std::string& column) {
  std::vector<std::string> texts = names.get<std::vector<std::string>>();
  if (texts.empty()) throw std::domain_error("column \"" + column + "\" has no values");
  return texts;
}

}  // namespace

std::string Encoder::to_json() const {
  const bool classifies = task_ == Task::kClassification;
  Json target = {{"column", target_}, {"place", target_place_}};
  if (classifies) {
    target.set("classes", classes_);
  } else {
    target.set("scaling", json_of(target_scaling_, target_));
  }
  Json json = {{"version", kVersion},
               {"task", classifies ? "classification" : "regression"},
               {"target", target}};
  if (kind_ != Kind::kTable) {
    json.set("of", kKinds[static_cast<std::size_t>(kind_)]);
    json.set("example", example_);
    return json.dump();
  }
  Json features = Json::array();
  for (const Feature& feature : features_) {
    Json entry = {{"column", feature.column}, {"place", feature.place}};
    if (feature.kind == ColumnKind::kText) {
      entry.set("categories", feature.categories);
    } else {
      entry.set("scaling", json_of(feature.scaling, feature.column));
      entry.set("indicates_missing", feature.indicates_missing);
    }
    features.push_back(entry);
  }
  json.set("columns", table_width_);
  json.set("missing", missing_);
  json.set("features", features);
  return json.dump();
}

Encoder Encoder::from_json(const std::string& text, const std::string& source) {
  Encoder encoder;
  try {
    const Json json = Json::parse(text);
    const int version = json.at("version").get<int>();
    if (version != kVersion) {
      throw std::domain_error("version " + std::to_string(version) + ", expected " +
                              std::to_string(kVersion));
    }
    const Json target = json.at("target");
    const std::string task = json.at("task").get<std::string>();
    if (task != "classification" && task != "regression") {
      throw std::domain_error("unknown task \"" + task + '"');
    }
    encoder.task_ = task == "regression" ? Task::kRegression : Task::kClassification;
    encoder.target_ = target.at("column").get<std::string>();
    encoder.target_place_ = target.at("place").get<std::size_t>();
    if (encoder.task_ == Task::kClassification) {
      encoder.classes_ = names_of(target.at("classes"), encoder.target_);
    } else {
      encoder.target_scaling_ = scaling_of(target.at("scaling"), encoder.target_);
    }
    if (json.contains("of")) {
      if (encoder.task_ != Task::kClassification) throw std::domain_error("no classes");
      const Kind kind = kind_of(json.at("of").get<std::string>());
      const Shape example = shape_of(json.at("example"));
      if (kind == Kind::kImages) return of_images(example, std::move(encoder.classes_));
      if (example.size() != 1) throw std::domain_error("characters in more than one dimension");
      return of_characters(kind, std::move(encoder.classes_), example[0]);
    }
    encoder.table_width_ = json.at("columns").get<std::size_t>();
    encoder.missing_ = json.at("missing").get<std::vector<std::string>>();
    bool places_fit = encoder.target_place_ < encoder.table_width_;
    for (const Json& entry : json.at("features").elements()) {
      Feature& feature = encoder.features_.emplace_back();
      feature.column = entry.at("column").get<std::string>();
      feature.place = entry.at("place").get<std::size_t>();
      places_fit = places_fit && feature.place < encoder.table_width_;
      if (entry.contains("categories")) {
        feature.kind = ColumnKind::kText;
        feature.categories = names_of(entry.at("categories"), feature.column);
        std::sort(feature.categories.begin(), feature.categories.end());
      } else {
        feature.scaling = scaling_of(entry.at("scaling"), feature.column);
        feature.indicates_missing = entry.at("indicates_missing").get<bool>();
      }
    }
    if (encoder.features_.empty()) throw std::domain_error("no column besides the target");
    if (!places_fit) throw std::domain_error("a column's place lies outside the table");
  } catch (const std::exception& error) {
    throw FileError(source + ": the encoder cannot be read: " + error.what(), source);
  }
  return encoder;
}

}  // namespace chainrule
