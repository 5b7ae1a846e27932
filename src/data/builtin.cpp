// The data sets compiled into the library, so that a first network trains without any download.
#include <algorithm>
#include <array>
#include <cstdint>

#include "base/nearest.h"
#include "chainrule/data.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

constexpr std::size_t kIrisMeasures = 4;
constexpr std::array<std::uint8_t, kIrisMeasures + 1> kIris[] = {
#include "data/builtin/iris.inc"
};

constexpr std::size_t kDigitSide = 8;
constexpr std::size_t kDigitPixels = kDigitSide * kDigitSide;
constexpr char kDigits[][kDigitPixels + 2] = {
#include "data/builtin/digits.inc"
};
constexpr double kBrightest = 16;

Table iris() {
  Table table{"iris", true, {}, {}};
  for (const char* name : {"sepal_length", "sepal_width", "petal_length", "petal_width"}) {
    table.columns.push_back({name, ColumnKind::kNumber, {}, {}, {}});
  }
  table.columns.push_back({"species", ColumnKind::kText, {}, {}, {}});
  constexpr std::array<const char*, 3> kSpecies = {"setosa", "versicolor", "virginica"};
  for (const auto& row : kIris) {
    for (std::size_t i = 0; i < kIrisMeasures; ++i)
      table.columns[i].numbers.push_back(row[i] / 10.0);
    table.columns[kIrisMeasures].texts.push_back(kSpecies[row[kIrisMeasures]]);
  }
  return table;
}

Table digits() {
  Table table{"digits", true, {}, {}};
  for (std::size_t i = 0; i < kDigitPixels; ++i) {
    const std::string name =
        "pixel_" + std::to_string(i / kDigitSide) + '_' + std::to_string(i % kDigitSide);
    table.columns.push_back({name, ColumnKind::kNumber, {}, {}, Scaling{0, kBrightest}});
  }
  table.columns.push_back({"digit", ColumnKind::kNumber, {}, {}, {}});
  for (const auto& row : kDigits) {
    for (std::size_t i = 0; i < kDigitPixels; ++i) table.columns[i].numbers.push_back(row[i] - 'A');
    table.columns[kDigitPixels].numbers.push_back(row[kDigitPixels] - '0');
  }
  return table;
}

}  // namespace

std::vector<std::string> builtin_names() { return {"digits", "iris"}; }

bool is_builtin(const std::string& name) {
  const std::vector<std::string> names = builtin_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

Table builtin(const std::string& name) {
  if (name == "iris") return iris();
  if (name == "digits") return digits();
  throw UsageError(unknown_name("built-in data set", name, builtin_names()));
}

}  // namespace chainrule
