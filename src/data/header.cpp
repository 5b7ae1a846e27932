// Names are recognised by what they are not: a value like those below them.
#include "data/header.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/printable.h"
#include "data/number.h"

namespace chainrule {
namespace {

constexpr std::size_t kMostDifferent = 100;
constexpr double kFirstYear = 1900;
constexpr double kLastYear = 2100;

bool means_missing(std::string_view text) {
  constexpr std::array<std::string_view, 14> kSigns = {
      "", "?", ".", "-", "--", "NA", "N/A", "na", "n/a", "null", "NULL", "None", "none", "missing"};
  return std::find(kSigns.begin(), kSigns.end(), text) != kSigns.end();
}

bool is_whole(std::string_view text) {
  return !text.empty() && text.size() < 10 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

using Columns = std::vector<HeadedColumn>;

Columns with_numbers(const Columns& columns) {
  Columns result;
  std::copy_if(columns.begin(), columns.end(), std::back_inserter(result),
               [](const HeadedColumn& c) { return c.has_number_head(); });
  return result;
}

bool names_differ(const Columns& columns) {
  std::set<std::string_view> seen;
  return std::all_of(columns.begin(), columns.end(), [&](const HeadedColumn& c) {
    return c.head().empty() || seen.insert(c.head()).second;
  });
}

bool are_years(const Columns& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](const HeadedColumn& c) {
    return c.value() >= kFirstYear && c.value() <= kLastYear;
  });
}

// 0, 1, 2, … or 1, 2, 3, …
bool count_up(const Columns& numbers) {
  constexpr std::size_t kEnough = 3;
  if (numbers.size() < kEnough || numbers[0].value() > 1) return false;
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    if (numbers[i].value() != numbers[i - 1].value() + 1) return false;
  }
  return true;
}

HeaderDecision decide_with_numbers(const Columns& columns, const Columns& numbers) {
  const auto any = [&](auto holds) { return std::any_of(columns.begin(), columns.end(), holds); };
  const bool can_be_names = names_differ(columns) &&
                            std::all_of(numbers.begin(), numbers.end(),
                                        [](const auto& c) { return is_whole(c.head()); }) &&
                            (are_years(numbers) || count_up(numbers));
  if (!can_be_names || any([](const auto& c) { return c.recurs(); })) return {false};
  const bool supported = any([](const HeadedColumn& c) {
    return c.stands_apart() || (c.has_text_head() && c.is_numeric());
  });
  const bool over_other_numbers =
      are_years(numbers) && std::none_of(numbers.begin(), numbers.end(), [](const auto& c) {
        return c.lies_within(kFirstYear, kLastYear);
      });
  const std::string which = numbers.size() == 1
                                ? "its number " + numbers[0].head()
                                : "its numbers " + numbers[0].head() + ", " + numbers[1].head() +
                                      (numbers.size() > 2 ? ", …" : "");
  if (over_other_numbers ? supported || numbers.size() > 1 : supported && numbers.size() > 1) {
    return {true, which + " can be names and the columns below hold other values"};
  }
  return {false, which + " can be values like those below"};
}

}  // namespace

HeadedColumn::HeadedColumn(std::string head) : head_(std::move(head)) {
  number_head_ = parse_csv_number(head_, value_);
  text_head_ = !number_head_ && !means_missing(head_);
}

void HeadedColumn::see(const std::string& cell, double number) {
  if (std::isfinite(number)) {
    low_ = numbers_ == 0 ? number : std::min(low_, number);
    high_ = numbers_ == 0 ? number : std::max(high_, number);
    ++numbers_;
    return;
  }
  if (means_missing(cell)) return;
  ++texts_;
  recurs_ = recurs_ || (text_head_ && cell == head_);
  if (different_.size() < kMostDifferent && !different_.contains(cell)) different_.insert(cell);
}

bool HeadedColumn::stands_apart() const {
  return text_head_ && !is_numeric() && !recurs_ && different_.size() < kMostDifferent &&
         texts_ >= 2 * static_cast<std::int64_t>(different_.size()) && texts_ > 3;
}

HeaderDecision decide_header(const std::vector<HeadedColumn>& columns, std::int64_t rows_below) {
  const auto any = [&](auto holds) { return std::any_of(columns.begin(), columns.end(), holds); };
  const Columns numbers = with_numbers(columns);
  if (rows_below == 0) return {numbers.empty()};
  if (!numbers.empty()) return decide_with_numbers(columns, numbers);
  if (any([](const HeadedColumn& c) { return c.has_text_head() && c.is_numeric(); })) return {true};
  const auto again = std::find_if(columns.begin(), columns.end(),
                                  [](const HeadedColumn& c) { return c.recurs(); });
  if (again != columns.end()) {
    return {false, "its " + in_quotes(again->head()) + " also stands in the same column below"};
  }
  if (!names_differ(columns)) return {false, "it holds the same text twice"};
  if (any([](const HeadedColumn& c) { return c.stands_apart(); })) return {true};
  return {true, "nothing but texts stands below, and none of its own"};
}

}  // namespace chainrule
