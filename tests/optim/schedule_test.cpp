// Schedules against values worked out by hand from their formulas.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "chainrule/error.h"
#include "chainrule/optim.h"

using namespace chainrule;

namespace {

double at(const char* text, std::int64_t step, std::int64_t total) {
  return learning_rate(Schedule::parse(text), step, total);
}

}  // namespace

TEST_CASE("schedules take their known values") {
  using doctest::Approx;
  CHECK(at("constant", 1, 100) == 1);
  CHECK(at("constant", 100, 100) == 1);

  CHECK(at("step every=30", 30, 100) == 1);
  CHECK(at("step every=30", 31, 100) == Approx(0.1));
  CHECK(at("step every=30 factor=0.5", 61, 100) == Approx(0.25));
  CHECK(at("step every=0.5", 50, 100) == 1);
  CHECK(at("step every=0.5", 51, 100) == Approx(0.1));

  CHECK(at("exponential", 1, 100) == 1);
  CHECK(at("exponential", 51, 100) == Approx(0.1));
  CHECK(at("exponential end=0.0001", 26, 100) == Approx(0.1));

  CHECK(at("linear", 1, 10) == 1);
  CHECK(at("linear", 6, 10) == Approx(0.5));
  CHECK(at("linear min=0.2", 6, 10) == Approx(0.6));

  CHECK(at("cosine", 1, 100) == 1);
  CHECK(at("cosine", 26, 100) == Approx((1 + std::sqrt(0.5)) / 2));
  CHECK(at("cosine", 51, 100) == Approx(0.5));
  CHECK(at("cosine", 101, 100) == Approx(0.0));
  CHECK(at("cosine min=0.1", 51, 100) == Approx(0.55));
}

TEST_CASE("a warm-up rises in equal steps to the full rate, and the schedule follows it") {
  using doctest::Approx;
  CHECK(at("constant warmup=4", 1, 100) == Approx(0.25));
  CHECK(at("constant warmup=4", 3, 100) == Approx(0.75));
  CHECK(at("constant warmup=4", 4, 100) == 1);
  CHECK(at("constant warmup=4", 5, 100) == 1);
  CHECK(at("cosine warmup=0.1", 5, 100) == Approx(0.5));
  CHECK(at("cosine warmup=0.1", 11, 100) == 1);
  CHECK(at("cosine warmup=0.1", 56, 100) == Approx(0.5));  // half of the 90 steps that remain
  CHECK(at("linear warmup=500", 100, 100) == 1);  // a warm-up is never longer than the training
}

TEST_CASE("one cycle rises, peaks and falls as PyTorch's OneCycleLR does") {
  using doctest::Approx;
  // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=100, pct_start=0.3), cosine.
  CHECK(at("one-cycle", 1, 100) == Approx(0.04));
  CHECK(at("one-cycle", 30, 100) == Approx(1.0));
  CHECK(at("one-cycle", 100, 100) == Approx(4e-6));
  CHECK(at("one-cycle", 65, 100) == Approx(4e-6 + (1 - 4e-6) * 0.5));
  CHECK(at("one-cycle start=10", 1, 100) == Approx(0.1));
}

TEST_CASE("every schedule stays between 0 and 1 and is finite at the ends") {
  for (const char* text : {"constant", "step every=3", "exponential", "linear", "cosine",
                           "one_cycle", "cosine warmup=10", "one_cycle warmup=0"}) {
    CAPTURE(text);
    for (const std::int64_t total : {1, 2, 7, 50}) {
      for (std::int64_t step = 1; step <= total + 2; ++step) {
        const double factor = at(text, step, total);
        CHECK(factor >= 0);
        CHECK(factor <= 1 + 1e-12);
      }
    }
  }
}

TEST_CASE("a schedule's text round-trips, and a wrong one says what there is") {
  CHECK(Schedule::parse("cosine warmup=100 min=0.01").to_text() == "cosine min=0.01 warmup=100");
  CHECK_THROWS_WITH_AS(Schedule::parse("cosin"),
                       "column 1: unknown schedule \"cosin\"; did you mean \"cosine\"? There are: "
                       "constant, cosine, exponential, linear, one_cycle, step",
                       UsageError);
  CHECK_THROWS_WITH_AS(
      Schedule::parse("step"),
      "column 1: step needs every (a number, at least 1e-06), as in \"step every=...\"",
      UsageError);
}
