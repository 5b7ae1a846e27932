// Two convolutions on MNIST or, given its folder's name, on Fashion-MNIST: 50,186 parameters. The
// recipe was chosen on the last 10,000 training images, held out; the test images only measure.
//
//     CHAINRULE_DATA=shared/data build/release/mnist [mnist|fashion-mnist] [EPOCHS]
#include <cstdlib>
#include <iostream>

#include "chainrule/chainrule.h"

using namespace chainrule;

int main(int count, char** arguments) {
  const char* data = std::getenv("CHAINRULE_DATA");
  if (data == nullptr) return std::cerr << "set CHAINRULE_DATA to the folder of the data\n", 2;
  const std::string name = count > 1 ? arguments[1] : "mnist";
  const bool fashion = name == "fashion-mnist";
  const std::optional<IdxFiles> files = find_idx_files(std::string(data) + "/" + name);
  if (!files) return std::cerr << "no IDX files in " << data << "/" << name << "\n", 1;
  const Dataset train = read_idx_dataset(files->train_images, files->train_labels);
  const Dataset test = read_idx_dataset(files->test_images, files->test_labels, train.classes);

  const Sequential network = Sequential::parse(
      "conv2d 32, relu, max_pool, conv2d 64, relu, max_pool, flatten, dropout 0.4, linear 10");
  std::cout << network.summary({28, 28, 1});
  FitOptions options;
  options.epochs = count > 2 ? std::atoi(arguments[2]) : fashion ? 15 : 5;
  options.batch = 64;
  options.lr = 0.003;
  options.optimizer = Optimizer::parse("adam");
  options.schedule = Schedule::parse("one_cycle");
  options.augmentation = Augmentation::parse(fashion ? "flip" : "shift 1");
  options.seed = 1;
  const auto parameters = std::make_shared<Parameters>();
  const FitResult result =
      fit(network, parameters, train, &test, options, [](const Progress& progress) {
        if (!progress.epoch_done) return;
        std::cout << "epoch " << progress.epoch << "  loss " << progress.training.loss
                  << "  test accuracy " << 100 * progress.validation.accuracy << " %\n";
      });
  std::cout << "test accuracy " << 100 * result.validation.accuracy << " % after " << result.seconds
            << " s\n";
}
