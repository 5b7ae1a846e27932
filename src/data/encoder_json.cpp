// The encoder as JSON, for a model file's metadata. JSON numbers are written with the digits that
// read back exactly, so a loaded encoder gives the same bits as the one that was fitted.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

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

nlohmann::json json_of(const Scaling& scaling) { return {scaling.mean, scaling.scale}; }

Scaling scaling_of(const nlohmann::json& pair) {
  const Scaling scaling{pair.at(0).get<double>(), pair.at(1).get<double>()};
  if (!std::isfinite(scaling.mean) || !std::isfinite(scaling.scale) || scaling.scale == 0) {
    throw std::domain_error("a scale that is zero or not finite");
  }
  return scaling;
}

}  // namespace

std::string Encoder::to_json() const {
  nlohmann::ordered_json json;
  json["version"] = kVersion;
  json["task"] = task_ == Task::kClassification ? "classification" : "regression";
  json["target"] = {{"column", target_}, {"place", target_place_}};
  if (task_ == Task::kClassification) {
    json["target"]["classes"] = classes_;
  } else {
    json["target"]["scaling"] = json_of(target_scaling_);
  }
  if (kind_ != Kind::kTable) {
    json["of"] = kKinds[static_cast<std::size_t>(kind_)];
    json["example"] = example_;
    return json.dump();
  }
  json["columns"] = table_width_;
  json["missing"] = missing_;
  json["features"] = nlohmann::ordered_json::array();
  for (const Feature& feature : features_) {
    nlohmann::ordered_json entry = {{"column", feature.column}, {"place", feature.place}};
    if (feature.kind == ColumnKind::kText) {
      entry["categories"] = feature.categories;
    } else {
      entry["scaling"] = json_of(feature.scaling);
      entry["indicates_missing"] = feature.indicates_missing;
    }
    json["features"].push_back(std::move(entry));
  }
  return json.dump();
}

Encoder Encoder::from_json(const std::string& text, const std::string& source) {
  Encoder encoder;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    const int version = json.at("version").get<int>();
    if (version != kVersion) {
      throw std::domain_error("version " + std::to_string(version) + ", expected " +
                              std::to_string(kVersion));
    }
    const nlohmann::json& target = json.at("target");
    const std::string task = json.at("task").get<std::string>();
    if (task != "classification" && task != "regression") {
      throw std::domain_error("unknown task \"" + task + '"');
    }
    encoder.task_ = task == "regression" ? Task::kRegression : Task::kClassification;
    encoder.target_ = target.at("column").get<std::string>();
    encoder.target_place_ = target.at("place").get<std::size_t>();
    if (encoder.task_ == Task::kClassification) {
      encoder.classes_ = target.at("classes").get<std::vector<std::string>>();
    } else {
      encoder.target_scaling_ = scaling_of(target.at("scaling"));
    }
    if (json.contains("of")) {
      if (encoder.task_ != Task::kClassification) throw std::domain_error("no classes");
      const Kind kind = kind_of(json.at("of").get<std::string>());
      const Shape example = json.at("example").get<Shape>();
      if (kind == Kind::kImages) return of_images(example, std::move(encoder.classes_));
      return of_characters(kind, std::move(encoder.classes_), example.at(0));
    }
    encoder.table_width_ = json.at("columns").get<std::size_t>();
    encoder.missing_ = json.at("missing").get<std::vector<std::string>>();
    bool places_fit = encoder.target_place_ < encoder.table_width_;
    for (const nlohmann::json& entry : json.at("features")) {
      Feature& feature = encoder.features_.emplace_back();
      feature.column = entry.at("column").get<std::string>();
      feature.place = entry.at("place").get<std::size_t>();
      places_fit = places_fit && feature.place < encoder.table_width_;
      if (entry.contains("categories")) {
        feature.kind = ColumnKind::kText;
        feature.categories = entry.at("categories").get<std::vector<std::string>>();
        std::sort(feature.categories.begin(), feature.categories.end());
      } else {
        feature.scaling = scaling_of(entry.at("scaling"));
        feature.indicates_missing = entry.at("indicates_missing").get<bool>();
      }
    }
    if (!places_fit) throw std::domain_error("a column's place lies outside the table");
  } catch (const std::exception& error) {
    const std::string what = error.what();
    const std::size_t tag = what.starts_with('[') ? what.find("] ") : std::string::npos;
    throw FileError(source + ": the encoder cannot be read: " +
                        (tag == std::string::npos ? what : what.substr(tag + 2)),
                    source);
  }
  return encoder;
}

}  // namespace chainrule
