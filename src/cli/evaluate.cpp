// chainrule evaluate: how good a saved model is on a table.
#include "base/file.h"
#include "base/format.h"
#include "chainrule/model.h"
#include "cli/command.h"
#include "cli/option_values.h"
#include "cli/source.h"
#include "cli/stage.h"
#include "cli/threads.h"

namespace chainrule::cli {
namespace {

struct EvaluateOptions {
  std::string model;
  TableOptions table;
  int threads = 0;
};

void evaluate(const EvaluateOptions& options) {
  const std::string& path = options.table.data;
  const Model model = read_model(options.model);
  const Dataset data = stage("reading " + path, [&] {
    return read_dataset(model.encoder, path, reading_of(options.table));
  });
  const Tensor outputs = apply_model(model, data.x, threads_for(options.threads), path);
  const Metrics metrics = in_own_units(measure(model.network, outputs, data), model.encoder);
  fmt::print("{}\n", metrics_text(metrics, model.encoder));
  const auto trained_on = model.training.find("data");
  const bool held_out = model.training.contains("held_out");  // a file of their own
  if (trained_on != model.training.end() && trained_on->second == file_name(path) && !held_out) {
    fmt::print("these rows include those that the model was trained on\n");
  }
}

}  // namespace

Command evaluate_command() {
  const auto options = std::make_shared<EvaluateOptions>();
  std::vector<Option> list{
      {.name = "model", .value = &options->model, .help = "Model file", .required = true},
      {.name = "data",
       .value = &options->table.data,
       .help = "CSV file, built-in data set, folder of images, or - for standard input",
       .required = true}};
  append(list, reading_options(options->table));
  list.push_back(threads_option(options->threads));
  return {.name = "evaluate",
          .summary = "Measure a model on rows whose target is known",
          .options = std::move(list),
          .run = [options](Arguments&) { evaluate(*options); }};
}

}  // namespace chainrule::cli
