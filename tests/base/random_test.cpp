// NumPy's legacy generator against vectors that NumPy drew (tests/base/make_numpy_golden.py).
#include "chainrule/random.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "chainrule/error.h"
#include "support/places.h"

using namespace chainrule;

namespace {

template <typename T>
std::uint64_t fnv1a(std::span<const T> values) {
  std::uint64_t digest = 0xCBF29CE484222325U;
  for (const std::byte b : std::as_bytes(values)) {
    digest = (digest ^ static_cast<std::uint64_t>(b)) * 0x100000001B3U;
  }
  return digest;
}

double parsed(const std::string& text, double) { return std::strtod(text.c_str(), nullptr); }
std::int64_t parsed(const std::string& text, std::int64_t) { return std::stoll(text); }

template <typename T>
void check_against(std::istream& golden, std::span<const T> drawn) {
  std::size_t count = 0;
  std::uint64_t digest = 0;
  golden >> count >> digest;
  REQUIRE(drawn.size() == count);
  std::string word;
  for (std::size_t i = 0; golden >> word; ++i) {
    const std::size_t at = count > 8 && i >= 4 ? count - 8 + i : i;
    CHECK(drawn[at] == parsed(word, T{}));
  }
  CHECK(fnv1a(drawn) == digest);
}

}  // namespace

TEST_CASE("RandomState draws what NumPy draws, bit for bit") {
  std::ifstream golden(source_path("tests/golden/numpy_random.txt"));
  REQUIRE(golden);
  std::optional<RandomState> random;
  std::string line;
  int calls = 0;
  std::getline(golden, line);
  while (std::getline(golden, line)) {
    CAPTURE(line);
    std::istringstream fields(line);
    std::string call;
    std::vector<std::int64_t> arguments;
    fields >> call;
    for (std::string word; fields >> word && word != "|";) arguments.push_back(std::stoll(word));
    ++calls;
    if (call == "seed") {
      random.emplace(static_cast<std::uint32_t>(arguments[0]));
    } else if (call == "rand") {
      const Tensor drawn = random->rand(Shape{arguments[0]});
      check_against(fields, drawn.values<double>());
    } else if (call == "randn") {
      const Tensor drawn = random->randn(Shape{arguments[0]});
      check_against(fields, drawn.values<double>());
    } else if (call == "permutation") {
      const std::vector<std::int64_t> drawn = random->permutation(arguments[0]);
      check_against(fields, std::span<const std::int64_t>(drawn));
    } else {
      REQUIRE(call == "randint");
      const std::vector<std::int64_t> drawn =
          random->randint(arguments[0], arguments[1], arguments[2]);
      check_against(fields, std::span<const std::int64_t>(drawn));
    }
  }
  CHECK(calls == 4 * 18);
}

TEST_CASE("scalar draws and array draws walk the same stream") {
  RandomState one(42);
  RandomState many(42);
  const Tensor normal = many.randn({2, 3});
  for (const double x : normal.values<double>()) CHECK(x == one.randn());
  const Tensor uniform = many.rand({4});
  for (const double x : uniform.values<double>()) CHECK(x == one.rand());
  RandomState other(42);
  CHECK(other.randn() == 0.4967141530112327);
}

TEST_CASE("RandomState refuses bounds that hold no number") {
  RandomState random(1);
  CHECK_THROWS_WITH_AS(random.randint(3, 3, 1), "randint: expected low < high, got 3 and 3",
                       UsageError);
  CHECK_THROWS_AS(random.randint(0, 3, -1), UsageError);
  CHECK_THROWS_AS(random.permutation(-1), UsageError);
}
