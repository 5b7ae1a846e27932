// chainrule evaluate: how good a saved model is on a table.
#include "base/format.h"
#include "chainrule/model.h"
#include "cli/command.h"
#include "cli/option_values.h"
#include "cli/source.h"
#include "cli/threads.h"

namespace chainrule::cli {
namespace {

struct EvaluateOptions {
  std::string model;
  std::string data;
  int threads = 0;
};

void evaluate(const EvaluateOptions& options) {
  const Model model = load_model(options.model);
  const Dataset data = load_dataset_for(model, options.data);
  const Tensor outputs = apply_model(model, data.x, threads_for(options.threads));
  fmt::print("{}\n", metrics_text(measure(model.network, outputs, data), model.encoder));
  const auto trained_on = model.training.find("data");
  const bool held_out = model.training.contains("held_out");  // a file of their own
  if (trained_on != model.training.end() && trained_on->second == options.data && !held_out) {
    fmt::print("these rows include those that the model was trained on\n");
  }
}

}  // namespace

Command evaluate_command() {
  const auto options = std::make_shared<EvaluateOptions>();
  return {.name = "evaluate",
          .summary = "Measure a model on rows whose target is known",
          .options =
              {{.name = "model", .value = &options->model, .help = "Model file", .required = true},
               {.name = "data",
                .value = &options->data,
                .help = "CSV file, built-in data set, folder of images, or - for standard "
                        "input",
                .required = true},
               threads_option(options->threads)},
          .run = [options](Arguments&) { evaluate(*options); }};
}

}  // namespace chainrule::cli
