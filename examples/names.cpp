// The ladder of Karpathy's makemore: one network that invents names, five ways to begin. Three
// characters of context, embedded in 10 numbers each, 200 tanh units, 200,000 steps of plain SGD.
//
//     CHAINRULE_DATA=shared/data build/release/names [STEPS=200000]
#include <algorithm>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <random>

#include "chainrule/chainrule.h"

using namespace chainrule;

namespace {

// How the layers begin. Biases are normal too, of these deviations; the kaiming gain of tanh is
// 5/3.
struct Rung {
  const char* name;
  const char* hidden;
  double hidden_bias;
  const char* output;
  double output_bias;
};
constexpr Rung kLadder[] = {
    {"all weights N(0, 1)", "linear 200 init=normal:1", 1, "linear 27 init=normal:1", 1},
    {"output weights x 0.01", "linear 200 init=normal:1", 1, "linear 27 init=normal:0.01", 0},
    {"hidden weights x 0.2", "linear 200 init=normal:0.2", 0.01, "linear 27 init=normal:0.01", 0},
    {"kaiming, 5/3 / sqrt(30)", "linear 200 init=kaiming_normal:1.6666667", 0.01,
     "linear 27 init=normal:0.01", 0},
    {"batch norm", "linear 200 bias=false init=kaiming_normal:1.6666667, batch_norm momentum=0.001",
     0, "linear 27 init=normal:0.01", 0},
};

Sequential network(const Rung& rung) {
  return Sequential::parse("embedding 10 vocabulary=27 init=normal:1, flatten, " +
                           std::string(rung.hidden) + ", tanh, " + rung.output);
}

Dataset part(const std::vector<std::string>& words, double from, double to) {
  const auto size = static_cast<double>(words.size());
  const auto first = static_cast<std::size_t>(from * size);
  return word_contexts(std::span(words).subspan(first, static_cast<std::size_t>(to * size) - first),
                       characters_of(words), 3);
}

void fill_normal(Tensor& tensor, double deviation, std::mt19937& random) {
  std::normal_distribution<float> normal;
  for (float& v : tensor.values<float>()) v = static_cast<float>(deviation) * normal(random);
}

double validation_loss(const Rung& rung, const Dataset& train, const Dataset& validation,
                       std::int64_t steps) {
  constexpr std::int64_t kBatch = 32;
  const Sequential model = network(rung);
  auto parameters = std::make_shared<Parameters>();
  const auto graph = training_step(model, {kBatch, 3}, 27, {.optimizer = Optimizer::parse("sgd")});
  declare_parameters(*parameters, *graph, initialize(model, {3}, 1));
  std::mt19937 random(1);
  if (rung.hidden_bias > 0) fill_normal(parameters->at("3.bias"), rung.hidden_bias, random);
  if (rung.output_bias > 0) fill_normal(parameters->at("5.bias"), rung.output_bias, random);

  Program step(*graph, parameters, {.threads = make_thread_pool(1), .guard = "loss"});
  std::uniform_int_distribution<std::int64_t> any(0, train.x.shape()[0] - 1);
  std::vector<std::int64_t> rows(kBatch);
  for (std::int64_t number = 1; number <= steps; ++number) {
    std::ranges::generate(rows, [&] { return any(random); });
    gather_rows(train.x, rows, std::as_writable_bytes(step.input<std::int32_t>("x")));
    gather_rows(train.labels, rows, std::as_writable_bytes(step.input<std::int32_t>("target")));
    step.input<float>("lr")[0] = number <= steps / 2 ? 0.1F : 0.01F;
    if (!step.run()) throw Error("the loss is not finite");
  }
  return measure(model, Predictor(model, {3}, parameters)(validation.x), validation).loss;
}

}  // namespace

int main(int count, char** arguments) {
  const char* folder = std::getenv("CHAINRULE_DATA");
  if (folder == nullptr) return std::cerr << "set CHAINRULE_DATA to the folder of the data\n", 2;
  std::vector<std::string> words = read_words(std::string(folder) + "/text/names.txt");
  std::shuffle(words.begin(), words.end(), std::mt19937(42));
  const Dataset train = part(words, 0, 0.8);
  const Dataset validation = part(words, 0.8, 0.9);
  const std::int64_t steps = count > 1 ? std::atoi(arguments[1]) : 200'000;
  std::cout << "validation loss\n" << std::fixed << std::setprecision(3);
  for (const Rung& rung : kLadder) {
    std::cout << "  " << std::setw(25) << std::left << rung.name << std::flush
              << validation_loss(rung, train, validation, steps) << "\n";
  }
}
