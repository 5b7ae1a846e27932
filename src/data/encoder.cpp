// Learns from the training rows how raw columns become numbers, and applies it to any rows. What is
// learned is a handful of numbers and names a column, which encoder_json.cpp writes into a model
// file.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/file.h"
#include "base/nearest.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "chainrule/data.h"
#include "chainrule/error.h"
#include "chainrule/numpy_format.h"
#include "data/targets.h"
#include "data/unusable.h"

namespace chainrule {
namespace {

constexpr std::size_t kManyCategories = 50;

std::string count_text(std::size_t count, const std::string& what) {
  return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

[[noreturn]] void fail(const Table& table, const std::string& column, const std::string& message) {
  throw DataError(file_name(table.source) + ": column " + in_quotes(column) + " " + message,
                  table.source);
}

// Numbers beyond float32 have no use for a network, and their squares none for a deviation.
constexpr double kLargest = std::numeric_limits<float>::max();

[[noreturn]] void fail_at(const Table& table, const Column& column, std::int64_t row,
                          const std::string& message) {
  throw DataError(place_of(table, row, column) + ": column " + in_quotes(column.name) + ": " +
                      cell_text(column, row) + " " + message,
                  table.source, line_of(table, row));
}

void require_size(const Table& table, const Column& column, std::int64_t row) {
  if (std::abs(column.numbers[static_cast<std::size_t>(row)]) > kLargest) {
    fail_at(table, column, row, "is beyond 3.4e38, the largest number of float32; correct it");
  }
}

float standardised(const Table& table, const Column& column, std::int64_t row,
                   const Scaling& scaling) {
  require_size(table, column, row);
  const double value = column.numbers[static_cast<std::size_t>(row)];
  const auto result = static_cast<float>((value - scaling.mean) / scaling.scale);
  if (!std::isfinite(result)) {
    fail_at(table, column, row,
            "is too far from the values that the model was trained on, " +
                python_repr(scaling.mean) + " ± " + python_repr(scaling.scale) +
                ": it has no float32 in that unit");
  }
  return result;
}

// What stands for "missing" goes into the model file, which is UTF-8.
void require_utf8(const std::string& missing) {
  for (std::size_t at = 0; at < missing.size();) {
    const std::size_t length = utf8_length(missing, at);
    if (length == 0) {
      throw UsageError("missing: expected UTF-8 text, got " + in_quotes(missing));
    }
    at += length;
  }
}

// Mean and deviation in two passes, the missing cells left out.
struct Moments {
  double mean = 0;
  double deviation = 0;
  std::size_t count = 0;
  bool constant = true;
};

double deviation_of(const Column& column, std::span<const std::int64_t> rows, const Moments& m,
                    double unit) {
  double squares = 0;
  for (const std::int64_t row : rows) {
    const double x = column.numbers[static_cast<std::size_t>(row)];
    if (std::isnan(x)) continue;
    const double distance = (x - m.mean) * unit;
    squares += distance * distance;
  }
  return m.count > 0 ? std::sqrt(squares / static_cast<double>(m.count)) / unit : 0;
}

Moments moments_of(const Table& table, const Column& column, std::span<const std::int64_t> rows) {
  for (const std::int64_t row : rows) require_size(table, column, row);
  Moments m;
  double first = 0;
  for (const std::int64_t row : rows) {
    const double x = column.numbers[static_cast<std::size_t>(row)];
    if (std::isnan(x)) continue;
    if (m.count++ == 0) first = x;
    m.constant = m.constant && x == first;
    m.mean += (x - m.mean) / static_cast<double>(m.count);
  }
  m.deviation = deviation_of(column, rows, m, 1);
  // The squares of very small numbers are 0.
  if (m.deviation == 0 && !m.constant) m.deviation = deviation_of(column, rows, m, 0x1p500);
  return m;
}

Scaling scaling_of(const Moments& m) { return {m.mean, m.deviation > 0 ? m.deviation : 1.0}; }

std::string constant_text(const Column& column, std::span<const std::int64_t> rows) {
  return "is constant (" + in_quotes(cell_text(column, rows[0])) + " in all " +
         count_text(rows.size(), "training row") + ")";
}

}  // namespace

// ── fitting ──────────────────────────────────────────────────────────────────

Encoder Encoder::fit(const Table& table, std::span<const std::int64_t> rows,
                     const EncoderOptions& options) {
  if (rows.empty()) {
    throw DataError(file_name(table.source) + ": no training rows; expected at least one",
                    table.source);
  }
  Encoder encoder;
  encoder.target_place_ = table.index_of(options.target);
  encoder.table_width_ = table.columns.size();
  for (const std::string& text : options.missing) require_utf8(text);
  encoder.missing_ = options.missing;
  const Column& target = table.columns[encoder.target_place_];
  encoder.target_ = target.name;
  encoder.task_ = task_of(target, options.task);
  std::set<std::size_t> left_out = {encoder.target_place_};
  for (const std::string& name : options.drop) {
    const std::size_t index = table.index_of(name);
    if (index == encoder.target_place_) {
      throw UsageError(file_name(table.source) + ": column " + in_quotes(name) +
                       " is the target, which --drop cannot leave out");
    }
    left_out.insert(index);
  }
  if (encoder.task_ == Task::kClassification) {
    encoder.fit_classes(table, target, rows);
  } else {
    encoder.fit_target_scaling(table, target, rows);
  }
  std::vector<UnusableColumn> unusable;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (left_out.contains(i)) continue;
    const Column& column = table.columns[i];
    std::string why;
    Feature feature = column.kind == ColumnKind::kNumber ? fit_number(table, column, rows, why)
                                                         : fit_text(column, rows, why);
    if (!why.empty()) unusable.push_back({i, why});
    feature.column = column.name;
    feature.place = i;
    feature.kind = column.kind;
    encoder.features_.push_back(std::move(feature));
  }
  if (!unusable.empty()) refuse_unusable(table, unusable);
  if (encoder.features_.empty()) {
    throw DataError(file_name(table.source) + ": no column besides the target " +
                        in_quotes(encoder.target_) + "; expected at least one to learn from",
                    table.source);
  }
  return encoder;
}

Encoder::Feature Encoder::fit_number(const Table& table, const Column& column,
                                     std::span<const std::int64_t> rows, std::string& unusable) {
  Feature feature;
  const Moments m = moments_of(table, column, rows);
  feature.indicates_missing = m.count < rows.size();
  feature.scaling = column.scaling.value_or(scaling_of(m));
  if (m.count == 0) {
    unusable = "has no value in " + count_text(rows.size(), "training row");
  } else if (m.constant && !feature.indicates_missing && !column.scaling) {
    unusable = constant_text(column, rows);
  }
  return feature;
}

Encoder::Feature Encoder::fit_text(const Column& column, std::span<const std::int64_t> rows,
                                   std::string& unusable) {
  std::set<std::string> seen;
  for (const std::int64_t row : rows) seen.insert(cell_text(column, row));
  if (seen.size() == 1) {
    unusable = seen.begin()->empty() ? "has no value in " + count_text(rows.size(), "training row")
                                     : constant_text(column, rows);
  } else if (seen.size() > kManyCategories && 2 * seen.size() > rows.size()) {
    unusable = "is text with " + std::to_string(seen.size()) + " different values in " +
               count_text(rows.size(), "training row");
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
      throw DataError(place_of(table, row) + ": the target " + in_quotes(column.name) +
                          " is missing; remove the row",
                      table.source, line_of(table, row));
    }
    labels.push_back(cell_text(column, row));
  }
  classes_ = sorted_classes(labels, column.kind == ColumnKind::kNumber);
  if (classes_.size() == 1) {
    fail(table, column.name,
         "holds one class only (" + in_quotes(classes_[0]) + " in all " +
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
  const Moments m = moments_of(table, column, rows);
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
    throw DataError(file_name(table.source) + ": no column " + in_quotes(name) +
                        ", which the model was trained on; the columns are " + quoted_list(names),
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
  throw DataError(file_name(table.source) + ": a file without a header; expected the " +
                      std::to_string(table_width_) + " columns of the training file, got " +
                      std::to_string(width),
                  table.source);
}

Tensor Encoder::features(const Table& table, std::span<const std::int64_t> rows) const {
  if (kind_ != Kind::kTable) {
    throw DataError(file_name(table.source) + ": a table, but the model was trained on " +
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
           "is text here (" + in_quotes(rows.empty() ? "" : cell_text(column, rows[0])) +
               "), but the model was trained on numbers");
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
        cell[0] = standardised(table, column, rows[i], feature.scaling);
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
                                 : in_quotes(cell_text(column, row)) + " is no class of the model";
    throw DataError(place_of(table, row) + ": column " + in_quotes(column.name) + ": " + what +
                        "; the classes are " + quoted_list(classes_),
                    table.source, line_of(table, row));
  }
  return static_cast<std::int32_t>(at - classes_.begin());
}

double Encoder::number_of(const Table& table, const Column& column, std::int64_t row) const {
  if (column.kind == ColumnKind::kText || is_missing(column, row)) {
    throw DataError(
        place_of(table, row) + ": the target " + in_quotes(column.name) + " is " +
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
      number_of(table, column, row);  // refuses one that is missing
      return standardised(table, column, row, target_scaling_);
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
