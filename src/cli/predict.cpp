// chainrule predict: raw rows in, a CSV file of answers out.
#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/model.h"
#include "cli/command.h"
#include "cli/option_values.h"
#include "cli/output.h"
#include "cli/source.h"
#include "cli/stage.h"
#include "cli/threads.h"

namespace chainrule::cli {
namespace {

struct PredictOptions {
  std::string model;
  TableOptions table;
  std::string output;
  int threads = 0;
};

// A cell as RFC 4180 quotes it.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string classes_csv(const Model& model, const Tensor& outputs) {
  const std::vector<std::string>& classes = model.encoder.classes();
  std::string text = cell(model.encoder.target());
  for (const std::string& name : classes) text += "," + cell("p(" + name + ")");
  text += "\n";
  const Tensor p = probabilities(model.network, outputs);
  const std::span<const float> values = p.values<float>();
  for (std::size_t at = 0; at < values.size(); at += classes.size()) {
    const std::span<const float> row = values.subspan(at, classes.size());
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    text += cell(classes[static_cast<std::size_t>(best)]);
    for (const float v : row) text += fmt::format(",{:.6g}", v);
    text += "\n";
  }
  return text;
}

std::string values_csv(const Model& model, const Tensor& outputs, const std::string& source) {
  std::string text = cell(model.encoder.target()) + "\n";
  std::int64_t row = 0;
  for (const float v : outputs.values<float>()) {
    ++row;
    const double value = model.encoder.original_units(static_cast<double>(v));
    if (!std::isfinite(value)) {
      throw DataError(fmt::format("{}: row {}: the answer is not finite", source, row), source);
    }
    text += fmt::format("{:.7g}\n", value);
  }
  return text;
}

void predict(const PredictOptions& options) {
  const std::string& path = options.table.data;
  check_output("-o", options.output, {options.model, path});
  const Model model = read_model(options.model);
  const CsvOptions csv = csv_options_for(model.encoder, options.table);
  const Tensor x = stage("reading " + path, [&] { return load_features_for(model, path, csv); });
  const Tensor outputs = apply_model(model, x, threads_for(options.threads), path);
  const bool values = model.encoder.task() == Task::kRegression;
  const std::string text = stage("writing the answers", [&] {
    return values ? values_csv(model, outputs, path) : classes_csv(model, outputs);
  });
  write_output(options.output, text);
}

}  // namespace

Command predict_command() {
  const auto options = std::make_shared<PredictOptions>();
  std::vector<Option> list{
      {.name = "model", .value = &options->model, .help = "Model file", .required = true},
      {.name = "data",
       .value = &options->table.data,
       .help = "CSV file with the columns that the model was trained on (the target may be "
               "absent), built-in data set, images, or - for standard input",
       .required = true},
      {.name = "-o,--output",
       .value = &options->output,
       .help = "CSV file to write (default: standard output)"}};
  append(list, reading_options(options->table));
  list.push_back(threads_option(options->threads));
  return {.name = "predict",
          .summary = "Apply a model to raw rows and write the answers",
          .options = std::move(list),
          .run = [options](Arguments&) { predict(*options); }};
}

}  // namespace chainrule::cli
