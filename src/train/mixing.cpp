// Draws are numbered within a step, so that their number may depend on what was drawn.
#include "train/mixing.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "base/philox.h"

namespace chainrule {
namespace {

constexpr std::uint32_t kShareStream = 0xFFFFFFFC;
constexpr std::uint32_t kPartnerStream = 0xFFFFFFFB;

// Uniform numbers of (0, 1), one after the other.
class Draws {
 public:
  explicit Draws(const PhiloxStream& stream) : stream_(stream) {}
  double next() { return stream_.uniform(count_++) + 0x1p-25; }
  double normal() {
    const double radius = std::sqrt(-2 * std::log(next()));
    return radius * std::cos(2 * std::numbers::pi * next());
  }

 private:
  PhiloxStream stream_;
  std::uint64_t count_ = 0;
};

// The logarithm, since a gamma of a small shape is often too near 0 for a double.
double log_gamma_draw(Draws& draws, double shape) {
  if (shape < 1) return log_gamma_draw(draws, shape + 1) + std::log(draws.next()) / shape;
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = draws.normal();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(draws.next()) < x * x / 2 + d * (1 - v + std::log(v))) return std::log(d * v);
  }
}

}  // namespace

double mixup_share(double alpha, std::uint64_t seed, std::uint32_t step) {
  Draws draws({seed, kShareStream, step});
  const double a = log_gamma_draw(draws, alpha);
  const double b = log_gamma_draw(draws, alpha);
  return 1 / (1 + std::exp(b - a));
}

void mixup_partners(std::span<std::int32_t> partner, std::uint64_t seed, std::uint32_t step) {
  std::iota(partner.begin(), partner.end(), 0);
  const PhiloxStream stream{seed, kPartnerStream, step};
  for (std::size_t i = partner.size(); i > 1; --i) {
    const auto place = static_cast<std::size_t>(stream.uniform(i) * static_cast<double>(i));
    std::swap(partner[i - 1], partner[place]);
  }
}

}  // namespace chainrule
