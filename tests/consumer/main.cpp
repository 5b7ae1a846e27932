// Uses the installed library as another project would: trains, saves, loads and asks a model, and
// exits non-zero when it has not learned.
#include <chainrule/chainrule.h>

#include <iostream>

using namespace chainrule;

int main() {
  const Table flowers = builtin("iris");
  const TrainingData data = open_data("iris");
  Model model("linear 16, relu, linear 3");
  model.fit(data, {.epochs = 50, .lr = 0.01});
  model.save("consumer.safetensors");
  const Model loaded = Model::load("consumer.safetensors");
  const double accuracy = loaded.evaluate(flowers).accuracy;
  std::cout << "accuracy " << accuracy << ", the first flower is "
            << loaded.predict(flowers).classes[0] << '\n';
  return accuracy > 0.9 ? 0 : 1;
}
