// Hand-written backward passes: right ones pass in whatever style, and planted mistakes are found
// on their line, named, and told apart from what only inherits them.
#include "chainrule/backprop_check.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "chainrule/error.h"
#include "explain/backprop_testing.h"

namespace chainrule {

TEST_CASE("backprop check: right programs pass") {
  for (const char* name : {"notebook.py", "two_layer_net.py", "columns.py", "regression.py",
                           "batch_norm.py", "rnn.py"}) {
    const BackpropReport report = check_backprop(program(name), name);
    INFO(to_text(report));
    CHECK(report.right);
    for (const GradientLine& line : report.lines) CHECK(line.mistake.empty());
  }
}

namespace {

// A linear layer, a tanh and a mean squared error, to be followed by a backward pass.
const std::string kForward =
    "import numpy as np\n"
    "np.random.seed(2)\n"
    "X = np.random.randn(5, 3)\n"
    "T = np.random.randn(5, 2)\n"
    "W = np.random.randn(3, 2)\n"
    "b = np.zeros(2)\n"
    "n = X.shape[0]\n"
    "Z = X @ W + b\n"
    "A = np.tanh(Z)\n"
    "loss = np.sum((A - T) ** 2) / n\n";

BackpropReport checked(const std::string& backward) {
  return check_backprop(kForward + backward, "styles.py");
}

}  // namespace

TEST_CASE("backprop check: other names and other conventions are no mistakes") {
  for (const char* backward : {
           "dA = 2 * (A - T) / n\ndZ = dA * (1 - A**2)\ndW = X.T @ dZ\ndb = dZ.sum(0)\n",
           "dL_dA = 2.0 / n * (A - T)\ndL_dZ = dL_dA * (1 - np.tanh(Z)**2)\n"
           "dL_dW = np.dot(X.T, dL_dZ)\ndL_db = np.sum(dL_dZ, axis=0)\n",
           "A_grad = 2 * (A - T)\nZ_grad = A_grad * (1 - np.square(A))\n"
           "W_grad = X.T.dot(Z_grad) / n\nb_grad = np.mean(Z_grad, axis=0)\n",
           "error = A - T\ndelta = error * (1 - A * A)\ngW = 2 / n * X.T @ delta\n"
           "gb = 2 * np.sum(delta, axis=0) / n\n",
           // The division is left to the update.
           "dZ = 2 * (A - T) * (1 - A**2)\ndW = X.T @ dZ\ndb = dZ.sum(axis=0)\nlr = 0.1\n"
           "W -= lr / n * dW\nb -= lr / n * db\n",
           // The negative gradient, added.
           "dZ = 2 * (T - A) * (1 - A**2) / n\ndW = X.T @ dZ\ndb = dZ.sum(axis=0)\nlr = 0.1\n"
           "W += lr * dW\nb += lr * db\n",
           // Another shape that broadcasts to the same.
           "dZ = 2 * (A - T) * (1 - A**2) / n\ndW = X.T @ dZ\n"
           "db = np.sum(dZ, axis=0, keepdims=True)\n",
       }) {
    const BackpropReport report = checked(backward);
    INFO(to_text(report));
    CHECK(report.right);
    CHECK(report.lines.size() >= 3);
  }
}

TEST_CASE("backprop check: two mistakes in one file are two, each on its line") {
  std::string source = program("notebook.py");
  source = replaced(source, "dW2 = np.dot(A1.T, dZ2) / m", "dW2 = np.dot(Z1.T, dZ2) / m");
  source = replaced(source, "dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1");
  const BackpropReport report = check_backprop(source, "notebook.py");
  INFO(to_text(report));
  std::vector<std::string> mistakes;
  std::vector<int> lines;
  std::vector<std::string> inherited;
  for (const GradientLine& l : report.lines) {
    if (l.verdict == GradientVerdict::kMistake) {
      mistakes.push_back(l.mistake);
      lines.push_back(l.line);
    }
    if (l.verdict == GradientVerdict::kInherited) inherited.push_back(l.target);
  }
  CHECK(mistakes ==
        std::vector<std::string>{"used Z1 for A1", "forgot the activation's derivative"});
  CHECK(lines == std::vector<int>{line_of(source, "dW2 ="), line_of(source, "dZ1 =")});
  CHECK(inherited == std::vector<std::string>{"dW1", "db1"});
}

TEST_CASE("backprop check: a second mistake is seen through the first") {
  std::string source = program("columns.py");
  source = replaced(source, "dZ2 = A2 - Y", "dZ2 = A2 + Y");
  source = replaced(source, "(1 / m) * np.dot(dZ1, X.T)", "np.dot(dZ1, X.T)");
  const BackpropReport report = check_backprop(source, "columns.py");
  INFO(to_text(report));
  std::vector<std::string> mistakes;
  for (const GradientLine& l : report.lines) {
    if (l.verdict == GradientVerdict::kMistake) mistakes.push_back(l.target + ": " + l.mistake);
  }
  CHECK(mistakes == std::vector<std::string>{"dZ2: wrong sign of a term", "dW1: forgot 1/m"});
}

TEST_CASE("backprop check: factors are told") {
  const BackpropReport report = check_backprop(program("notebook.py"), "notebook.py");
  REQUIRE(report.lines.size() == 7);
  const GradientLine& dz2 = report.lines[0];
  CHECK(dz2.verdict == GradientVerdict::kFactor);
  CHECK(dz2.factor == doctest::Approx(3));
  CHECK(dz2.explanation == "m times the derivative; dW2 and db2 make that good.");
  CHECK(report.lines[1].verdict == GradientVerdict::kRight);
}

TEST_CASE(
    "backprop check: a file without gradients, or with a forward pass that fails, is an error") {
  CHECK_THROWS_WITH_AS(checked(""), doctest::Contains("no gradient line"), Error);
  CHECK_THROWS_AS(check_backprop("x = 1 +\n", "broken.py"), DataError);
}

}  // namespace chainrule
