// One Predictor for several threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "chainrule/train.h"

using namespace chainrule;

namespace {

Tensor random_rows(Shape shape, unsigned seed) {
  Tensor x(DType::kF32, std::move(shape));
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (float& v : x.values<float>()) v = uniform(random);
  return x;
}

std::shared_ptr<Parameters> first_weights(const Sequential& model, const Shape& input) {
  auto parameters = std::make_shared<Parameters>();
  for (const auto& [name, tensor] : initialize(model, input, 1)) parameters->set(name, tensor);
  return parameters;
}

bool same(const Tensor& a, const Tensor& b) {
  const auto x = a.values<float>();
  const auto y = b.values<float>();
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

}  // namespace

TEST_CASE("several threads may use one predictor at the same time") {
  const Sequential model = Sequential::parse("lstm 5, linear 3");
  const Shape input{4, 6};
  const auto parameters = first_weights(model, input);
  const Predictor predict(model, input, parameters, make_thread_pool(3));
  constexpr int kUsers = 4;
  constexpr int kCalls = 30;
  std::vector<int> wrong(kUsers, 0);
  std::vector<std::thread> users;
  for (int user = 0; user < kUsers; ++user) {
    users.emplace_back([&, user] {
      // More rows than one batch, and other ones for each thread; every other call has lengths.
      const Tensor x = random_rows({300 + user, 4, 6}, static_cast<unsigned>(user));
      Tensor lengths(DType::kI32, {300 + user});
      for (std::size_t row = 0; row < lengths.values<std::int32_t>().size(); ++row) {
        lengths.values<std::int32_t>()[row] = 1 + static_cast<std::int32_t>(row) % 4;
      }
      const Predictor alone(model, input, parameters);
      const Tensor expected = alone(x);
      const Tensor expected_with_lengths = alone(x, lengths);
      for (int call = 0; call < kCalls; ++call) {
        if (!same(predict(x), expected)) ++wrong[static_cast<std::size_t>(user)];
        if (!same(predict(x, lengths), expected_with_lengths)) {
          ++wrong[static_cast<std::size_t>(user)];
        }
      }
    });
  }
  for (std::thread& user : users) user.join();
  CHECK(wrong == std::vector<int>(kUsers, 0));
}

TEST_CASE("a predictor serves on after rows that it refused") {
  const Sequential model = Sequential::parse("embedding 3 vocabulary=5, flatten, linear 2");
  const Shape input{2};
  const Predictor predict(model, input, first_weights(model, input));
  Tensor x(DType::kI32, {200, 2});
  const Tensor good = predict(x);
  x.values<std::int32_t>()[399] = 5;
  CHECK_THROWS(predict(x));
  // Fewer rows: what is left of the bad ones must not be looked at.
  CHECK(predict(Tensor(DType::kI32, {1, 2})).shape() == Shape{1, 2});
}
