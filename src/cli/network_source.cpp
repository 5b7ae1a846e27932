// One question for both subcommands: what network, with which weights, on which rows.
#include "cli/network_source.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "base/phrase_rules.h"
#include "chainrule/model.h"
#include "chainrule/random.h"
#include "cli/source.h"
#include "cli/toml_options.h"

namespace chainrule::cli {
namespace {

constexpr std::int64_t kUsualInput = 4;

Shape shape_of(const std::string& text) {
  Shape shape;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find('x', at), text.size());
    double extent = 0;
    if (!parse_number(text.substr(at, end - at), extent) || extent < 1 || extent > 1e6 ||
        extent != static_cast<double>(static_cast<std::int64_t>(extent))) {
      throw UsageError(
          fmt::format("--input: expected a number or extents such as 8x8, got \"{}\"", text));
    }
    shape.push_back(static_cast<std::int64_t>(extent));
    at = end + 1;
  }
  return shape;
}

// What the first layer says of its input, else a few numbers.
Shape usual_input(const Sequential& network) {
  const auto& options = network.layers().front().options;
  if (const auto in = options.find("in"); in != options.end() && !in->second.empty()) {
    return shape_of(in->second);
  }
  if (const auto extents = options.find("extents"); extents != options.end()) {
    return {element_count(shape_of(extents->second))};
  }
  return {kUsualInput};
}

std::vector<std::int64_t> spaced_rows(std::int64_t of, std::int64_t count) {
  count = std::min(of, count);
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back(i * of / count);
  return rows;
}

std::string rows_text(const std::string& file, const std::vector<std::int64_t>& rows,
                      std::int64_t of) {
  const std::string data = file_name(file);
  if (static_cast<std::int64_t>(rows.size()) == of)
    return fmt::format("all {} rows of {}", of, data);
  if (rows.size() == 1) return fmt::format("row 1 of {}", data);
  if (rows.size() > 6) {
    return fmt::format("{} of {} rows of {}, evenly spaced", rows.size(), grouped(of), data);
  }
  std::string text = "rows ";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += i == 0 ? "" : i + 1 == rows.size() ? " and " : ", ";
    text += std::to_string(rows[i] + 1);
  }
  return text + " of " + data;
}

void take_rows(NetworkSource& source, const NetworkOptions& options, const Dataset& all) {
  const std::int64_t count = all.x.shape()[0];
  const std::vector<std::int64_t> rows = spaced_rows(count, options.rows);
  source.batch = gather_rows(all, rows);
  source.data = rows_text(options.table.data, rows, count);
  source.input = {all.x.shape().begin() + 1, all.x.shape().end()};
}

// Normal numbers, and labels where the network gives several numbers.
void make_rows(NetworkSource& source, const NetworkOptions& options) {
  if (source.input.empty()) {
    source.input = options.input.empty() ? usual_input(source.network) : shape_of(options.input);
  }
  const std::int64_t outputs = element_count(source.network.output_shape(source.input));
  const std::int64_t classes = options.classes >= 0 ? options.classes : outputs > 1 ? outputs : 0;
  RandomState random(static_cast<std::uint32_t>(options.seed));
  Shape shape = source.input;
  shape.insert(shape.begin(), options.rows);
  source.batch.x = random.randn(shape).as(DType::kF32);
  if (classes > 0) {
    const std::vector<std::int64_t> drawn = random.randint(0, classes, options.rows);
    source.batch.labels = Tensor::of<std::int32_t>(
        {options.rows}, std::vector<std::int32_t>(drawn.begin(), drawn.end()));
    for (std::int64_t c = 0; c < classes; ++c) source.batch.classes.push_back(std::to_string(c));
  } else {
    source.batch.y = random.randn({options.rows, 1}).as(DType::kF32);
  }
  source.data =
      fmt::format("{} random row{} of {} numbers (seed {})", options.rows,
                  options.rows == 1 ? "" : "s", element_count(source.input), options.seed);
}

bool is_readable_data(const std::string& name) {
  return is_builtin(name) || std::filesystem::exists(name);
}

NetworkSource from_model_file(NetworkOptions& options) {
  const Model model = read_model(options.network);
  NetworkSource source;
  source.network = model.network;
  source.input = model.input;
  source.parameters = model.parameters;
  source.weights = file_name(options.network);
  const auto trained_on = model.training.find("data");
  if (options.table.data.empty() && trained_on != model.training.end() &&
      is_readable_data(trained_on->second)) {
    options.table.data = trained_on->second;
  }
  if (!options.table.data.empty()) {
    take_rows(source, options,
              read_dataset(model.encoder, options.table.data, reading_of(options.table)));
    return source;
  }
  options.classes = static_cast<std::int64_t>(model.encoder.classes().size());
  make_rows(source, options);
  source.batch.classes = model.encoder.classes();
  return source;
}

}  // namespace

std::vector<Option> network_options(NetworkOptions& options) {
  std::vector<Option> list{
      {.name = "network",
       .value = &options.network,
       .help = "Layers, as \"linear 4, tanh, linear 3\"; a TOML file with these options as keys; "
               "or a model file (*.safetensors)"},
      {.name = "--model", .value = &options.model, .help = "Layers, instead of NETWORK"},
      {.name = "--data",
       .value = &options.table.data,
       .help = "CSV file, built-in data set, or folder of images (default: random rows)"}};
  append(list, table_options(options.table));
  append(list,
         {{.name = "--rows",
           .value = &options.rows,
           .help = "Rows of the batch, evenly spaced over the data",
           .range = between(1, 1000000),
           .shows_default = true},
          {.name = "--input",
           .value = &options.input,
           .help = "Shape of one random example, as 4 or 8x8 (default: what the first layer says, "
                   "or 4)"},
          {.name = "--classes",
           .value = &options.classes,
           .help = "Classes of the random target; 0 is a number (default: as many as outputs)",
           .range = between(0, 1000000)},
          {.name = "--init",
           .value = &options.init,
           .help = "Weight initialization: he_normal, xavier_uniform, normal:0.01, … (default: by "
                   "layer)"}});
  append(list, update_options(options.update));
  append(list, {{.name = "--seed",
                 .value = &options.seed,
                 .help = "Random seed (initial weights, random rows, dropout)",
                 .shows_default = true},
                threads_option(options.threads)});
  return list;
}

NetworkSource read_network(Arguments& arguments, NetworkOptions& options) {
  if (is_toml(options.network)) {
    const std::string path = options.network;
    fill_from_toml(arguments, path);
    if (options.model.empty() && options.network == path) {
      throw UsageError(path + ": \"model\" is missing: the layers, as model = \"linear 3\"");
    }
  }
  if (options.model.empty() && options.network.ends_with(".safetensors")) {
    return from_model_file(options);
  }
  const std::string layers = options.model.empty() ? options.network : options.model;
  if (layers.empty()) throw UsageError("a network is needed, as in \"linear 4, tanh, linear 3\"");
  NetworkSource source;
  source.network = parsed("network", [&] { return Sequential::parse(layers); });
  if (options.table.data.empty()) {
    make_rows(source, options);
  } else {
    DataOptions how = data_options_of(options.table);
    how.validation = 0;
    const TrainingData data = open_data(options.table.data, how);
    source.network = network_for(data, source.network);
    take_rows(source, options, data.train);
  }
  std::optional<Initializer> init;
  if (!options.init.empty())
    init = parsed("--init", [&] { return Initializer::parse(options.init); });
  source.parameters = initialize(source.network, source.input, options.seed, init);
  source.weights = init ? fmt::format("{}, seed {}", init->to_text(), options.seed)
                        : fmt::format("initial values, seed {}", options.seed);
  return source;
}

std::string headline(const NetworkSource& source) {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : source.parameters) count += tensor.size();
  const std::string target = source.batch.classes.empty()
                                 ? "a number"
                                 : fmt::format("{} classes", source.batch.classes.size());
  return fmt::format("network  {}\nweights  {} parameters, {}\nbatch    {}; target: {}\n",
                     source.network.to_text(), grouped(count), source.weights, source.data, target);
}

}  // namespace chainrule::cli
