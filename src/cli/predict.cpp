// chainrule predict: raw rows in, a CSV file of answers out.
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

std::string csv_of(const Model& model, const Answers& answers) {
  std::string text = cell(model.encoder.target());
  if (model.encoder.task() == Task::kRegression) {
    text += "\n";
    for (const double value : answers.values) text += fmt::format("{:.7g}\n", value);
    return text;
  }
  for (const std::string& name : model.encoder.classes()) text += "," + cell("p(" + name + ")");
  text += "\n";
  const std::size_t width = model.encoder.classes().size();
  const std::span<const float> p = answers.probabilities.values<float>();
  for (std::size_t row = 0; row < answers.classes.size(); ++row) {
    text += cell(answers.classes[row]);
    for (const float v : p.subspan(row * width, width)) text += fmt::format(",{:.6g}", v);
    text += "\n";
  }
  return text;
}

Answers answers_of(const Model& model, const Tensor& outputs, const std::string& source) {
  try {
    return model.answers(outputs);
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", source, error.what()), source);
  }
}

void predict(const PredictOptions& options) {
  const std::string& path = options.table.data;
  check_output("-o", options.output, {options.model, path});
  const Model model = read_model(options.model);
  const Tensor x = stage("reading " + path, [&] {
    return read_features(model.encoder, path, reading_of(options.table));
  });
  const Tensor outputs = apply_model(model, x, threads_for(options.threads), path);
  const std::string text =
      stage("writing the answers", [&] { return csv_of(model, answers_of(model, outputs, path)); });
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
