// Learns from the training rows how raw columns become numbers, and applies it to any rows. What is
// learned is a handful of numbers and names a column, which encoder_json.cpp writes into a model
// file.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/nearest.h"
#include "chainrule/data.h"
#include "chainrule/error.h"
#include "chainrule/numpy_format.h"
#include "data/targets.h"

namespace chainrule {
namespace {

constexpr std::size_t kManyCategories = 50;

std::string count_text(std::size_t count, const std::string& what) {
  return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

[[noreturn]] void fail(const Table& table, const std::string& column, const std::string& message) {
  throw DataError(table.source + ": column \"" + column + "\" " + message, table.source);
}

// Mean and deviation in two passes, the missing cells left out.
struct Moments {
  double mean = 0;
  double deviation = 0;
  std::size_t count = 0;
  bool constant = true;
};

Moments moments_of(const Column& column, std::span<const std::int64_t> rows) {
  Moments m;
  double first = 0;
  for (const std::int64_t row : rows) {
    const double x = column.numbers[static_cast<std::size_t>(row)];
    if (std::isnan(x)) continue;
    if (m.count++ == 0) first = x;
    m.constant = m.constant && x == first;
    m.mean += (x - m.mean) / static_cast<double>(m.count);
  }
  double squares = 0;
  for (const std::int64_t row : rows) {
    const double x = column.numbers[static_cast<std::size_t>(row)];
    if (!std::isnan(x)) squares += (x - m.mean) * (x - m.mean);
  }
  if (m.count > 0) m.deviation = std::sqrt(squares / static_cast<double>(m.count));
  return m;
}

Scaling scaling_of(const Moments& m) { return {m.mean, m.deviation > 0 ? m.deviation : 1.0}; }

[[noreturn]] void fail_constant(const Table& table, const Column& column, std::int64_t row,
                                std::size_t rows) {
  fail(table, column.name,
       "is constant (\"" + cell_text(column, row) + "\" in all " +
           count_text(rows, "training row") + "); remove it or pass --drop " + column.name);
}

}  // namespace

// ── fitting ──────────────────────────────────────────────────────────────────

Encoder Encoder::fit(const Table& table, std::span<const std::int64_t> rows,
                     const EncoderOptions& options) {
  if (rows.empty()) {
    throw DataError(table.source + ": no training rows; expected at least one", table.source);
  }
  Encoder encoder;
  encoder.target_place_ = table.index_of(options.target);
  encoder.table_width_ = table.columns.size();
  encoder.missing_ = options.missing;
  const Column& target = table.columns[encoder.target_place_];
  encoder.target_ = target.name;
  encoder.task_ = task_of(target, options.task);
  std::set<std::size_t> left_out = {encoder.target_place_};
  for (const std::string& name : options.drop) {
    const std::size_t index = table.index_of(name);
    if (index == encoder.target_place_) {
      throw UsageError(table.source + ": column \"" + name +
                       "\" is the target, which --drop cannot "
                       "leave out");
    }
    left_out.insert(index);
  }
  if (encoder.task_ == Task::kClassification) {
    encoder.fit_classes(table, target, rows);
  } else {
    encoder.fit_target_scaling(table, target, rows);
  }
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (left_out.contains(i)) continue;
    const Column& column = table.columns[i];
    Feature feature = column.kind == ColumnKind::kNumber ? fit_number(table, column, rows)
                                                         : fit_text(table, column, rows);
    feature.column = column.name;
    feature.place = i;
    feature.kind = column.kind;
    encoder.features_.push_back(std::move(feature));
  }
  if (encoder.features_.empty()) {
    throw DataError(table.source + ": no column besides the target \"" + encoder.target_ +
                        "\"; expected at least one to learn from",
                    table.source);
  }
  return encoder;
}

Encoder::Feature Encoder::fit_number(const Table& table, const Column& column,
                                     std::span<const std::int64_t> rows) {
  Feature feature;
  const Moments m = moments_of(column, rows);
  feature.indicates_missing = m.count < rows.size();
  feature.scaling = column.scaling.value_or(scaling_of(m));
  if (m.count == 0) {
    fail(table, column.name,
         "has no value in " + count_text(rows.size(), "training row") +
             "; remove it or pass --drop " + column.name);
  }
  if (m.constant && !feature.indicates_missing && !column.scaling) {
    fail_constant(table, column, rows[0], rows.size());
  }
  return feature;
}

Encoder::Feature Encoder::fit_text(const Table& table, const Column& column,
                                   std::span<const std::int64_t> rows) {
  std::set<std::string> seen;
  for (const std::int64_t row : rows) seen.insert(cell_text(column, row));
  if (seen.size() == 1) fail_constant(table, column, rows[0], rows.size());
  if (seen.size() > kManyCategories && 2 * seen.size() > rows.size()) {
    fail(table, column.name,
         "is text with " + std::to_string(seen.size()) + " different values in " +
             count_text(rows.size(), "training row") + "; remove it or pass --drop " + column.name);
  }
  Feature feature;
  feature.categories.assign(seen.begin(), seen.end());
  return feature;
}

void Encoder::fit_classes(const Table& table, const Column& column,
                          std::span<const std::int64_t> rows) {
  std::vector<std::string> labels;
  for (const std::int64_t row : rows) {
    if (is_missing(column, row)) {
      throw DataError(place_of(table, row) + ": the target \"" + column.name +
                          "\" is missing; "
                          "remove the row",
                      table.source, line_of(table, row));
    }
    labels.push_back(cell_text(column, row));
  }
  classes_ = sorted_classes(labels, column.kind == ColumnKind::kNumber);
  if (classes_.size() == 1) {
    fail(table, column.name,
         "holds one class only (\"" + classes_[0] + "\" in all " +
             count_text(rows.size(), "training row") + "); a classifier needs at least two");
  }
  if (classes_.size() > kManyCategories && 2 * classes_.size() > rows.size()) {
    fail(table, column.name,
         "holds " + std::to_string(classes_.size()) + " different classes in " +
             count_text(rows.size(), "training row") + "; choose another target");
  }
}

void Encoder::fit_target_scaling(const Table& table, const Column& column,
                                 std::span<const std::int64_t> rows) {
  if (column.kind == ColumnKind::kText) {
    fail(table, column.name, "is text; regression expects a target of numbers");
  }
  for (const std::int64_t row : rows) number_of(table, column, row);
  const Moments m = moments_of(column, rows);
  if (m.constant) {
    fail(table, column.name,
         "is constant (" + python_repr(m.mean) + " in all " +
             count_text(rows.size(), "training row") + "); there is nothing to learn");
  }
  target_scaling_ = scaling_of(m);
}

Encoder Encoder::of_images(Shape example, std::vector<std::string> classes) {
  if (example.size() != 3) {
    throw ShapeError("images: expected a shape [H, W, C], got " + to_string(example));
  }
  Encoder encoder;
  encoder.kind_ = Kind::kImages;
  encoder.example_ = std::move(example);
  encoder.target_ = "label";
  encoder.classes_ = std::move(classes);
  return encoder;
}

Encoder Encoder::of_characters(Kind kind, std::vector<std::string> vocabulary,
                               std::int64_t context) {
  if (context < 1) {
    throw UsageError("expected a context of at least one character, got " +
                     std::to_string(context));
  }
  Encoder encoder;
  encoder.kind_ = kind;
  encoder.example_ = {context};
  encoder.target_ = "character";
  encoder.classes_ = std::move(vocabulary);
  return encoder;
}

Shape Encoder::example_shape() const {
  if (kind_ != Kind::kTable) return example_;
  return {static_cast<std::int64_t>(feature_names().size())};
}

Shape Encoder::output_shape() const {
  const auto outputs = static_cast<std::int64_t>(std::max<std::size_t>(classes_.size(), 1));
  return kind_ == Kind::kText ? Shape{example_[0], outputs} : Shape{outputs};
}

// ── applying ─────────────────────────────────────────────────────────────────

// A column by its name; without a header by its place, in a table of all columns, of all but the
// target, or of the features only.
const Column& Encoder::find(const Table& table, const std::string& name, std::size_t place) const {
  for (const Column& column : table.columns) {
    if (column.name == name && table.has_header) return column;
  }
  if (table.has_header) {
    std::vector<std::string> names;
    for (const Column& column : table.columns) names.push_back(column.name);
    throw DataError(table.source + ": no column \"" + name +
                        "\", which the model was trained on; "
                        "the columns are " +
                        quoted_list(names),
                    table.source);
  }
  const std::size_t width = table.columns.size();
  if (width == table_width_) return table.columns[place];
  if (place != target_place_ && width == table_width_ - 1) {
    return table.columns[place - (place > target_place_ ? 1 : 0)];
  }
  if (place != target_place_ && width == features_.size()) {
    const auto before = std::count_if(features_.begin(), features_.end(),
                                      [&](const Feature& f) { return f.place < place; });
    return table.columns[static_cast<std::size_t>(before)];
  }
  throw DataError(table.source + ": a file without a header; expected the " +
                      std::to_string(table_width_) + " columns of the training file, got " +
                      std::to_string(width),
                  table.source);
}

Tensor Encoder::features(const Table& table, std::span<const std::int64_t> rows) const {
  if (kind_ != Kind::kTable) {
    throw DataError(table.source + ": a table, but the model was trained on " +
                        (kind_ == Kind::kImages ? "images" : "characters"),
                    table.source);
  }
  const std::size_t count = feature_names().size();
  Tensor x(DType::kF32, {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(count)});
  const std::span<float> out = x.values<float>();
  std::size_t first = 0;
  for (const Feature& feature : features_) {
    const Column& column = find(table, feature.column, feature.place);
    if (feature.kind == ColumnKind::kNumber && column.kind == ColumnKind::kText) {
      fail(table, feature.column,
           "is text here (\"" + (rows.empty() ? "" : cell_text(column, rows[0])) +
               "\"), but the model was trained on numbers");
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      float* cell = &out[i * count + first];
      if (feature.kind == ColumnKind::kText) {
        const std::vector<std::string>& all = feature.categories;
        const auto at = std::lower_bound(all.begin(), all.end(), cell_text(column, rows[i]));
        if (at != all.end() && *at == cell_text(column, rows[i])) cell[at - all.begin()] = 1;
        continue;
      }
      const double value = column.numbers[static_cast<std::size_t>(rows[i])];
      if (std::isnan(value)) {
        if (feature.indicates_missing) cell[1] = 1;
      } else {
        cell[0] = static_cast<float>((value - feature.scaling.mean) / feature.scaling.scale);
      }
    }
    first += feature.width();
  }
  return x;
}

std::int32_t Encoder::label_of(const Table& table, const Column& column, std::int64_t row) const {
  std::string label = cell_text(column, row);
  auto at = std::find(classes_.begin(), classes_.end(), label);
  // The test file of the census data writes every label with a full stop.
  if (at == classes_.end() && label.ends_with('.')) {
    label.pop_back();
    at = std::find(classes_.begin(), classes_.end(), label);
  }
  if (at == classes_.end()) {
    const std::string what = is_missing(column, row)
                                 ? "the target is missing"
                                 : '"' + cell_text(column, row) + "\" is no class of the model";
    throw DataError(place_of(table, row) + ": column \"" + column.name + "\": " + what +
                        "; the classes are " + quoted_list(classes_),
                    table.source, line_of(table, row));
  }
  return static_cast<std::int32_t>(at - classes_.begin());
}

double Encoder::number_of(const Table& table, const Column& column, std::int64_t row) const {
  if (column.kind == ColumnKind::kText || is_missing(column, row)) {
    throw DataError(
        place_of(table, row) + ": the target \"" + column.name + "\" is " +
            (is_missing(column, row) ? "missing; remove the row" : "text; expected a number"),
        table.source, line_of(table, row));
  }
  return column.numbers[static_cast<std::size_t>(row)];
}

Dataset Encoder::encode(const Table& table, std::span<const std::int64_t> rows) const {
  Dataset data;
  data.x = features(table, rows);
  data.classes = classes_;
  data.features = feature_names();
  const Column& column = find(table, target_, target_place_);
  const std::int64_t count = static_cast<std::int64_t>(rows.size());
  if (task_ == Task::kClassification) {
    data.labels = Tensor(DType::kI32, {count});
    std::transform(rows.begin(), rows.end(), data.labels.values<std::int32_t>().begin(),
                   [&](std::int64_t row) { return label_of(table, column, row); });
  } else {
    data.y = Tensor(DType::kF32, {count, 1});
    std::transform(rows.begin(), rows.end(), data.y.values<float>().begin(), [&](std::int64_t row) {
      const double y = number_of(table, column, row);
      return static_cast<float>((y - target_scaling_.mean) / target_scaling_.scale);
    });
  }
  return data;
}

std::vector<std::string> Encoder::feature_names() const {
  std::vector<std::string> names;
  for (const Feature& feature : features_) {
    if (feature.kind == ColumnKind::kNumber) {
      names.push_back(feature.column);
      if (feature.indicates_missing) names.push_back(feature.column + " missing");
    }
    for (const std::string& category : feature.categories) {
      names.push_back(feature.column + '=' + category);
    }
  }
  return names;
}

CsvOptions Encoder::csv_options() const {
  CsvOptions options;
  options.missing = missing_;
  for (const Feature& feature : features_) {
    options.kinds[feature.column] = feature.kind;
    options.known_names.push_back(feature.column);
  }
  return options;
}

}  // namespace chainrule
