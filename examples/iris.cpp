// Train, save, load, predict: a classifier of flowers, as the README has it.
#include <chainrule/chainrule.h>

#include <iostream>

using namespace chainrule;

int main() {
  const TrainingData data = open_data("iris");  // or a CSV file, a folder of images, a text
  Model model("linear 32, relu, linear 3");
  const FitResult result = model.fit(data, {.epochs = 100});
  std::cout << metrics_text(result.validation, model.encoder) << " on unseen flowers\n";
  model.save("iris.safetensors");

  const Answers answers = Model::load("iris.safetensors").predict(builtin("iris"));
  std::cout << "the first flower is " << answers.classes[0] << '\n';
}
