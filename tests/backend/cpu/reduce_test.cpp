// Reductions against double-precision loops, and the same bits however the work is split.
#include "backend/cpu/kernels/reduce.h"

#include "backend/cpu/kernel_testing.h"
#include "backend/cpu/kernels/moments.h"

using namespace chainrule::cpu;

namespace {

constexpr std::int64_t kLengths[] = {100, 127, 128, 1000, 4097};

template <class Body>
void for_each_length(const Body& body) {
  for (std::int64_t n = 0; n <= 70; ++n) body(n);
  for (const std::int64_t n : kLengths) body(n);
}

}  // namespace

TEST_CASE("sum and max over an axis agree with a double-precision loop") {
  for_each_target([] {
    for (const std::int64_t inner : {1, 2, 3, 10, 16, 33, 70}) {
      for_each_length([&](std::int64_t reduced) {
        const std::int64_t outer = 3;
        Guarded<float> x(outer * reduced * inner, reduced);
        fill_random(x, -1, 2, static_cast<unsigned>(reduced * 71 + inner));
        Guarded<float> total(outer * inner, inner);
        Guarded<float> largest(outer * inner, inner + 1);
        sum(x.data(), total.data(), {reduced, inner, 0, outer, 0, inner}, 0.5F);
        max(x.data(), largest.data(), {reduced, inner, 0, outer, 0, inner});
        bool good = true;
        for (std::int64_t o = 0; o < outer; ++o) {
          for (std::int64_t i = 0; i < inner; ++i) {
            double expected = 0;
            double size = 0;
            double top = -std::numeric_limits<double>::infinity();
            for (std::int64_t r = 0; r < reduced; ++r) {
              const auto v = static_cast<double>(x[(o * reduced + r) * inner + i]);
              expected += 0.5 * v;
              size += std::abs(v);
              top = std::max(top, v);
            }
            good = good && near(total[o * inner + i], expected, 1e-6, size) &&
                   static_cast<double>(largest[o * inner + i]) == top;
          }
        }
        INFO("reduced " << reduced << ", inner " << inner);
        CHECK(good);
        CHECK(total.intact());
        CHECK(largest.intact());
      });
    }
  });
}

TEST_CASE("a reduction split over outer or inner gives the same bits") {
  for_each_target([] {
    const std::int64_t outer = 5;
    const std::int64_t reduced = 77;
    for (const std::int64_t inner : {1, 67}) {
      Guarded<float> x(outer * reduced * inner, 7);
      fill_random(x, -1, 1);
      Guarded<float> whole(outer * inner);
      Guarded<float> split(outer * inner);
      Guarded<float> whole_max(outer * inner);
      Guarded<float> split_max(outer * inner);
      sum(x.data(), whole.data(), {reduced, inner, 0, outer, 0, inner});
      max(x.data(), whole_max.data(), {reduced, inner, 0, outer, 0, inner});
      for (std::int64_t o = 0; o < outer; ++o) {
        for (std::int64_t i = 0; i < inner; i += 13) {
          const ReduceRange part{reduced, inner, o, o + 1, i, std::min(inner, i + 13)};
          sum(x.data(), split.data(), part);
          max(x.data(), split_max.data(), part);
        }
      }
      CHECK(same_bits(whole.values(), split.values()));
      CHECK(same_bits(whole_max.values(), split_max.values()));
    }
  });
}

TEST_CASE("max and argmax treat NaN as the largest, and the first of equals wins") {
  for_each_target([] {
    for (std::int64_t n = 1; n <= 70; ++n) {
      Guarded<float> x(2 * n, n);
      Guarded<std::int32_t> at(2, 0, -1);
      Guarded<float> top(2);
      const std::int64_t place = n * 5 / 7;
      for (std::int64_t i = 0; i < 2 * n; ++i) x[i] = static_cast<float>(-(i % 7) - 3);
      for (std::int64_t i = place; i < n; ++i) x[i] = -1;  // equal from `place` on
      x[n + place] = kNaN;
      argmax(x.data(), at.data(), n, 0, 2);
      max(x.data(), top.data(), {n, 1, 0, 2, 0, 1});
      CHECK(at[0] == place);
      CHECK(at[1] == place);
      CHECK(top[0] == -1.0F);
      CHECK(std::isnan(top[1]));
      CHECK(at.intact());
    }
  });
}

TEST_CASE("the largest of nothing but negative infinities is negative infinity") {
  for_each_target([] {
    for (std::int64_t n = 1; n <= 70; ++n) {
      Guarded<float> x(n, n, -kInfinity);
      Guarded<float> top(1);
      Guarded<std::int32_t> at(1, 0, -1);
      max(x.data(), top.data(), {n, 1, 0, 1, 0, 1});
      argmax(x.data(), at.data(), n, 0, 1);
      CHECK(top[0] == -kInfinity);
      CHECK(at[0] == 0);
    }
  });
}

TEST_CASE("a full sum by chunks and its tree are accurate and independent of the split") {
  for_each_target([] {
    for (const std::int64_t n : {0, 1, 4095, 4096, 4097, 100003}) {
      Guarded<float> x(n, 3);
      fill_random(x, -1, 2);
      const std::int64_t count = sum_chunk_count(n);
      Guarded<float> partials(count);
      Guarded<float> squares(count);
      Guarded<float> again(count);
      sum_chunks(x.data(), n, 0, count, partials.data());
      sum_squares_chunks(x.data(), n, 0, count, squares.data());
      for (std::int64_t c = 0; c < count; ++c) sum_chunks(x.data(), n, c, c + 1, again.data());
      double expected = 0;
      double expected_squares = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        expected += static_cast<double>(x[i]);
        expected_squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      }
      CHECK(near(sum_partials(partials.data(), count), expected, 1e-6, expected_squares));
      CHECK(near(sum_partials(squares.data(), count), expected_squares, 1e-6));
      CHECK(same_bits(partials.values(), again.values()));
      CHECK(partials.intact());
      CHECK(squares.intact());
    }
  });
}

TEST_CASE("NaN and infinities are found wherever they stand") {
  for_each_target([] {
    for_each_length([](std::int64_t n) {
      Guarded<float> x(n, n);
      fill_random(x, -1e38F, 1e38F);
      CHECK(all_finite(x.data(), n));
      CHECK(count_non_finite(x.data(), n).nan == 0);
      CHECK(count_non_finite(x.data(), n).inf == 0);
      for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
        if (at < 0 || at >= n) continue;
        const float kept = x[at];
        for (const float bad : {kNaN, kInfinity, -kInfinity}) {
          x[at] = bad;
          CHECK_FALSE(all_finite(x.data(), n));
          const NonFinite found = count_non_finite(x.data(), n);
          CHECK(found.nan == (std::isnan(bad) ? 1 : 0));
          CHECK(found.inf == (std::isnan(bad) ? 0 : 1));
        }
        x[at] = kept;
      }
    });
  });
}

TEST_CASE("the error of a sum does not grow with the number of its terms") {
  const std::int64_t n = 1'000'003;
  Guarded<float> x(3 * n, 0, 0.1F);
  const double expected = static_cast<double>(n) * static_cast<double>(0.1F);
  for_each_target([&] {
    Guarded<float> along(1);
    Guarded<float> down(3);
    sum(x.data(), along.data(), {n, 1, 0, 1, 0, 1});
    sum(x.data(), down.data(), {n, 3, 0, 1, 0, 3});
    CHECK(near(along[0], expected, 2e-7));
    for (std::int64_t i = 0; i < 3; ++i) CHECK(near(down[i], expected, 2e-7));
    // One after the other, as slices of a batch come.
    Guarded<float> total(3, 0, 0.1F);
    Guarded<float> lost(3, 0, 0.0F);
    for (int i = 1; i < 100'000; ++i) add_to_sum(x.data(), total.data(), lost.data(), 3);
    for (std::int64_t i = 0; i < 3; ++i) CHECK(near(total[i], 1e5 * double{0.1F}, 1e-7));
  });
}

TEST_CASE("a long sum of infinities or NaN is what adding them up plainly gives") {
  const std::int64_t n = 10'007;
  for_each_target([&] {
    for (const std::int64_t at : {0, 5, 700, 9'000, 10'006}) {
      Guarded<float> x(2 * n, 0, 1.0F);
      Guarded<float> y(2);
      const auto sums = [&](float first, float second, std::int64_t inner) {
        x[inner * at] = first;
        x[inner * ((at + 5'000) % n)] = second;
        sum(x.data(), y.data(), {n, inner, 0, 1, 0, inner});
        return y[0];
      };
      for (const std::int64_t inner : {1, 2}) {
        CHECK(sums(kInfinity, 1, inner) == kInfinity);
        CHECK(sums(-kInfinity, -kInfinity, inner) == -kInfinity);
        CHECK(std::isnan(sums(kInfinity, -kInfinity, inner)));
        CHECK(std::isnan(sums(kNaN, 1, inner)));
        CHECK(sums(std::numeric_limits<float>::max(), std::numeric_limits<float>::max(), inner) ==
              kInfinity);
        CHECK(sums(1, 1, inner) == static_cast<float>(n));
      }
    }
  });
}

TEST_CASE("a variance keeps its digits where the mean is a million times the deviation") {
  const std::int64_t n = 100'003;
  const std::int64_t channels = 5;
  Guarded<float> x(n * channels);
  fill_random(x, 1e6F - 2, 1e6F + 2);
  const auto expected = [&](std::int64_t first, std::int64_t stride) {
    double mean = 0;
    double squares = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += double{x[first + i * stride]} - 1e6;
    mean = 1e6 + mean / static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i)
      squares += std::pow(double{x[first + i * stride]} - mean, 2);
    return squares / static_cast<double>(n);
  };
  for_each_target([&] {
    Guarded<float> rows(2);
    row_variances(x.data(), rows.data(), n, 0, 2);
    for (std::int64_t r = 0; r < 2; ++r) CHECK(near(rows[r], expected(r * n, 1), 1e-6));

    Guarded<float> memory(2 * Moments::kArrays * channels);
    Guarded<float> own(Moments::kArrays * channels);
    Guarded<float> columns(channels);
    Moments whole = Moments::at(memory.data(), channels);
    Moments half = Moments::at(memory.data() + Moments::kArrays * channels, channels);
    add_rows(x.data(), 40'001, channels, channels, whole, own.data());
    add_rows(x.data() + 40'001 * channels, n - 40'001, channels, channels, half, own.data());
    add_moments(half, channels, whole);
    variances(whole, channels, columns.data());
    for (std::int64_t c = 0; c < channels; ++c) {
      CHECK(near(columns[c], expected(c, channels), 1e-6));
    }
    CHECK(memory.intact());
    CHECK(own.intact());

    Guarded<float> equal(1000, 0, 1e6F + 0.0625F);
    row_variances(equal.data(), rows.data(), 1000, 0, 1);
    CHECK(rows[0] == 0.0F);
  });
}
