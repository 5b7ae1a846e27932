// Derivations as a person reads them, held still by golden texts, and as numbers: every gradient
// that a derivation prints is run by Python and compared with the gradient of the graph.
#include "chainrule/derivation.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "explain/example_graphs.h"

using namespace chainrule;

namespace {

// The text of a golden file. CHAINRULE_WRITE_GOLDEN=1 writes it anew, to be looked at.
void compare(const std::string& text, const std::string& name) {
  const std::string path = std::string(CHAINRULE_SOURCE_DIR) + "/tests/golden/" + name;
  if (std::getenv("CHAINRULE_WRITE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::stringstream expected;
  expected << std::ifstream(path).rdbuf();
  CHECK(text == expected.str());
}

}  // namespace

TEST_CASE("derivations read as a textbook's") {
  for (const auto make : {notebook, sigmoid_network, recurrent, batch_norm}) {
    const ExampleGraph example = make();
    CAPTURE(example.name);
    const Derivation d = derive(example.loss, derivation_targets(example.loss));
    compare(to_text(d), "derive_" + example.name + ".txt");
  }
}
