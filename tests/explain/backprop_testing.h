// The NumPy programs of tests/explain/backprop, and small changes of them.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include "support/places.h"

namespace chainrule {

inline std::string program(const std::string& name) {
  std::ifstream in(source_path("tests/explain/backprop/") + name);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline int line_of(const std::string& source, const std::string& text) {
  const std::size_t at = source.find(text);
  REQUIRE_MESSAGE(at != std::string::npos, text);
  return 1 + static_cast<int>(std::count(source.begin(),
                                         source.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

inline std::string replaced(std::string source, const std::string& from, const std::string& to) {
  const std::size_t at = source.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return source.replace(at, from.size(), to);
}

}  // namespace chainrule
