#include "backend/cpu/kernels/onednn.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "backend/threads/thread_pool.h"
#include "base/philox.h"

using namespace chainrule::cpu;

namespace {

// Computes a·b in every transposition by `product`, from two threads at once, and compares.
template <typename Product>
void compare(Product product) {
  constexpr std::int64_t kM = 33;
  constexpr std::int64_t kN = 47;
  constexpr std::int64_t kK = 129;
  const chainrule::PhiloxStream random{3, 0, 0};
  std::vector<float> a(kM * kK);
  std::vector<float> b(kK * kN);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(random.uniform(i) - 0.5);
  for (std::size_t i = 0; i < b.size(); ++i)
    b[i] = static_cast<float>(random.uniform(i + a.size()));
  std::vector<std::vector<float>> results(
      4, std::vector<float>(kM * kN, std::numeric_limits<float>::quiet_NaN()));
  chainrule::ThreadPool pool(2);
  pool.run(4, [&](std::int64_t t, int) {
    const bool ta = t % 2 == 1;
    const bool tb = t >= 2;
    product(ta, tb, kM, kN, kK, a.data(), ta ? kM : kK, b.data(), tb ? kK : kN,
            results[static_cast<std::size_t>(t)].data(), kN);
  });
  for (std::size_t t = 0; t < 4; ++t) {
    double worst = 0;
    for (std::size_t m = 0; m < kM; ++m) {
      for (std::size_t n = 0; n < kN; ++n) {
        double exact = 0;
        for (std::size_t k = 0; k < kK; ++k) {
          exact += double{t % 2 == 1 ? a[k * kM + m] : a[m * kK + k]} *
                   double{t >= 2 ? b[n * kK + k] : b[k * kN + n]};
        }
        const double error = std::abs(results[t][m * kN + n] - exact);
        worst = error <= 1e-4 ? std::max(worst, error) : 1.0;
      }
    }
    CHECK(worst < 1e-4);
    CHECK(worst > 0);
  }
}

}  // namespace

TEST_CASE("oneDNN's product in every transposition, from two threads at once") {
  if (!onednn_available()) {
    MESSAGE("skipped: there is no oneDNN on this machine");
    return;
  }
  compare(onednn_sgemm);
}

TEST_CASE("the product that stands in where oneDNN gives up") { compare(plain_sgemm); }
