// Uses the installed library as another project would; exits non-zero when it answers wrongly.
#include <chainrule/tensor.h>

#include <iostream>

int main() {
  const chainrule::Tensor x = chainrule::Tensor::of<double>({3}, {1.5, -2.0, 3.0});
  const chainrule::Tensor y = x.as(chainrule::DType::kF32);
  std::cout << chainrule::to_string(y.dtype()) << chainrule::to_string(y.shape()) << '\n';
  return y.values<float>()[1] == -2.0F ? 0 : 1;
}
