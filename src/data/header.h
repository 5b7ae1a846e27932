// Whether the first line of a table names its columns.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace chainrule {

/// What stands in the first line of a column, and what is seen of the cells below.
class HeadedColumn {
 public:
  explicit HeadedColumn(std::string head);

  /// One cell below the first line; `number` is its value, NaN when it is none.
  void see(const std::string& cell, double number);

  const std::string& head() const { return head_; }
  /// The head has text that is no number, and no sign for a missing cell such as "?".
  bool has_text_head() const { return text_head_; }
  /// The head is a number: its value.
  bool has_number_head() const { return number_head_; }
  double value() const { return value_; }
  /// What stands below are numbers, save for a tenth.
  bool is_numeric() const { return numbers_ > 0 && numbers_ >= 9 * texts_; }
  /// The head's text stands below, too.
  bool recurs() const { return recurs_; }
  /// The texts below repeat, and the head is none of them.
  bool stands_apart() const;
  /// All numbers below lie within [low, high].
  bool lies_within(double low, double high) const {
    return is_numeric() && low_ >= low && high_ <= high;
  }

 private:
  std::string head_;
  bool text_head_ = false;
  bool number_head_ = false;
  double value_ = 0;
  bool recurs_ = false;
  std::int64_t numbers_ = 0;
  std::int64_t texts_ = 0;
  double low_ = 0;
  double high_ = 0;
  std::set<std::string, std::less<>> different_;  // up to as many as matter
};

struct HeaderDecision {
  bool is_header = false;
  /// Why, where it might be otherwise: "it holds no number". Empty where it is plain.
  std::string reason = {};
};

/// Decides by the types of the columns below. A line without a number is a header when it stands
/// over numbers; over texts only, when none of its texts occurs in its own column below. A line
/// with numbers is one when they can be names (years, or 0, 1, 2, …) that do not fit what stands
/// below.
HeaderDecision decide_header(const std::vector<HeadedColumn>& columns, std::int64_t rows_below);

}  // namespace chainrule
