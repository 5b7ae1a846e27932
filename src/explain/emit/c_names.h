// Names for C: identifiers made of a user's names, none of them reserved, none used twice.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace chainrule {

class CNames {
 public:
  CNames();
  /// An identifier as like `wanted` as C allows, which nothing else has got.
  std::string take(std::string_view wanted);

  bool is_free(std::string_view name) const { return !taken_.contains(name); }

 private:
  std::set<std::string, std::less<>> taken_;
};

}  // namespace chainrule
