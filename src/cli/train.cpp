// chainrule train: a table in, a model file out.
#include <fmt/format.h>

#include <chrono>
#include <iostream>

#include "base/atomic_file.h"
#include "chainrule/error.h"
#include "chainrule/model.h"
#include "cli/commands.h"
#include "cli/option_values.h"
#include "cli/progress.h"
#include "cli/source.h"
#include "cli/toml_options.h"

namespace chainrule::cli {
namespace {

struct TrainOptions {
  TableOptions table;
  std::string model;
  std::string init;
  std::int64_t epochs = 0;
  std::int64_t batch = 0;
  UpdateOptions update{.optimizer = "adam"};
  std::string schedule = "cosine";
  double validation = 0.2;
  std::uint64_t seed = 0;
  int threads = 0;
  std::string output = "model.safetensors";
  bool quiet = false;
};

FitOptions fit_options(const TrainOptions& options) {
  FitOptions fit;
  fit.optimizer = optimizer_of(options.update);
  fit.schedule = parsed("--schedule", [&] { return Schedule::parse(options.schedule); });
  if (!options.init.empty()) {
    fit.init = parsed("--init", [&] { return Initializer::parse(options.init); });
  }
  fit.lr = options.update.lr > 0 ? options.update.lr : fit.optimizer.usual_rate();
  fit.clip = options.update.clip;
  fit.seed = options.seed;
  fit.threads = options.threads;
  return fit;
}

struct Prepared {
  Encoder encoder;
  Dataset train;
  Dataset test;
};

Prepared prepare(const TrainOptions& options) {
  const auto [table, target] = load_with_target(options.table);
  const Task task = task_of(options.table);
  const Split rows =
      split(table.rows(), options.validation, options.seed, strata(table, target, task));
  Prepared result;
  result.encoder = Encoder::fit(table, rows.train,
                                {.target = target,
                                 .drop = options.table.drop,
                                 .task = task,
                                 .missing = options.table.missing});
  result.train = result.encoder.encode(table, rows.train);
  if (!rows.test.empty()) result.test = result.encoder.encode(table, rows.test);
  return result;
}

void announce(const TrainOptions& options, const Prepared& data, const Model& model,
              const FitOptions& fit) {
  const std::int64_t train_rows = data.train.x.shape()[0];
  const std::int64_t test_rows = data.test.x.shape()[0];
  const std::string kind = data.train.classes.empty()
                               ? "a number"
                               : fmt::format("{} classes", data.train.classes.size());
  std::int64_t parameters = 0;
  for (const ParameterInfo& info : model.network.parameters(model.input)) {
    parameters += element_count(info.shape);
  }
  fmt::print("data      {}: {} rows to train, {} to test\n", options.table.data,
             grouped(train_rows), grouped(test_rows));
  fmt::print("target    {} ({}), from {} features\n", data.encoder.target(), kind,
             data.train.x.shape()[1]);
  fmt::print("network   {}\n          {} parameters\n", model.network.to_text(),
             grouped(parameters));
  fmt::print("training  {}, lr {}, {}, batch {}, {} epochs, seed {}\n", fit.optimizer.to_text(),
             fit.lr, fit.schedule.to_text(), fit.batch, fit.epochs, fit.seed);
  std::fflush(stdout);
}

std::map<std::string, std::string> record(const TrainOptions& options, const FitOptions& fit) {
  std::map<std::string, std::string> entries{{"data", options.table.data},
                                             {"optimizer", fit.optimizer.to_text()},
                                             {"lr", fmt::format("{}", fit.lr)},
                                             {"schedule", fit.schedule.to_text()},
                                             {"epochs", std::to_string(fit.epochs)},
                                             {"batch", std::to_string(fit.batch)},
                                             {"seed", std::to_string(fit.seed)},
                                             {"validation", fmt::format("{}", options.validation)}};
  if (fit.init) entries["init"] = fit.init->to_text();
  if (fit.clip.norm > 0) entries["clip_norm"] = fmt::format("{}", fit.clip.norm);
  if (fit.clip.value > 0) entries["clip_value"] = fmt::format("{}", fit.clip.value);
  return entries;
}

void take_weights(Model& model, const Parameters& parameters) {
  for (const ParameterInfo& info : model.network.parameters(model.input)) {
    model.parameters.insert_or_assign(info.name, parameters.at(info.name));
  }
}

FitResult run_fit(const TrainOptions& options, const Prepared& data, Model& model,
                  const FitOptions& how) {
  auto parameters = std::make_shared<Parameters>();
  try {
    ProgressView view(options.quiet ? View::kNone : view_for_standard_output(),
                      !data.train.classes.empty());
    const FitResult result = fit(model.network, parameters, data.train, &data.test, how,
                                 [&](const Progress& progress) { view.show(progress); });
    take_weights(model, *parameters);
    return result;
  } catch (const NonFiniteError& error) {
    take_weights(model, *parameters);
    save_model(options.output, model);
    throw NonFiniteError(fmt::format("{}; they are saved in {}", error.what(), options.output),
                         error.step, error.node, error.nan_count, error.inf_count);
  }
}

void read_toml(CLI::App& sub, const std::string& data) {
  const std::string path = data;  // the file fills the option that named it
  fill_from_toml(sub, path);
  if (data == path) throw UsageError(path + ": \"data\" is missing, as data = \"digits\"");
}

void train(const TrainOptions& options) {
  FitOptions how = fit_options(options);
  Sequential network;
  if (!options.model.empty()) {
    network = parsed("--model", [&] { return Sequential::parse(options.model); });
  }
  {
    // A place that cannot be written is better known before training.
    const AtomicFile probe(options.output);
  }
  const Prepared data = prepare(options);
  const std::int64_t rows = data.train.x.shape()[0];
  const std::int64_t features = data.train.x.shape()[1];
  const auto classes = static_cast<std::int64_t>(data.train.classes.size());
  if (options.model.empty()) {
    network = Sequential::parse(suggested_model(rows, features, classes));
  }
  how.batch = options.batch > 0 ? options.batch : suggested_batch(rows);
  how.epochs = options.epochs > 0 ? options.epochs : suggested_epochs(rows, how.batch);

  Model model;
  model.network = network;
  model.input = {features};
  model.encoder = data.encoder;
  model.training = record(options, how);
  training_step(network, {1, features}, classes);  // a network that does not fit is refused here
  if (!options.quiet) announce(options, data, model, how);
  const FitResult result = run_fit(options, data, model, how);
  const bool tested = result.validation.rows > 0;
  const std::string outcome =
      tested ? metrics_text(result.validation, data.encoder)
             : metrics_text(
                   measure(network, apply_model(model, data.train.x, options.threads), data.train),
                   data.encoder);
  model.training[tested ? "test" : "train"] = outcome;
  save_model(options.output, model);
  if (options.quiet) return;
  fmt::print("{}      {}\n", tested ? "test" : "fit ", outcome);
  fmt::print("time      {:.1f} s, {} steps\n", result.seconds, grouped(result.steps));
  fmt::print("model     {}\n", options.output);
}

}  // namespace

void add_train(CLI::App& app) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* sub = app.add_subcommand("train", "Train a network on a table and save the model");
  sub->add_option(
         "data", options->table.data,
         "CSV file, a built-in data set (see datasets), or a TOML file with these options as keys")
      ->required();
  add_table_options(*sub, options->table);
  sub->add_option(
      "--model", options->model,
      "Layers, as \"linear 128, relu, dropout 0.2, linear 10\" (default: by size of the "
      "data)");
  sub->add_option("--init", options->init,
                  "First weights: he_normal, xavier_uniform, normal:0.01, … (default: by layer)");
  sub->add_option("--epochs", options->epochs, "Passes over the data (default: some 3000 steps)")
      ->check(CLI::Range(1, 1000000000));
  sub->add_option("--batch", options->batch, "Rows a step (default: by number of rows)")
      ->check(CLI::Range(1, 1000000000));
  add_update_options(*sub, options->update);
  sub->add_option("--schedule", options->schedule,
                  "Of the learning rate: constant, cosine, exponential, linear, one_cycle, step, "
                  "with options as in \"cosine warmup=100 min=0.01\"")
      ->capture_default_str();
  sub->add_option("--validation", options->validation, "Share of the rows held out to test on")
      ->capture_default_str();
  sub->add_option("--seed", options->seed, "Of the split, the first weights, the order and dropout")
      ->capture_default_str();
  sub->add_option("--threads", options->threads, "Threads; 0 is one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  sub->add_option("-o,--output", options->output, "Where the model is written")
      ->capture_default_str();
  sub->add_flag("--quiet", options->quiet, "Print nothing");
  sub->footer("Layers:\n" + layer_reference());
  sub->callback([sub, options] {
    if (is_toml(options->table.data)) read_toml(*sub, options->table.data);
    train(*options);
  });
}

}  // namespace chainrule::cli
