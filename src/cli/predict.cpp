// chainrule predict: raw rows in, a CSV file of answers out.
#include <algorithm>
#include <cstdio>

#include "base/atomic_file.h"
#include "base/format.h"
#include "chainrule/model.h"
#include "cli/command.h"
#include "cli/option_values.h"
#include "cli/source.h"
#include "cli/threads.h"

namespace chainrule::cli {
namespace {

struct PredictOptions {
  std::string model;
  std::string data;
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

std::string values_csv(const Model& model, const Tensor& outputs) {
  std::string text = cell(model.encoder.target()) + "\n";
  for (const float v : outputs.values<float>()) {
    text += fmt::format("{:.7g}\n", model.encoder.original_units(static_cast<double>(v)));
  }
  return text;
}

void predict(const PredictOptions& options) {
  const Model model = load_model(options.model);
  const Tensor x = load_features_for(model, options.data);
  const Tensor outputs = apply_model(model, x, threads_for(options.threads));
  const std::string text = model.encoder.task() == Task::kRegression ? values_csv(model, outputs)
                                                                     : classes_csv(model, outputs);
  if (options.output.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  AtomicFile file(options.output);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace

Command predict_command() {
  const auto options = std::make_shared<PredictOptions>();
  return {.name = "predict",
          .summary = "Apply a model to raw rows and write the answers",
          .options =
              {{.name = "model", .value = &options->model, .help = "Model file", .required = true},
               {.name = "data",
                .value = &options->data,
                .help = "CSV file with the columns that the model was trained on (the target "
                        "may be absent), built-in data set, images, or - for standard input",
                .required = true},
               {.name = "-o,--output",
                .value = &options->output,
                .help = "CSV file to write (default: standard output)"},
               threads_option(options->threads)},
          .run = [options](Arguments&) { predict(*options); }};
}

}  // namespace chainrule::cli
