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
  const Table table = load_table_for(model, options.data);
  const Dataset data = model.encoder.encode(table, all_rows(table.rows()));
  const Tensor outputs = apply_model(model, data.x, options.threads);
  fmt::print("{}\n", metrics_text(measure(model.network, outputs, data), model.encoder));
  const auto trained_on = model.training.find("data");
  if (trained_on != model.training.end() && trained_on->second == options.data) {
    fmt::print("these rows include those that the model was trained on\n");
  }
}

}  // namespace

void add_evaluate(CLI::App& app) {
  auto options = std::make_shared<EvaluateOptions>();
  CLI::App* sub = app.add_subcommand("evaluate", "Measure a model on rows whose target is known");
  sub->add_option("model", options->model, "Model file")->required();
  sub->add_option("data", options->data, "CSV file, built-in data set, or - for standard input")
      ->required();
  sub->add_option("--threads", options->threads, "Threads; 0 is one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  sub->callback([options] { evaluate(*options); });
}

}  // namespace chainrule::cli
