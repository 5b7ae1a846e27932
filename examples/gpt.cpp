// Learns to write like Shakespeare, one character at a time, with a small GPT: 4 layers, 4 heads,
// 128 wide, 64 characters of context; 2000 steps on 12 random windows of the text each.
//     CHAINRULE_DATA=shared/data build/release/gpt [STEPS=2000] [MODEL_FILE]
// MODEL_FILE, when given, is written for `chainrule generate MODEL_FILE`.
#include <cstdlib>
#include <iostream>

#include "chainrule/chainrule.h"

using namespace chainrule;
constexpr std::int64_t kContext = 64;
constexpr std::int64_t kBatch = 12;

namespace {

// The mean loss over the whole of `text`, cut into windows that touch.
double loss_on(const Dataset& text, const Sequential& model, const TensorMap& weights) {
  const auto parameters = std::make_shared<Parameters>();
  for (const auto& [name, tensor] : weights) parameters->set(name, tensor);
  Predictor predictor(model, {kContext}, parameters, make_thread_pool());
  return measure(model, predictor(text.x), text).loss;
}

int run(int count, char** arguments) {
  const char* folder = std::getenv("CHAINRULE_DATA");
  if (folder == nullptr) return std::cerr << "set CHAINRULE_DATA to the folder of the data\n", 2;
  const std::string text = read_text(std::string(folder) + "/text/tinyshakespeare.txt");
  const std::vector<std::string> vocabulary = characters_of(text);
  const std::vector<std::int32_t> tokens = encode_text(text, vocabulary);
  const std::span train = std::span(tokens).first(tokens.size() / 10 * 9);
  const std::span rest = std::span(tokens).subspan(train.size());
  const Dataset validation = text_windows(rest, vocabulary, kContext);

  const auto size = static_cast<std::int64_t>(vocabulary.size());
  const Initializer small = Initializer::parse("normal:0.02");
  const Sequential model =
      Sequential::parse("embedding 128 vocabulary=" + std::to_string(size) + " init=normal:0.02, " +
                        "positions learned length=" + std::to_string(kContext) + ", " +
                        "transformer heads=4 layers=4 causal bias=false, layer_norm, " +
                        layers::linear(size, false, small).text);
  std::cout << model.summary({kContext}) << std::flush;

  const Optimizer optimizer = Optimizer::parse("adamw beta2=0.99 weight_decay=0.1");
  const Schedule schedule = Schedule::parse("cosine warmup=100 min=0.1");
  const auto graph =
      training_step(model, {kBatch, kContext}, size, {.optimizer = optimizer, .clip = {.norm = 1}});
  const auto parameters = std::make_shared<Parameters>();
  declare_parameters(*parameters, *graph, initialize(model, {kContext}, 1337));
  Program step(*graph, parameters, {.threads = make_thread_pool(), .guard = "loss"});
  const std::int64_t steps = count > 1 ? std::atoll(arguments[1]) : 2000;
  for (std::int64_t number = 1; number <= steps; ++number) {
    random_windows(train, kContext, 1337, static_cast<std::uint32_t>(number),
                   step.input<std::int32_t>("x"), step.input<std::int32_t>("target"));
    step.input<float>("lr")[0] = static_cast<float>(2e-3 * learning_rate(schedule, number, steps));
    step.input<float>("step")[0] = static_cast<float>(number);
    if (!step.run()) return std::cerr << "the loss is not finite\n", 1;
    if (number % 250 != 0 && number != steps) continue;
    std::cout << "step " << number << "  training loss " << step.output<float>("loss")[0]
              << "  validation loss "
              << loss_on(validation, model, final_weights(model, {kContext}, *parameters))
              << std::endl;
  }
  if (count > 2) {
    Model saved;
    saved.network = model;
    saved.input = {kContext};
    saved.encoder = Encoder::of_characters(Encoder::Kind::kText, vocabulary, kContext);
    saved.parameters = final_weights(model, {kContext}, *parameters);
    saved.save(arguments[2]);
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const Error& error) {
    return std::cerr << error.what() << "\n", 1;
  }
}
