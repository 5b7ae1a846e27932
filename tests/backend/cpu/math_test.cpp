// The elementary functions that chains are made of: accuracy over the whole range, special values.
#include <cmath>
#include <functional>
#include <numbers>

#include "backend/cpu/kernel_testing.h"
#include "backend/cpu/kernels/chain.h"

using namespace chainrule;
using namespace chainrule::cpu;

namespace {

Chain unary(Fn fn) {
  Chain chain;
  chain.add_output(chain.add(fn, chain.add_input({})));
  chain.finish();
  return chain;
}

// Every 2003rd float of both signs, the neighbourhood of 0 and 1, and the special values.
std::vector<float> all_scales() {
  std::vector<float> values;
  for (std::uint32_t bits = 0; bits < 0x7F800000; bits += 2003) {
    values.push_back(std::bit_cast<float>(bits));
    values.push_back(std::bit_cast<float>(bits | 0x80000000));
  }
  for (int i = -20000; i <= 20000; ++i) {
    values.push_back(static_cast<float>(i) * 0.005F);
    values.push_back(1 + static_cast<float>(i) * 0x1p-23F);
  }
  for (const float x :
       {0.0F, -0.0F, 1.0F, -1.0F, kInfinity, -kInfinity, kNaN, 0x1p-149F, 0x1p-126F,
        std::numeric_limits<float>::max(), 88.72F, 88.73F, -87.4F, -103.9F, -104.1F})
    values.push_back(x);
  return values;
}

// The function of each number; what is not written stays NaN.
std::vector<float> applied(Fn fn, const std::vector<float>& x) {
  std::vector<float> y(x.size(), kNaN);
  const float* const inputs[] = {x.data()};
  float* const outputs[] = {y.data()};
  unary(fn).run(inputs, outputs, 0, static_cast<std::int64_t>(x.size()));
  return y;
}

void check_accuracy(const char* name, Fn fn, double limit, const std::function<double(double)>& f,
                    double largest = 1e39) {
  const std::vector<float> x = all_scales();
  const std::vector<float> y = applied(fn, x);
  double worst = 0;
  float where = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::abs(x[i]) > static_cast<float>(largest)) continue;
    const double distance = ulp_distance(y[i], f(static_cast<double>(x[i])));
    if (distance > worst) {
      worst = distance;
      where = x[i];
    }
  }
  INFO(std::string(name) << ": worst at " << where);
  CHECK(worst <= limit);
}

}  // namespace

TEST_CASE("elementary functions are accurate over the whole range on every target") {
  for_each_target([] {
    check_accuracy("exp", Fn::kExp, 2, [](double x) { return std::exp(x); });
    check_accuracy("expm1", Fn::kExpm1, 2, [](double x) { return std::expm1(x); });
    check_accuracy("log", Fn::kLog, 2, [](double x) { return std::log(x); });
    check_accuracy("log1p", Fn::kLog1p, 2, [](double x) { return std::log1p(x); });
    check_accuracy("tanh", Fn::kTanh, 4, [](double x) { return std::tanh(x); });
    check_accuracy("sigmoid", Fn::kSigmoid, 3, [](double x) { return 1 / (1 + std::exp(-x)); });
    check_accuracy("softplus", Fn::kSoftplus, 3,
                   [](double x) { return x > 40 ? x : std::log1p(std::exp(x)); });
    check_accuracy("erf", Fn::kErf, 4, [](double x) { return std::erf(x); });
    check_accuracy("sqrt", Fn::kSqrt, 0.5, [](double x) { return std::sqrt(x); });
    check_accuracy("reciprocal", Fn::kReciprocal, 0.5, [](double x) { return 1 / x; });
  });
}

TEST_CASE("gelu is accurate far into its tail, and its slope to a rounding of 1") {
  const auto distribution = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  const auto density = [](double x) {
    return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
  };
  for_each_target([&] {
    std::vector<float> x;
    for (int i = -12000; i <= 12000; ++i) x.push_back(static_cast<float>(i) * 0.00101F);
    for (const Fn fn : {Fn::kGelu, Fn::kGeluSlope}) {
      const std::vector<float> y = applied(fn, x);
      double worst = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double v = x[i];
        const double gelu = v * distribution(v);
        const double slope = distribution(v) + v * density(v);
        // The exponent itself is rounded: e^(−x²/2) is off by x²/2 roundings.
        const double error = fn == Fn::kGelu ? std::abs(y[i] - gelu) / (std::abs(gelu) + 1e-38) /
                                                   (6e-7 + v * v / 2 * 6e-8)
                                             : std::abs(y[i] - slope) / 3e-7;
        worst = std::max(worst, error);
      }
      CHECK(worst < 1);
    }
  });
}

TEST_CASE("sine and cosine are accurate for every finite number, however far from 0") {
  // The nearest floats to multiples of π/2 of all sizes, where most of the angle cancels.
  std::vector<float> x = all_scales();
  for (double k = 1; k < 2e38; k = std::floor(k * 1.01) + 1) {
    for (const double sign : {-1.0, 1.0}) {
      x.push_back(static_cast<float>(sign * k * (std::numbers::pi / 2)));
    }
  }
  for (const float far : {25737.0F, 1e7F, 1e13F, 3e38F, 0x1p27F, 16367173.0F * 0x1p72F}) {
    x.push_back(far);
    x.push_back(-far);
    x.push_back(std::nextafter(far, 0.0F));
  }
  for_each_target([&] {
    for (const Fn fn : {Fn::kSin, Fn::kCos}) {
      const std::vector<float> y = applied(fn, x);
      double worst = 0;
      float where = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto v = static_cast<double>(x[i]);
        const double distance = ulp_distance(y[i], fn == Fn::kSin ? std::sin(v) : std::cos(v));
        if (distance > worst) {
          worst = distance;
          where = x[i];
        }
      }
      INFO("worst at " << where);
      CHECK(worst <= 2);
    }
  });
}

TEST_CASE("tanh keeps what its slope is made of where it is nearly 1") {
  for_each_target([] {
    std::vector<float> x;
    for (int i = 1; i < 7000; ++i) x.push_back(2.5F + static_cast<float>(i) * 0.001F);
    const std::vector<float> y = applied(Fn::kTanh, x);
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      worst = std::max(worst, ulp_distance(y[i], std::tanh(static_cast<double>(x[i]))));
    }
    CHECK(worst <= 0.75);
  });
}
