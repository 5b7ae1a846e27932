// Programs as people write them: every variable has the value that NumPy gives it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "chainrule/error.h"
#include "chainrule/numpy_program.h"
#include "support/places.h"

using namespace chainrule;
using nlohmann::json;

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string program_text(const std::string& name) {
  return text_of(source_path("tests/numpy/programs/") + name);
}

std::vector<double> widened(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

// The largest difference, relative to the largest number of the array.
double difference(const std::vector<double>& a, const std::vector<double>& b) {
  double scale = 1e-300;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    scale = std::max(scale, std::abs(a[i]));
    most = std::max(most, std::abs(a[i] - b[i]));
  }
  return most / std::max(scale, 1e-3);
}

}  // namespace

TEST_CASE("NumPy programs give NumPy's numbers, variable by variable") {
  const json golden = json::parse(text_of(source_path("tests/golden/numpy_programs.json")));
  CHECK(golden.size() >= 7);
  for (const auto& [name, variables] : golden.items()) {
    const std::string file = name;
    CAPTURE(file);
    const NumpyProgram program = read_numpy(program_text(file), file);
    CHECK_NOTHROW(verify(*program.graph));
    const Evaluation evaluation(*program.graph, program.feed);
    std::map<std::string, Value> last;
    for (const NumpyAssignment& a : program.assignments) {
      if (a.function.empty()) last[a.target] = a.value;
    }
    // dscores = probs, which is then changed under both names.
    if (file == "softmax_classifier.py") last["probs"] = last["dscores"];
    std::size_t compared = 0;
    for (const auto& [key, expected] : variables.items()) {
      const std::string variable = key;
      CAPTURE(variable);
      const auto found = last.find(variable);
      if (found == last.end() || !found->second) continue;
      CHECK(found->second.shape() == expected.at("shape").get<Shape>());
      const auto values = expected.at("values").get<std::vector<double>>();
      const std::vector<double> got = widened(evaluation.value(found->second));
      REQUIRE(got.size() == values.size());
      CHECK(difference(values, got) <= 1e-12);
      ++compared;
    }
    // Loop variables and the like have no value in the graph; nearly everything else has.
    CHECK(compared + 4 >= variables.size());
  }
}
