// Uses the installed library as another project would: trains a small network, and exits non-zero
// when it has not learned.
#include <chainrule/chainrule.h>

#include <iostream>

using namespace chainrule;

int main() {
  // y = x1 > x2, from 64 points.
  Dataset data;
  data.x = Tensor(DType::kF32, {64, 2});
  data.labels = Tensor(DType::kI32, {64});
  data.classes = {"no", "yes"};
  RandomState random(0);
  for (std::size_t i = 0; i < 64; ++i) {
    const double a = random.rand();
    const double b = random.rand();
    data.x.values<float>()[2 * i] = static_cast<float>(a);
    data.x.values<float>()[2 * i + 1] = static_cast<float>(b);
    data.labels.values<std::int32_t>()[i] = a > b ? 1 : 0;
  }
  FitOptions options;
  options.epochs = 200;
  options.lr = 0.01;
  const auto parameters = std::make_shared<Parameters>();
  const Sequential network = Sequential::parse("linear 8, relu, linear 2");
  const FitResult result = fit(network, parameters, data, nullptr, options);
  std::cout << "accuracy " << result.training.accuracy << '\n';
  return result.training.accuracy > 0.9 ? 0 : 1;
}
