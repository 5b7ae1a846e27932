// Softmax, cross-entropy and their gradients against double-precision loops.
#include "backend/cpu/kernels/softmax.h"

#include <vector>

#include "backend/cpu/kernel_testing.h"

using namespace chainrule::cpu;

namespace {

constexpr std::int64_t kRows = 5;

// log_softmax of row r in double precision.
std::vector<double> log_softmax_row(Guarded<float>& x, std::int64_t columns, std::int64_t r) {
  std::vector<double> y;
  double top = -std::numeric_limits<double>::infinity();
  for (std::int64_t c = 0; c < columns; ++c)
    top = std::max(top, static_cast<double>(x[r * columns + c]));
  double total = 0;
  for (std::int64_t c = 0; c < columns; ++c)
    total += std::exp(static_cast<double>(x[r * columns + c]) - top);
  for (std::int64_t c = 0; c < columns; ++c)
    y.push_back(static_cast<double>(x[r * columns + c]) - top - std::log(total));
  return y;
}

template <class Body>
void for_each_width(const Body& body) {
  for (std::int64_t n = 1; n <= 70; ++n) body(n);
  for (const std::int64_t n : {100, 257, 1000}) body(n);
}

std::vector<double> sums(Guarded<float>& a, Guarded<float>* b, std::int64_t columns) {
  std::vector<double> totals(kRows, 0.0);
  for (std::int64_t i = 0; i < kRows * columns; ++i)
    totals[static_cast<std::size_t>(i / columns)] +=
        static_cast<double>(a[i]) * (b == nullptr ? 1.0 : static_cast<double>((*b)[i]));
  return totals;
}

}  // namespace

TEST_CASE("softmax and log_softmax agree with a double-precision loop, also in place") {
  for_each_target([] {
    for_each_width([](std::int64_t columns) {
      const std::int64_t n = kRows * columns;
      Guarded<float> x(n, columns);
      fill_random(x, -20, 20, static_cast<unsigned>(columns));
      for (std::int64_t c = 0; c < columns; ++c) x[c] += 1000;  // would overflow without the shift
      Guarded<float> y(n, 3);
      Guarded<float> logs(n, 5);
      softmax(x.data(), y.data(), columns, 0, kRows);
      log_softmax(x.data(), logs.data(), columns, 0, kRows);
      bool good = true;
      for (std::int64_t r = 0; r < kRows; ++r) {
        const std::vector<double> expected = log_softmax_row(x, columns, r);
        for (std::int64_t c = 0; c < columns; ++c) {
          const double e = expected[static_cast<std::size_t>(c)];
          // x − m, up to 40 in size, is itself rounded to 2e-6.
          good = good && near(y[r * columns + c], std::exp(e), 3e-6) &&
                 near(logs[r * columns + c], e, 4e-7, 1.0);
        }
      }
      INFO("columns " << columns);
      CHECK(good);
      Guarded<float> split(n);
      for (std::int64_t r = 0; r < kRows; ++r) softmax(x.data(), split.data(), columns, r, r + 1);
      CHECK(same_bits(split.values(), y.values()));
      Guarded<float> copy(n, 1);
      for (std::int64_t i = 0; i < n; ++i) copy[i] = x[i];
      softmax(copy.data(), copy.data(), columns, 0, kRows);
      log_softmax(x.data(), x.data(), columns, 0, kRows);
      CHECK(same_bits(copy.values(), y.values()));
      CHECK(same_bits(x.values(), logs.values()));
      CHECK(x.intact());
      CHECK(y.intact());
      CHECK(logs.intact());
      CHECK(copy.intact());
    });
  });
}

TEST_CASE("the gradients of softmax and log_softmax agree with their formulas") {
  for_each_target([] {
    for_each_width([](std::int64_t columns) {
      const std::int64_t n = kRows * columns;
      Guarded<float> x(n, 2);
      Guarded<float> y(n, 4);
      Guarded<float> logs(n, 6);
      Guarded<float> dy(n, 8);
      Guarded<float> dx(n, 1);
      Guarded<float> dlogs(n, 9);
      fill_random(x, -2, 2, 5);
      fill_random(dy, -1, 1, 6);
      softmax(x.data(), y.data(), columns, 0, kRows);
      log_softmax(x.data(), logs.data(), columns, 0, kRows);
      softmax_gradient(y.data(), dy.data(), dx.data(), columns, 0, kRows);
      log_softmax_gradient(logs.data(), dy.data(), dlogs.data(), columns, 0, kRows);
      const std::vector<double> dots = sums(dy, &y, columns);
      const std::vector<double> totals = sums(dy, nullptr, columns);
      bool good = true;
      for (std::int64_t i = 0; i < n; ++i) {
        const auto r = static_cast<std::size_t>(i / columns);
        const auto d = static_cast<double>(dy[i]);
        const auto p = static_cast<double>(y[i]);
        good = good && near(dx[i], p * (d - dots[r]), 3e-6, p) &&
               near(dlogs[i], d - std::exp(static_cast<double>(logs[i])) * totals[r], 3e-6, 1.0);
      }
      CHECK(good);
      CHECK(dx.intact());
      CHECK(dlogs.intact());
    });
  });
}

TEST_CASE("cross-entropy with labels or target rows, smoothed or not, and its gradient") {
  for_each_target([] {
    for_each_width([](std::int64_t columns) {
      for (const float smoothing : {0.0F, 0.1F}) {
        const std::int64_t n = kRows * columns;
        const double s = static_cast<double>(smoothing);
        Guarded<float> x(n, 2);
        fill_random(x, -5, 5, static_cast<unsigned>(columns));
        Guarded<std::int32_t> labels(kRows, 1, 0);
        Guarded<float> targets(n, 3, 0.0F);
        for (std::int32_t r = 0; r < kRows; ++r) {
          labels[r] = static_cast<std::int32_t>((r * 7 + 3) % columns);
          targets[r * columns + labels[r]] = 1.0F;
        }
        Guarded<float> losses(kRows);
        Guarded<float> losses_t(kRows);
        Guarded<float> p(n, 5);
        Guarded<float> p_t(n, 5);
        Guarded<float> logs(n, 7);
        Guarded<float> dx(n, 1);
        Guarded<float> dx_t(n, 11);
        CHECK(cross_entropy(x.data(), labels.data(), smoothing, {losses.data(), p.data(), nullptr},
                            columns, 0, kRows) == -1);
        cross_entropy(x.data(), targets.data(), smoothing,
                      {losses_t.data(), p_t.data(), logs.data()}, columns, 0, kRows);
        CHECK(cross_entropy_gradient(p.data(), labels.data(), smoothing, 0.25F, dx.data(), columns,
                                     0, kRows) == -1);
        cross_entropy_gradient(p_t.data(), targets.data(), smoothing, 0.25F, dx_t.data(), columns,
                               0, kRows);
        bool good = true;
        for (std::int64_t r = 0; r < kRows; ++r) {
          const std::vector<double> expected = log_softmax_row(x, columns, r);
          double loss = 0;
          for (std::int64_t c = 0; c < columns; ++c) {
            const double e = expected[static_cast<std::size_t>(c)];
            const double t =
                (1 - s) * (c == labels[r] ? 1.0 : 0.0) + s / static_cast<double>(columns);
            loss -= t * e;
            const std::int64_t i = r * columns + c;
            good = good && near(p[i], std::exp(e), 2e-6) && near(p_t[i], std::exp(e), 2e-6) &&
                   near(logs[i], e, 1e-6, 1.0) &&
                   near(dx[i], 0.25 * (std::exp(e) - t), 1e-6, 1.0) &&
                   near(dx_t[i], 0.25 * (std::exp(e) - t), 1e-6, 1.0);
          }
          good = good && near(losses[r], loss, 2e-6, 1.0) && near(losses_t[r], loss, 2e-6, 1.0);
        }
        INFO("columns " << columns << ", smoothing " << smoothing);
        CHECK(good);
        // The dense result may take the place of the logits, and the gradient that of p.
        cross_entropy_gradient(p.data(), labels.data(), smoothing, 0.25F, p.data(), columns, 0,
                               kRows);
        CHECK(same_bits(p.values(), dx.values()));
        cross_entropy(x.data(), labels.data(), smoothing, {nullptr, x.data(), logs.data()}, columns,
                      0, kRows);
        CHECK(same_bits(x.values(), p_t.values()));
        for (Guarded<float>* array : {&x, &losses, &losses_t, &p, &p_t, &logs, &dx, &dx_t})
          CHECK(array->intact());
      }
    });
  });
}

TEST_CASE("a label out of range is reported and touches nothing") {
  Guarded<float> x({1, 2, 3, 4, 5, 6});
  Guarded<std::int32_t> labels({0, 3});
  Guarded<float> losses(2);
  Guarded<float> p(6);
  CHECK(cross_entropy(x.data(), labels.data(), 0, {losses.data(), p.data(), nullptr}, 3, 0, 2) ==
        1);
  CHECK(std::isfinite(losses[0]));
  CHECK(std::isnan(losses[1]));
  labels[0] = -1;
  CHECK(cross_entropy_gradient(p.data(), labels.data(), 0, 1, p.data(), 3, 0, 2) == 0);
  CHECK(p.intact());
}

TEST_CASE("soft targets that do not sum to one have the gradient of their loss") {
  Guarded<float> x({0.5F, -1, 2});
  Guarded<float> t({0.5F, 0.25F, 0.75F});
  Guarded<float> p(3);
  Guarded<float> dx(3);
  Guarded<float> loss(1);
  cross_entropy(x.data(), t.data(), 0.0F, {loss.data(), p.data(), nullptr}, 3, 0, 1);
  cross_entropy_gradient(p.data(), t.data(), 0.0F, 1.0F, dx.data(), 3, 0, 1);
  const auto loss_at = [&](std::int64_t which, double by) {
    double total = 0;
    double cost = 0;
    for (std::int64_t c = 0; c < 3; ++c)
      total += std::exp(static_cast<double>(x[c]) + (c == which ? by : 0));
    for (std::int64_t c = 0; c < 3; ++c)
      cost += static_cast<double>(t[c]) *
              (std::log(total) - static_cast<double>(x[c]) - (c == which ? by : 0));
    return cost;
  };
  CHECK(near(loss[0], loss_at(0, 0), 1e-6));
  for (std::int64_t c = 0; c < 3; ++c)
    CHECK(near(dx[c], (loss_at(c, 1e-5) - loss_at(c, -1e-5)) / 2e-5, 1e-5));
}
