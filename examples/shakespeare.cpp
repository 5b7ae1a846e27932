// Learns to write like Shakespeare, one character at a time, with an LSTM of 256 units. 32 readers
// side by side go on where they stopped, 64 characters a step: truncated backpropagation through
// time.
//     CHAINRULE_DATA=shared/data build/release/shakespeare [EPOCHS=10]
#include <cstdlib>
#include <iostream>
#include <random>
#include <set>

#include "chainrule/chainrule.h"

using namespace chainrule;
constexpr std::int64_t kReaders = 32;
constexpr std::int64_t kSteps = 64;
using Letters = std::vector<std::int32_t>;
// Batch `index` of a text cut into as many parts as there are readers, and the characters after it.
void read_on(const Letters& text, std::int64_t index, Program& program) {
  const auto part = static_cast<std::int64_t>(text.size()) / kReaders;
  for (std::int64_t i = 0; i < kReaders * kSteps; ++i) {
    const auto at = static_cast<std::size_t>(i / kSteps * part + index * kSteps + i % kSteps);
    program.input<std::int32_t>("x")[static_cast<std::size_t>(i)] = text[at];
    program.input<std::int32_t>("target")[static_cast<std::size_t>(i)] = text[at + 1];
  }
}

std::int64_t batches_in(const Letters& text) {
  return (static_cast<std::int64_t>(text.size()) / kReaders - 1) / kSteps;
}

// The network on `rows` texts of `steps` characters, going on from the state that it left.
Program reader(const Sequential& model, const std::shared_ptr<Parameters>& parameters,
               std::int64_t rows, std::int64_t steps) {
  Graph graph("read");
  const Value x = graph.input("x", {DType::kI32, {rows, steps}});
  const Value target = graph.input("target", {DType::kI32, {rows, steps}});
  BuildOptions options;
  options.carry = true;
  const Value logits = model.build(x, options).output;
  graph.output("p", softmax(logits));
  graph.output("loss", softmax_cross_entropy(logits, target));
  declare_parameters(*parameters, graph, {});
  return Program(graph, parameters, {.threads = make_thread_pool(), .guard = {}});
}

int main(int count, char** arguments) {
  const char* folder = std::getenv("CHAINRULE_DATA");
  if (folder == nullptr) return std::cerr << "set CHAINRULE_DATA to the folder of the data\n", 2;
  const std::string text = read_text(std::string(folder) + "/text/tinyshakespeare.txt");
  const std::set<char> characters(text.begin(), text.end());
  const std::string vocabulary(characters.begin(), characters.end());
  Letters letters;
  for (const char c : text) letters.push_back(static_cast<std::int32_t>(vocabulary.find(c)));
  const auto cut = letters.begin() + static_cast<std::ptrdiff_t>(letters.size() / 10 * 9);
  const Letters train(letters.begin(), cut);
  const Letters validation(cut, letters.end());
  const auto size = static_cast<std::int64_t>(vocabulary.size());
  const layers::RecurrentLayer options{.sequence = true, .stateful = true};
  const Sequential model({layers::embedding(64, size), layers::lstm(256, options),
                          layers::dropout(0.2), layers::linear(size)});
  auto parameters = std::make_shared<Parameters>();
  const auto graph = training_step(model, {kReaders, kSteps}, size, {.clip = {.norm = 1}});
  declare_parameters(*parameters, *graph, initialize(model, {kSteps}, 1));
  Program step(*graph, parameters, {.threads = make_thread_pool(), .guard = "loss"});
  Program test = reader(model, parameters, kReaders, kSteps);
  Program writer = reader(model, parameters, 1, 1);
  const std::int64_t epochs = count > 1 ? std::atoi(arguments[1]) : 10;
  const std::int64_t batches = batches_in(train);
  const Schedule schedule = Schedule::parse("cosine warmup=100 min=0.05");
  for (std::int64_t number = 1; number <= epochs * batches; ++number) {
    const std::int64_t index = (number - 1) % batches;
    if (index == 0) reset_state(*parameters);
    read_on(train, index, step);
    step.input<float>("lr")[0] =
        static_cast<float>(0.004 * learning_rate(schedule, number, epochs * batches));
    step.input<float>("step")[0] = static_cast<float>(number);
    if (!step.run()) return std::cerr << "the loss is not finite\n", 1;
    if (index + 1 < batches) continue;
    reset_state(*parameters);
    double loss = 0;
    for (std::int64_t i = 0; i < batches_in(validation); ++i) {
      read_on(validation, i, test);
      test.run();
      loss += static_cast<double>(test.output<float>("loss")[0]);
    }
    std::cout << "epoch " << number / batches << "  training loss " << step.output<float>("loss")[0]
              << "  validation loss " << loss / static_cast<double>(batches_in(validation)) << "\n";
  }
  std::mt19937 random(1);
  for (int i = 0; i < 400; ++i) {
    writer.run();
    const auto p = writer.output<float>("p");
    const auto next = std::discrete_distribution<std::int32_t>(p.begin(), p.end())(random);
    writer.input<std::int32_t>("x")[0] = next;
    std::cout << vocabulary[static_cast<std::size_t>(next)];
  }
  std::cout << "\n";
}
