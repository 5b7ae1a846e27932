// chainrule generate: a model of characters writes on, one character after the other.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/format.h"
#include "base/philox.h"
#include "chainrule/error.h"
#include "chainrule/model.h"
#include "chainrule/program.h"
#include "chainrule/text.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/source.h"

namespace chainrule::cli {
namespace {

struct GenerateOptions {
  std::string model;
  std::string prompt;
  std::int64_t length = 500;
  std::int64_t words = 20;
  double temperature = 1;
  std::uint64_t seed = 0;
};

// The network on one window, compiled once.
class Writer {
 public:
  explicit Writer(const Model& model)
      : classes_(model.encoder.classes().size()),
        context_(static_cast<std::size_t>(model.input[0])),
        sequence_(model.encoder.kind() == Encoder::Kind::kText),
        program_(compile(model)) {}

  // The scores of what follows `tokens`. A text's window begins with them while they fit; of words
  // the last characters are seen, behind ends where there are not enough.
  std::vector<double> scores(std::span<const std::int32_t> tokens) {
    const std::size_t count = std::min(tokens.size(), context_);
    const std::span<std::int32_t> x = program_.input<std::int32_t>("x");
    std::fill(x.begin(), x.end(), 0);
    const std::size_t first = sequence_ ? 0 : context_ - count;
    std::copy(tokens.end() - static_cast<std::ptrdiff_t>(count), tokens.end(),
              x.begin() + static_cast<std::ptrdiff_t>(first));
    program_.run();
    const std::span<const float> y =
        program_.output<float>("y").subspan(sequence_ ? (count - 1) * classes_ : 0, classes_);
    if (!std::all_of(y.begin(), y.end(), [](float v) { return std::isfinite(v); })) {
      throw Error(
          fmt::format("the network's output after {} characters is not finite", tokens.size()));
    }
    return {y.begin(), y.end()};
  }

 private:
  static Program compile(const Model& model) {
    auto parameters = std::make_shared<Parameters>();
    for (const auto& [name, tensor] : model.parameters) parameters->set(name, tensor);
    Graph graph("generate");
    const Value x = graph.input("x", {DType::kI32, {1, model.input[0]}});
    graph.output("y", model.network.build(x).output);
    return Program(graph, parameters);
  }

  std::size_t classes_;
  std::size_t context_;
  bool sequence_;
  Program program_;
};

// An index drawn with probability ∝ e^(score / temperature); the largest at temperature 0.
std::int32_t drawn(std::vector<double> scores, double temperature, double uniform) {
  const auto best = std::max_element(scores.begin(), scores.end());
  if (temperature == 0) return static_cast<std::int32_t>(best - scores.begin());
  const double largest = *best;
  double total = 0;
  for (double& s : scores) total += s = std::exp((s - largest) / temperature);
  double left = uniform * total;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    left -= scores[i];
    if (left < 0) return static_cast<std::int32_t>(i);
  }
  return static_cast<std::int32_t>(scores.size() - 1);
}

// A network that ends in a softmax gives probabilities; their logarithms are scores.
void as_scores(const Model& model, std::vector<double>& y) {
  if (model.network.layers().back().name != "softmax") return;
  for (double& v : y) v = std::log(v);
}

void generate(const GenerateOptions& options) {
  const Model model = read_model(options.model);
  const std::vector<std::string>& vocabulary = model.encoder.classes();
  const bool words = model.encoder.kind() == Encoder::Kind::kWords;
  if (!words && model.encoder.kind() != Encoder::Kind::kText) {
    throw UsageError(options.model +
                     ": a model that answers rows; generate needs one that was trained on a text "
                     "(train --context) or on words (train --words)");
  }
  Writer writer(model);
  const std::vector<std::int32_t> prompt = encode_text(options.prompt, vocabulary, "--prompt");
  const auto line_end = std::find(vocabulary.begin(), vocabulary.end(), "\n");
  const auto start = static_cast<std::int32_t>(
      words || line_end == vocabulary.end() ? 0 : line_end - vocabulary.begin());
  const PhiloxStream stream{options.seed, 0, 0};
  std::uint64_t draws = 0;
  const auto next = [&](std::span<const std::int32_t> tokens) {
    std::vector<double> y = writer.scores(tokens);
    as_scores(model, y);
    return drawn(std::move(y), options.temperature, stream.uniform(draws++));
  };
  std::string text;
  const auto put = [&](std::int32_t token) { text += vocabulary[static_cast<std::size_t>(token)]; };
  if (!words) {
    text = options.prompt;
    std::vector<std::int32_t> tokens = prompt;
    if (tokens.empty()) tokens.push_back(start);
    for (std::int64_t i = 0; i < options.length; ++i) {
      tokens.push_back(next(tokens));
      put(tokens.back());
    }
    write_output("-", text + "\n");
    return;
  }
  for (std::int64_t word = 0; word < options.words; ++word) {
    std::vector<std::int32_t> tokens = prompt;
    text += options.prompt;
    // No word is that long; a network that never ends one would write for ever.
    while (tokens.size() < 1000) {
      const std::int32_t token = next(tokens);
      if (token == 0) break;
      tokens.push_back(token);
      put(token);
    }
    text += "\n";
  }
  write_output("-", text);
}

}  // namespace

Command generate_command() {
  const auto options = std::make_shared<GenerateOptions>();
  return {
      .name = "generate",
      .summary = "Generate text with a model of characters",
      .options =
          {{.name = "model", .value = &options->model, .help = "Model file", .required = true},
           {.name = "--prompt", .value = &options->prompt, .help = "Text to continue"},
           {.name = "--length",
            .value = &options->length,
            .help = "Characters to generate (a model of texts)",
            .range = between(1, 10000000),
            .shows_default = true},
           {.name = "--words",
            .value = &options->words,
            .help = "Words to generate (a model of words)",
            .range = between(1, 10000000),
            .shows_default = true},
           {.name = "--temperature",
            .value = &options->temperature,
            .help = "Sampling temperature; below 1 more predictable, 0 always takes the likeliest",
            .range = between(0, 100),
            .shows_default = true},
           {.name = "--seed",
            .value = &options->seed,
            .help = "Random seed of the sampling",
            .shows_default = true}},
      .run = [options](Arguments&) { generate(*options); }};
}

}  // namespace chainrule::cli
