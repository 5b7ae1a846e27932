// chainrule train: a table, images or a text in, a model file out.
#include <cstdio>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/format.h"
#include "base/printable.h"
#include "chainrule/error.h"
#include "chainrule/model.h"
#include "cli/command.h"
#include "cli/option_values.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/source.h"
#include "cli/stage.h"
#include "cli/threads.h"
#include "cli/toml_options.h"

namespace chainrule::cli {
namespace {

struct TrainOptions {
  TableOptions table;        // its `data` is a file, a folder, or a built-in data set
  std::int64_t context = 0;  // the data are a text, seen in windows of so many characters
  std::int64_t words = 0;    // the data are words, of which so many characters are seen
  std::optional<double> validation;
  std::uint64_t seed = 0;
  std::string model;
  std::string init;
  std::int64_t epochs = 0;
  std::int64_t batch = 0;
  UpdateOptions update{.optimizer = "adam"};
  std::string schedule;  // "": the optimizer's usual one
  double label_smoothing = 0;
  double mixup = 0;
  std::string augment;
  int threads = 0;
  std::string output = "model.safetensors";
  bool quiet = false;
  std::string toml;  // the file that the options were read from, if any
};

std::vector<std::string> inputs_of(const TrainOptions& options) {
  return {options.table.data, options.toml};
}

DataOptions data_options(const TrainOptions& options) {
  DataOptions data = data_options_of(options.table);
  data.context = options.context;
  data.words = options.words;
  data.validation = options.validation;
  data.seed = options.seed;
  return data;
}

FitOptions fit_options(const TrainOptions& options) {
  FitOptions fit;
  fit.optimizer = optimizer_of(options.update);
  if (!options.schedule.empty() || !fit.optimizer.is_full_batch()) {
    fit.schedule = parsed("--schedule", [&] {
      return Schedule::parse(options.schedule.empty() ? "cosine" : options.schedule);
    });
  }
  if (!options.init.empty()) {
    fit.init = parsed("--init", [&] { return Initializer::parse(options.init); });
  }
  fit.epochs = options.epochs;
  fit.batch = options.batch;
  fit.lr = options.update.lr;
  fit.clip = options.update.clip;
  fit.label_smoothing = options.label_smoothing;
  fit.mixup = options.mixup;
  fit.augmentation = parsed("--augment", [&] { return Augmentation::parse(options.augment); });
  fit.seed = options.seed;
  return fit;
}

// "64 features", "images of 28×28×1".
std::string inputs_text(const Encoder& encoder) {
  const Shape example = encoder.example_shape();
  switch (encoder.kind()) {
    case Encoder::Kind::kTable: return fmt::format("{} features", example[0]);
    case Encoder::Kind::kImages: return fmt::format("images of {}", joined(example, "×"));
    case Encoder::Kind::kText: return fmt::format("up to {} characters before each", example[0]);
    case Encoder::Kind::kWords: return fmt::format("the {} characters before", example[0]);
  }
  return {};
}

void announce(const TrainingData& data, const Model& model, const FitOptions& fit) {
  const std::int64_t train_rows = data.train.x.shape()[0];
  const std::int64_t test_rows = data.test.x.shape()[0];
  const std::string kind = data.train.classes.empty()
                               ? "a number"
                               : fmt::format("{} classes", data.train.classes.size());
  std::int64_t parameters = 0;
  for (const auto& [name, tensor] : model.parameters) parameters += tensor.size();
  const char* what = data.encoder.kind() == Encoder::Kind::kText ? "windows" : "rows";
  fmt::print("data      {}: {} {} to train, {} to test{}\n", file_name(data.source),
             grouped(train_rows), what, grouped(test_rows),
             data.held_out ? ", from a file of their own" : "");
  fmt::print("target    {} ({}), from {}\n", printable(data.encoder.target()), kind,
             inputs_text(model.encoder));
  fmt::print("network   {}\n          {} parameters\n", model.network.to_text(),
             grouped(parameters));
  if (fit.optimizer.is_full_batch()) {
    fmt::print("training  {}, all rows at once, at most {} steps, seed {}\n",
               fit.optimizer.to_text(), fit.epochs, fit.seed);
  } else {
    fmt::print("training  {}, lr {}, {}, batch {}, {} epochs, seed {}\n", fit.optimizer.to_text(),
               fit.lr, fit.schedule.to_text(), fit.batch, fit.epochs, fit.seed);
  }
  std::fflush(stdout);
}

// Weights to look at after a failed training. The model that stood at -o is a good one and stays.
std::string saved_beside(const TrainOptions& options, const Model& model) {
  constexpr std::string_view kEnding = ".safetensors";
  std::string path = options.output;
  if (path.ends_with(kEnding)) path.resize(path.size() - kEnding.size());
  path += ".failed.safetensors";
  try {
    check_binary_output("-o", path, inputs_of(options));
    model.save(path);
  } catch (const Error&) {
    return "";  // what failed first is what counts
  }
  return fmt::format("; the kept weights are saved in {}", path);
}

FitResult run_fit(const TrainOptions& options, const TrainingData& data, Model& model,
                  const FitOptions& how) {
  try {
    ProgressView view(options.quiet ? View::kNone : view_for_standard_output(),
                      !data.train.classes.empty());
    return model.fit(data, how, [&](const Progress& progress) { view.show(progress); });
  } catch (const NonFiniteError& error) {
    throw NonFiniteError(error.what() + saved_beside(options, model), error.step, error.node,
                         error.nan_count, error.inf_count);
  }
}

// The file fills the option that named it.
void read_toml(Arguments& arguments, const std::string& file) {
  fill_from_toml(arguments, file);
  if (arguments.given("data").front() == file) {
    throw UsageError(file + ": \"data\" is missing, as data = \"digits\"");
  }
}

void train(const TrainOptions& options) {
  FitOptions how = fit_options(options);
  Model model;
  if (!options.model.empty()) model = parsed("--model", [&] { return Model(options.model); });
  check_binary_output("-o", options.output, inputs_of(options));
  const std::string& path = options.table.data;
  const TrainingData data =
      stage("reading " + path, [&] { return open_data(path, data_options(options)); });
  how = model.prepare(data, how);
  // A disk that is full, and names that no model file can hold, are better known before training.
  model.check_saving(options.output);
  if (!options.quiet) announce(data, model, how);
  how.pool = threads_for(options.threads);
  const FitResult result = stage("training", [&] { return run_fit(options, data, model, how); });
  model.save(options.output);
  if (options.quiet) return;
  const bool tested = result.validation.rows > 0;
  fmt::print("{}      {}\n", tested ? "test" : "fit ",
             model.training.at(tested ? "test" : "train"));
  fmt::print("time      {:.1f} s, {} steps\n", result.seconds, grouped(result.steps));
  fmt::print("model     {}\n", options.output);
}

}  // namespace

Command train_command() {
  const auto options = std::make_shared<TrainOptions>();
  std::vector<Option> list{
      {.name = "data",
       .value = &options->table.data,
       .help = "CSV file, built-in data set (see datasets), folder of IDX files such as MNIST's, "
               "with --context or --words a text, or a TOML file with these options as keys",
       .required = true}};
  append(list, table_options(options->table));
  append(
      list,
      {{.name = "--context",
        .value = &options->context,
        .help = "Read the data as a text: predict each character from up to so many before it",
        .range = between(1, 1000000)},
       {.name = "--words",
        .value = &options->words,
        .help = "Read the data as words, one a line: predict each character from so many before",
        .range = between(1, 1000)},
       {.name = "--model",
        .value = &options->model,
        .help = "Layers, as \"linear 128, relu, dropout 0.2, linear 10\" (default: by size of "
                "the data)"},
       {.name = "--init",
        .value = &options->init,
        .help =
            "Weight initialization: he_normal, xavier_uniform, normal:0.01, … (default: by layer)"},
       {.name = "--epochs",
        .value = &options->epochs,
        .help = "Passes over the training data (default: about 3000 steps)",
        .range = between(1, 1000000000)},
       {.name = "--batch",
        .value = &options->batch,
        .help = "Batch size (default: by number of rows)",
        .range = between(1, 1000000000)}});
  append(list, update_options(options->update));
  append(
      list,
      {{.name = "--schedule",
        .value = &options->schedule,
        .help = "Learning-rate schedule: constant, cosine, exponential, linear, one_cycle, step, "
                "with options as in \"cosine warmup=100 min=0.01\"; a warm-up longer than the "
                "training is cut to it (default: cosine)"},
       {.name = "--label-smoothing",
        .value = &options->label_smoothing,
        .help = "Label smoothing: fraction of each target spread over all classes, as in 0.1",
        .range = between(0, 0.999)},
       {.name = "--mixup",
        .value = &options->mixup,
        .help = "Mixup: train on mixtures of two rows, weighted by Beta(A, A), as in 0.2",
        .range = at_least(0)},
       {.name = "--augment",
        .value = &options->augment,
        .help =
            "Data augmentation of images: flip, crop PIXELS, shift PIXELS, as in \"flip, crop 4\""},
       {.name = "--validation",
        .value = &options->validation,
        .help =
            "Fraction of the rows held out for validation (default: 0.2, the test files of images, "
            "or the last 0.1 of a text)"},
       {.name = "--seed",
        .value = &options->seed,
        .help = "Random seed (split, initial weights, shuffling, dropout)",
        .shows_default = true},
       threads_option(options->threads),
       {.name = "-o,--output",
        .value = &options->output,
        .help = "Where the model is written",
        .shows_default = true},
       {.name = "--quiet", .value = &options->quiet, .help = "Print nothing"}});
  return {.name = "train",
          .summary = "Train a network on a table and save the model",
          .options = std::move(list),
          .run =
              [options](Arguments& arguments) {
                const std::string data = options->table.data;
                if (is_toml(data)) {
                  options->toml = data;
                  read_toml(arguments, data);
                }
                train(*options);
              },
          .footer = "Layers:\n" + layer_reference()};
}

}  // namespace chainrule::cli
