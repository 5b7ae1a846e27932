// Splits and batches: nothing lost, nothing twice, the same choice for the same seed.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "chainrule/data.h"
#include "chainrule/error.h"
#include "data/data_testing.h"

using namespace chainrule;
using chainrule::testing::message_of;

namespace {

std::vector<std::int64_t> dealt(const Batches& batches) {
  std::vector<std::int64_t> rows;
  for (std::int64_t b = 0; b < batches.count(); ++b) {
    rows.insert(rows.end(), batches[b].begin(), batches[b].end());
  }
  return rows;
}

}  // namespace

TEST_CASE("a split holds out its share of every stratum and loses no row") {
  const Table digits = builtin("digits");
  const std::vector<std::int32_t> labels = strata(digits, "digit");
  const Split parts = split(1797, 0.2, 0, labels);
  std::vector<std::int64_t> all = parts.train;
  all.insert(all.end(), parts.test.begin(), parts.test.end());
  std::sort(all.begin(), all.end());
  CHECK(all == all_rows(1797));
  for (std::int32_t label = 0; label < 10; ++label) {
    const auto is_label = [&](std::int64_t row) {
      return labels[static_cast<std::size_t>(row)] == label;
    };
    const double total = static_cast<double>(std::count(labels.begin(), labels.end(), label));
    const double held =
        static_cast<double>(std::count_if(parts.test.begin(), parts.test.end(), is_label));
    CHECK(std::abs(held - 0.2 * total) <= 0.5);
  }
  CHECK(split(1797, 0.2, 0, labels).test == parts.test);
  CHECK(split(1797, 0.2, 1, labels).test != parts.test);
}

TEST_CASE("a stratum of one row stays in training") {
  const std::vector<std::int32_t> labels = {0, 0, 0, 0, 1};
  const Split parts = split(5, 0.9, 3, labels);
  CHECK(std::count(parts.train.begin(), parts.train.end(), 4) == 1);
  CHECK(parts.test.size() == 3);
  CHECK(split(1, 0.5, 0).train.size() == 1);
  CHECK(split(10, 0, 0).test.empty());
  CHECK(strata(builtin("iris"), "sepal_length").empty());
  CHECK(strata(builtin("iris"), "species")[149] == 2);
}

TEST_CASE("an impossible split is refused") {
  CHECK(message_of<UsageError>([] { split(5, 1, 0); }) ==
        "split: expected a fraction of at least 0 and below 1, got 1.000000");
  CHECK_THROWS_AS(split(5, -0.1, 0), UsageError);
  CHECK_THROWS_AS(split(0, 0.2, 0), DataError);
  CHECK_THROWS_AS(split(5, 0.2, 0, std::vector<std::int32_t>{1, 2}), UsageError);
}

TEST_CASE("batches deal every row once an epoch, in an order of (seed, epoch)") {
  std::vector<std::int64_t> rows = {3, 1, 4, 15, 9, 2, 6, 5, 35, 8};
  Batches batches(rows, 4, 42);
  CHECK(batches.count() == 3);
  CHECK(dealt(batches) == rows);
  batches.start_epoch(1);
  const std::vector<std::int64_t> first = dealt(batches);
  CHECK(batches[2].size() == 2);
  CHECK(first != rows);
  batches.start_epoch(2);
  CHECK(dealt(batches) != first);
  Batches resumed(rows, 4, 42);
  resumed.start_epoch(1);
  CHECK(dealt(resumed) == first);
  std::vector<std::int64_t> sorted = first;
  std::sort(sorted.begin(), sorted.end());
  std::sort(rows.begin(), rows.end());
  CHECK(sorted == rows);
  CHECK(Batches(rows, 4, 0, LastBatch::kDrop).count() == 2);
  CHECK(Batches(rows, 100, 0, LastBatch::kDrop)[0].size() == 10);
  // A single row that is left over joins the batch before it.
  const Batches joined(rows, 3, 0, LastBatch::kJoinOne);
  CHECK(joined.count() == 3);
  CHECK(joined[1].size() == 3);
  CHECK(joined[2].size() == 4);
  CHECK(Batches(rows, 9, 0, LastBatch::kJoinOne)[0].size() == 10);
  CHECK(Batches(rows, 4, 0, LastBatch::kJoinOne)[2].size() == 2);
  CHECK(Batches(rows, 1, 0, LastBatch::kJoinOne).count() == 10);
  CHECK(Batches({5}, 3, 0, LastBatch::kJoinOne)[0].size() == 1);
  CHECK_THROWS_AS(Batches(rows, 0, 0), UsageError);
  CHECK_THROWS_AS(Batches({}, 1, 0), DataError);
}

TEST_CASE("the shuffle gives every order about equally often") {
  std::vector<int> counts(6);
  Batches batches({0, 1, 2}, 3, 7);
  for (std::uint32_t epoch = 0; epoch < 6000; ++epoch) {
    batches.start_epoch(epoch);
    const std::span<const std::int64_t> order = batches[0];
    ++counts[static_cast<std::size_t>(order[0] * 2 + (order[1] > order[2] ? 1 : 0))];
  }
  // Five standard deviations of a binomial count with n = 6000 and p = 1/6.
  for (const int count : counts) CHECK(std::abs(count - 1000) < 5 * 29);
}

TEST_CASE("rows are gathered in the order asked for") {
  const Tensor x = Tensor::of<float>({3, 2}, {0, 1, 10, 11, 20, 21});
  const std::vector<std::int64_t> rows = {2, 0, 2};
  const Tensor y = gather_rows(x, rows);
  CHECK(y.shape() == Shape{3, 2});
  const std::vector<float> expected = {20, 21, 0, 1, 20, 21};
  CHECK(std::equal(expected.begin(), expected.end(), y.values<float>().begin()));
  const Tensor labels = gather_rows(Tensor::of<std::int32_t>({3}, {7, 8, 9}), rows);
  CHECK(labels.values<std::int32_t>()[1] == 7);
  Tensor small(DType::kF32, {2, 2});
  CHECK_THROWS_AS(gather_rows(x, rows, {small.data(), small.bytes()}), ShapeError);
  CHECK_THROWS_AS(gather_rows(x, std::vector<std::int64_t>{3}), ShapeError);
}
