// chainrule evaluate: how good a saved model is on a table.
#include <fmt/format.h>

#include "chainrule/model.h"
#include "cli/commands.h"
#include "cli/source.h"

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
  const Tensor outputs = apply_model(model, data.x, options.threads);
  fmt::print("{}\n", metrics_text(measure(model.network, outputs, data), model.encoder));
  const auto trained_on = model.training.find("data");
  const bool held_out = model.training.contains("held_out");  // a file of their own
  if (trained_on != model.training.end() && trained_on->second == options.data && !held_out) {
    fmt::print("these rows include those that the model was trained on\n");
  }
}

}  // namespace

void add_evaluate(CLI::App& app) {
  auto options = std::make_shared<EvaluateOptions>();
  CLI::App* sub = app.add_subcommand("evaluate", "Measure a model on rows whose target is known");
  sub->add_option("model", options->model, "Model file")->required();
  sub->add_option("data", options->data,
                  "CSV file, built-in data set, folder of images, or - for standard input")
      ->required();
  sub->add_option("--threads", options->threads, "Threads; 0 is one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  sub->callback([options] { evaluate(*options); });
}

}  // namespace chainrule::cli
