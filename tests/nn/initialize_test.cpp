#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "chainrule/error.h"
#include "chainrule/nn.h"

using namespace chainrule;

namespace {

struct Moments {
  double mean = 0;
  double deviation = 0;
  double largest = 0;
};

Moments moments(const Tensor& tensor) {
  Moments m;
  const auto n = static_cast<double>(tensor.size());
  for (const float v : tensor.values<float>()) {
    m.mean += static_cast<double>(v) / n;
    m.largest = std::max(m.largest, std::fabs(static_cast<double>(v)));
  }
  for (const float v : tensor.values<float>()) {
    const double d = static_cast<double>(v) - m.mean;
    m.deviation += d * d / n;
  }
  m.deviation = std::sqrt(m.deviation);
  return m;
}

Moments first_weight(const char* init) {
  return moments(initialize(Sequential::parse("linear 200"), {300}, 5, Initializer::parse(init))
                     .at("1.weight"));
}

Initializer chosen(const char* text) {
  return Sequential::parse(text).parameters({4})[0].initializer;
}

}  // namespace

TEST_CASE("initialisers have the variance that their formula states") {
  using doctest::Approx;
  const double tolerance = 0.02;  // 60000 numbers
  CHECK(first_weight("zeros").largest == 0);
  CHECK(first_weight("constant:0.5").mean == Approx(0.5));
  CHECK(first_weight("constant:0.5").deviation < 1e-9);
  CHECK(first_weight("normal:0.01").deviation == Approx(0.01).epsilon(tolerance));
  CHECK(first_weight("uniform:0.3").deviation == Approx(0.3 / std::sqrt(3)).epsilon(tolerance));
  CHECK(first_weight("uniform:0.3").largest <= 0.3);
  const double xavier = std::sqrt(2.0 / 500);
  const double he = std::sqrt(2.0 / 300);
  CHECK(first_weight("xavier_normal").deviation == Approx(xavier).epsilon(tolerance));
  CHECK(first_weight("glorot_uniform").deviation == Approx(xavier).epsilon(tolerance));
  CHECK(first_weight("glorot_uniform").largest <= std::sqrt(6.0 / 500));
  CHECK(first_weight("he_normal").deviation == Approx(he).epsilon(tolerance));
  CHECK(first_weight("kaiming_uniform").deviation == Approx(he).epsilon(tolerance));
  CHECK(first_weight("he_normal:1").deviation == Approx(std::sqrt(1.0 / 300)).epsilon(tolerance));
  for (const char* name : {"normal:1", "uniform:1", "he_normal", "xavier_uniform"}) {
    const Moments m = first_weight(name);
    CHECK(std::fabs(m.mean) < 4 * m.deviation / std::sqrt(60000.0));
  }
}

TEST_CASE("the layer that follows chooses the initialiser, unless one is stated") {
  CHECK(chosen("linear 3, relu").to_text() == "he_normal");
  CHECK(chosen("linear 3, dropout 0.5, gelu").to_text() == "he_normal");
  CHECK(chosen("linear 3, leaky_relu 1").value == doctest::Approx(1.0));
  CHECK(chosen("linear 3, tanh").to_text() == "xavier_uniform");
  CHECK(chosen("linear 3").to_text() == "xavier_uniform");
  CHECK(chosen("linear 3 init=normal:0.2, relu").to_text() == "normal:0.2");
  const Sequential model = Sequential::parse("linear 3, relu, linear 2 init=zeros");
  const std::vector<ParameterInfo> p = model.parameters({4}, Initializer::parse("uniform:0.1"));
  CHECK(p[0].initializer.to_text() == "uniform:0.1");
  CHECK(p[1].initializer.to_text() == "zeros");  // a bias
  CHECK(p[2].initializer.to_text() == "zeros");  // stated in the layer
}

TEST_CASE("first values depend on the seed and the parameter, and on nothing else") {
  const Sequential model = Sequential::parse("linear 8, relu, linear 8");
  const TensorMap a = initialize(model, {8}, 1);
  const TensorMap b = initialize(model, {8}, 1);
  const TensorMap c = initialize(model, {8}, 2);
  const auto equal = [](const Tensor& p, const Tensor& q) {
    return std::ranges::equal(p.values<float>(), q.values<float>());
  };
  CHECK(equal(a.at("1.weight"), b.at("1.weight")));
  CHECK(!equal(a.at("1.weight"), c.at("1.weight")));
  CHECK(!equal(a.at("1.weight"), a.at("3.weight")));
  CHECK(a.at("3.bias").values<float>()[0] == 0);
}

TEST_CASE("an initialiser's text round-trips, and a wrong one says what there is") {
  for (const char* text : {"zeros", "ones", "constant:0.25", "normal:0.01", "uniform:0.5",
                           "xavier_normal", "he_uniform", "he_normal:1.5"}) {
    CHECK(Initializer::parse(text).to_text() == text);
  }
  CHECK_THROWS_AS(Initializer::parse("normal"), UsageError);
  CHECK_THROWS_AS(Initializer::parse("normal:-1"), UsageError);
  CHECK_THROWS_AS(Initializer::parse("normal:x"), UsageError);
  CHECK_THROWS_WITH_AS(Initializer::parse("he_norml"),
                       "unknown initialiser \"he_norml\"; did you mean \"he_normal\"? There are: "
                       "zeros, ones, constant, normal, uniform, xavier_normal, xavier_uniform, "
                       "glorot_normal, glorot_uniform, he_normal, he_uniform, kaiming_normal, "
                       "kaiming_uniform, orthogonal",
                       UsageError);
}
