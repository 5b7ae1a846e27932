// chainrule train: a table or images in, a model file out.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "base/atomic_file.h"
#include "base/phrase_rules.h"
#include "chainrule/error.h"
#include "chainrule/images.h"
#include "chainrule/model.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/source.h"

namespace chainrule::cli {
namespace {

struct TrainOptions {
  std::string data;
  std::string target;
  std::string task = "auto";
  std::vector<std::string> missing;
  std::vector<std::string> drop;
  std::string header = "auto";
  std::string model;
  std::string init;
  std::int64_t epochs = 0;
  std::int64_t batch = 0;
  std::string optimizer = "adam";
  double lr = 0;
  std::string schedule = "cosine";
  double clip_norm = 0;
  double clip_value = 0;
  std::optional<double> weight_decay;
  std::optional<double> validation;
  std::uint64_t seed = 0;
  int threads = 0;
  std::string output = "model.safetensors";
  bool quiet = false;
};

// A message about an option's text begins with the option.
template <typename Parse>
auto parsed(const std::string& option, Parse parse) {
  try {
    return parse();
  } catch (const UsageError& error) {
    throw UsageError(option + ": " + error.what());
  }
}

// CLI11's own checks let NaN and infinity pass.
CLI::Validator finite_number(bool zero_too) {
  const std::string what = zero_too ? "a number, at least 0" : "a positive number";
  return CLI::Validator(
      [what, zero_too](std::string& text) {
        double value = 0;
        const bool good = parse_number(text, value) && (zero_too ? value >= 0 : value > 0);
        return good ? std::string() : fmt::format("expected {}, got \"{}\"", what, text);
      },
      "NUMBER");
}

Optimizer optimizer_of(const TrainOptions& options) {
  Optimizer plain = parsed("--optimizer", [&] { return Optimizer::parse(options.optimizer); });
  if (!options.weight_decay) return plain;
  return parsed("--weight-decay", [&] {
    return Optimizer::parse(
        fmt::format("{} weight_decay={}", options.optimizer, *options.weight_decay));
  });
}

FitOptions fit_options(const TrainOptions& options) {
  FitOptions fit;
  fit.optimizer = optimizer_of(options);
  fit.schedule = parsed("--schedule", [&] { return Schedule::parse(options.schedule); });
  if (!options.init.empty()) {
    fit.init = parsed("--init", [&] { return Initializer::parse(options.init); });
  }
  fit.lr = options.lr > 0 ? options.lr : fit.optimizer.usual_rate();
  fit.clip = {.norm = options.clip_norm, .value = options.clip_value};
  fit.seed = options.seed;
  fit.threads = options.threads;
  return fit;
}

Task task_of(const std::string& text) {
  if (text == "classification") return Task::kClassification;
  return text == "regression" ? Task::kRegression : Task::kAuto;
}

// The table and the name of its target.
std::pair<Table, std::string> load(const TrainOptions& options) {
  CsvOptions csv;
  csv.missing = options.missing;
  csv.header = options.header == "yes"  ? Header::kYes
               : options.header == "no" ? Header::kNo
                                        : Header::kAuto;
  Table table = load_table(options.data, csv);
  if (!options.target.empty()) return {std::move(table), options.target};
  if (!is_builtin(options.data)) {
    std::string names;
    for (std::size_t i = 0; i < std::min<std::size_t>(table.columns.size(), 20); ++i) {
      names += (i == 0 ? "" : ", ") + table.columns[i].name;
    }
    if (table.columns.size() > 20) names += ", …";
    throw UsageError("--target is needed: the column to predict, one of " + names);
  }
  std::string last = table.columns.back().name;
  return {std::move(table), std::move(last)};
}

struct Prepared {
  Encoder encoder;
  Dataset train;
  Dataset test;
  bool held_out = false;  // the test rows are a file of their own
};

constexpr double kValidation = 0.2;

Prepared prepare_table(const TrainOptions& options) {
  const auto [table, target] = load(options);
  const Task task = task_of(options.task);
  const Split rows = split(table.rows(), options.validation.value_or(kValidation), options.seed,
                           strata(table, target, task));
  Prepared result;
  result.encoder = Encoder::fit(
      table, rows.train,
      {.target = target, .drop = options.drop, .task = task, .missing = options.missing});
  result.train = result.encoder.encode(table, rows.train);
  if (!rows.test.empty()) result.test = result.encoder.encode(table, rows.test);
  return result;
}

// The test files are held out, unless --validation asks for a part of the training rows.
Prepared prepare_images(const TrainOptions& options, const IdxFiles& files) {
  if (!options.target.empty() || !options.drop.empty() || !options.missing.empty() ||
      options.task == "regression" || options.header != "auto") {
    throw UsageError(options.data +
                     ": images with labels; --target, --drop, --missing, --header and --task "
                     "regression are for tables");
  }
  if (files.train_images.empty() || files.train_labels.empty()) {
    throw UsageError(fmt::format(
        "{}: no {}", options.data,
        files.train_images.empty() ? "images to train on, such as train-images-idx3-ubyte"
                                   : "labels beside the images, such as train-labels-idx1-ubyte"));
  }
  Prepared result;
  result.train = read_idx_dataset(files.train_images, files.train_labels);
  const std::vector<std::string>& classes = result.train.classes;
  result.held_out = !options.validation && !files.test_images.empty() && !files.test_labels.empty();
  if (result.held_out) {
    result.test = read_idx_dataset(files.test_images, files.test_labels, classes);
  } else {
    const Split rows = split(result.train.x.shape()[0], options.validation.value_or(kValidation),
                             options.seed, result.train.labels.values<std::int32_t>());
    const auto part = [&](std::span<const std::int64_t> of) {
      Dataset data;
      data.x = gather_rows(result.train.x, of);
      data.labels = gather_rows(result.train.labels, of);
      data.classes = classes;
      return data;
    };
    result.test = part(rows.test);
    result.train = part(rows.train);
  }
  const Shape& shape = result.train.x.shape();
  result.encoder = Encoder::of_images({shape.begin() + 1, shape.end()}, classes);
  return result;
}

Prepared prepare(const TrainOptions& options) {
  const std::optional<IdxFiles> files = find_idx_files(options.data);
  return files ? prepare_images(options, *files) : prepare_table(options);
}

// For images, a network that does not give one output a class as it stands, but does with a
// flatten before its first linear layer, gets it: "linear 128, relu, linear 10" takes an image as
// one row of pixels.
Sequential fitted_to(const Shape& example, std::int64_t classes, const Sequential& network) {
  if (example.size() < 2) return network;
  const auto fits = [&](const Sequential& candidate) {
    try {
      return candidate.output_shape(example) == Shape{classes};
    } catch (const ShapeError&) {
      return false;
    }
  };
  if (fits(network)) return network;
  std::vector<Phrase> layers = network.layers();
  const auto first = std::find_if(layers.begin(), layers.end(),
                                  [](const Phrase& layer) { return layer.name == "linear"; });
  if (first == layers.end()) return network;
  layers.insert(first, layers::flatten());
  const Sequential flattened(std::move(layers));
  return fits(flattened) ? flattened : network;
}

// "64 features", "images of 28×28×1".
std::string inputs_text(const Shape& example) {
  if (example.size() == 1) return fmt::format("{} features", example[0]);
  return fmt::format("images of {}", fmt::join(example, "×"));
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
  fmt::print("data      {}: {} rows to train, {} to test{}\n", options.data, grouped(train_rows),
             grouped(test_rows), data.held_out ? ", from a file of their own" : "");
  fmt::print("target    {} ({}), from {}\n", data.encoder.target(), kind, inputs_text(model.input));
  fmt::print("network   {}\n          {} parameters\n", model.network.to_text(),
             grouped(parameters));
  fmt::print("training  {}, lr {}, {}, batch {}, {} epochs, seed {}\n", fit.optimizer.to_text(),
             fit.lr, fit.schedule.to_text(), fit.batch, fit.epochs, fit.seed);
  std::fflush(stdout);
}

std::map<std::string, std::string> record(const TrainOptions& options, const FitOptions& fit,
                                          bool held_out) {
  std::map<std::string, std::string> entries{{"data", options.data},
                                             {"optimizer", fit.optimizer.to_text()},
                                             {"lr", fmt::format("{}", fit.lr)},
                                             {"schedule", fit.schedule.to_text()},
                                             {"epochs", std::to_string(fit.epochs)},
                                             {"batch", std::to_string(fit.batch)},
                                             {"seed", std::to_string(fit.seed)}};
  if (held_out) {
    entries["held_out"] = "test files";
  } else {
    entries["validation"] = fmt::format("{}", options.validation.value_or(kValidation));
  }
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
  const Shape example = data.encoder.example_shape();
  const auto classes = static_cast<std::int64_t>(data.train.classes.size());
  if (options.model.empty()) {
    network = Sequential::parse(suggested_model(rows, element_count(example), classes));
  }
  network = fitted_to(example, classes, network);
  how.batch = options.batch > 0 ? options.batch : suggested_batch(rows);
  how.epochs = options.epochs > 0 ? options.epochs : suggested_epochs(rows, how.batch);

  Model model;
  model.network = network;
  model.input = example;
  model.encoder = data.encoder;
  model.training = record(options, how, data.held_out);
  Shape one = example;
  one.insert(one.begin(), 1);
  training_step(network, one, classes);  // a network that does not fit is refused here
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
         "data", options->data,
         "CSV file, built-in data set (see datasets), or a folder of IDX files such as MNIST's")
      ->required();
  sub->add_option("--target", options->target,
                  "Column to predict, by name or number from 1 (built-in: the last)");
  sub->add_option("--task", options->task, "What the target is")
      ->check(CLI::IsMember({"auto", "classification", "regression"}))
      ->capture_default_str();
  sub->add_option("--missing", options->missing,
                  "Cells that mean \"missing\", as in --missing ?,n/a")
      ->delimiter(',');
  sub->add_option("--drop", options->drop, "Columns to leave out")->delimiter(',');
  sub->add_option("--header", options->header, "Whether the first line names the columns")
      ->check(CLI::IsMember({"auto", "yes", "no"}))
      ->capture_default_str();
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
  sub->add_option("--optimizer", options->optimizer,
                  "adadelta, adagrad, adam, adamw, lion, muon, nadam, rmsprop or sgd, with options "
                  "as in \"sgd momentum=0.9 nesterov\"")
      ->capture_default_str();
  sub->add_option("--lr", options->lr, "Learning rate (default: the optimizer's usual one)")
      ->check(finite_number(false));
  sub->add_option("--schedule", options->schedule,
                  "Of the learning rate: constant, cosine, exponential, linear, one_cycle, step, "
                  "with options as in \"cosine warmup=100 min=0.01\"")
      ->capture_default_str();
  sub->add_option("--clip-norm", options->clip_norm, "Largest norm of all gradients together")
      ->check(finite_number(false));
  sub->add_option("--clip-value", options->clip_value, "Largest element of a gradient")
      ->check(finite_number(false));
  sub->add_option("--weight-decay", options->weight_decay, "Pull of the weights towards 0")
      ->check(finite_number(true));
  sub->add_option(
      "--validation", options->validation,
      "Share of the rows held out to test on (default: 0.2, or the test files of images)");
  sub->add_option("--seed", options->seed, "Of the split, the first weights, the order and dropout")
      ->capture_default_str();
  sub->add_option("--threads", options->threads, "Threads; 0 is one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  sub->add_option("-o,--output", options->output, "Where the model is written")
      ->capture_default_str();
  sub->add_flag("--quiet", options->quiet, "Print nothing");
  sub->footer("Layers:\n" + layer_reference());
  sub->callback([options] { train(*options); });
}

}  // namespace chainrule::cli
