// The reader's rules: names, roles of the sources, the loss, and what errors say.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/numpy_program.h"
#include "support/places.h"

using namespace chainrule;

namespace {

constexpr const char* kBegin =
    "import numpy as np\n"
    "np.random.seed(0)\n"
    "X = np.random.randn(3, 2)\n"
    "W = np.random.randn(2, 4)\n"
    "b = np.zeros(4)\n"
    "y = np.array([0, 1, 3])\n"
    "Z = X @ W + b\n";

NumpyProgram read(const std::string& text, const NumpyOptions& options = {}) {
  return read_numpy(text, "f.py", options);
}

std::string error_of(const std::string& text, const NumpyOptions& options = {}) {
  try {
    read(text, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// The error of one line after the beginning, without its file.
std::string error_after(const std::string& line) {
  return error_of(kBegin + line + "\nloss = np.sum(Z**2)\n");
}

std::vector<std::string> names(const std::vector<Value>& values) {
  std::vector<std::string> all;
  for (const Value& v : values) all.push_back(v.name());
  return all;
}

double loss_of(const NumpyProgram& program) {
  return Evaluation(*program.graph, program.feed).scalar(program.loss);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string program_text(const std::string& name) {
  std::ifstream file(source_path("tests/numpy/programs/") + name);
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("the notebook's roles, names and loss") {
  const NumpyProgram p = read(program_text("notebook.py"));
  CHECK(names(p.graph->parameters()) == std::vector<std::string>{"W1", "b1", "W2", "b2"});
  CHECK(names(p.graph->inputs()) == std::vector<std::string>{"X", "labels"});
  CHECK(p.graph->find("labels").dtype() == DType::kI32);
  CHECK(p.assignments.at(p.forward - 1).target == "loss");
  CHECK(p.loss.name() == "loss");
  CHECK(loss_of(p) == doctest::Approx(0.6931042210040035).epsilon(1e-15));
  const auto dW1 = std::find_if(p.assignments.begin(), p.assignments.end(),
                                [](const NumpyAssignment& a) { return a.target == "dW1"; });
  REQUIRE(dW1 != p.assignments.end());
  CHECK(dW1->expression == "np.dot(X.T, dZ1) / m");
  CHECK(dW1->line == 42);
  CHECK_FALSE(dW1->in_place);
  CHECK(p.assignments.back().target == "b2");
  CHECK(p.assignments.back().in_place);
  CHECK(p.assignments.back().value.name() == "b2_2");
  // The gradient that the notebook computes by hand is the true one.
  const Value true_dW1 = gradient(p.loss, {p.graph->find("W1")})[0];
  const Evaluation run(*p.graph, p.feed);
  const Tensor a = run.value(dW1->value);
  const Tensor b = run.value(true_dW1);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(a.values<double>()[i] == doctest::Approx(b.values<double>()[i]).epsilon(1e-6));
  }
}

TEST_CASE("functions without a definition have their usual meaning, a definition wins") {
  const std::string begin = std::string(kBegin) + "A = relu(Z)\np = softmax(A)\n";
  const double usual = loss_of(read(begin + "loss = cross_entropy(p, y)\n"));
  const double by_hand = loss_of(read(begin + "loss = -np.mean(np.log(p[range(3), y] + 1e-9))\n"));
  CHECK(usual == doctest::Approx(by_hand).epsilon(1e-14));
  const double twice = loss_of(read("def cross_entropy(p, t):\n    return 2 * np.sum(p) / 3\n" +
                                    begin + "loss = cross_entropy(p, y)\n"));
  CHECK(twice == doctest::Approx(2));
}

TEST_CASE("a name that the program does not define is given by its shape") {
  const std::string text = "import numpy as np\nloss = np.mean((X @ W)[range(3), labels] ** 2)\n";
  NumpyOptions options;
  options.shapes = {{"X", {3, 2}}, {"W", {2, 4}}, {"labels", {3}}};
  const NumpyProgram p = read(text, options);
  CHECK(names(p.graph->parameters()) == std::vector<std::string>{"W"});
  CHECK(p.graph->find("labels").dtype() == DType::kI32);
  for (const std::int32_t label : p.feed.at("labels").values<std::int32_t>()) CHECK(label < 4);
  options.shapes.erase("W");
  CHECK(error_of(text, options) ==
        "f.py:2:21: W is not defined; give its shape with --shape W=3,2, or assign it above");
}

TEST_CASE("in a program of plain numbers the numbers are the variables") {
  const NumpyProgram p =
      read("x = -2; y = 5; z = -4\nq = x + y\nf = q * z\ndfdq = z\ndfdx = dfdq\n");
  CHECK(names(p.graph->inputs()) == std::vector<std::string>{"x", "y", "z"});
  CHECK(p.loss.name() == "f");
  CHECK(loss_of(p) == -12);
}

TEST_CASE("the loss is found, or asked for") {
  const std::string two = std::string(kBegin) + "J = np.mean(Z)\nother = np.sum(Z)\n";
  CHECK(read(two).loss.name() == "J");
  NumpyOptions options;
  options.loss = "other";
  CHECK(read(two, options).loss.name() == "other");
  options.loss = "Z";
  CHECK(contains(error_of(two, options), "the loss Z has the shape [3, 4]"));
  options.loss = "othr";
  CHECK(contains(error_of(two, options), "unknown loss \"othr\"; did you mean \"other\"?"));
  CHECK_THROWS_AS(read(two, options), UsageError);
  CHECK(contains(error_of(kBegin), "there is no loss"));
  CHECK(read(std::string(kBegin) + "last = np.sum(Z)\ndlast = 2 * last\n").loss.name() == "last");
}

TEST_CASE("names that share an array share its changes, as in NumPy") {
  const std::string begin = std::string(kBegin) + "A = Z\n";
  const double changed = loss_of(read(begin + "A[0] = 0\nloss = np.sum(Z ** 2)\n"));
  const double copied = loss_of(read(begin + "A = Z.copy()\nA[0] = 0\nloss = np.sum(Z ** 2)\n"));
  const double rest = loss_of(read(std::string(kBegin) + "loss = np.sum(Z[1:] ** 2)\n"));
  CHECK(changed == doctest::Approx(rest).epsilon(1e-14));
  CHECK(copied > rest + 1e-3);
}

TEST_CASE("errors name the place, the thing, what was expected and what to do") {
  CHECK(error_after("Q = X @ X") ==
        "f.py:8:5: X @ X: the 2 columns of the left operand [3, 2] must equal the 3 rows of the "
        "right operand [3, 2]; X is [3, 2]");
  CHECK(contains(error_after("Q = Z + X @ W[:, :3]"), "Z is [3, 4], X @ W[:, :3] is [3, 3]"));
  CHECK(contains(error_after("Q = np.maxmum(X, 0)"),
                 "f.py:8:5: np.maxmum is not read; did you mean np.maximum?"));
  CHECK(contains(error_after("Q = Zz + 1"), "Zz is not defined; did you mean Z?"));
  CHECK(contains(error_after("Q = X[0, 3]"), "index 3 is out of range for an axis of 2"));
  CHECK(contains(error_after("Q = Z[:, :3][range(3), y]"), "the index array holds 3"));
  CHECK(contains(error_after("for epoch in range(1000):\n    W -= 0.1 * X.T @ Z\n    b -= 1.0"),
                 "f.py:8:1: this loop would unroll to 2000 statements"));
  CHECK(contains(error_after("for epoch in range(1000):\n    W -= 0.1 * X.T @ Z\n    b -= 1.0"),
                 "put one step at top level"));
  CHECK(contains(error_after("while True:\n    pass"), "f.py:8:1: a while loop is not read"));
  CHECK(contains(error_after("Q = (1, 2"), "f.py:8:5: \"(\" is never closed"));
  CHECK(contains(error_after("Q = X.T @ "), "expected a value, got the end of the line"));
  CHECK(contains(error_after("V = X.T\nV += 1"), "take a .copy()"));
  CHECK(contains(error_after("V = X.T\nX += 1\nQ = V + 1"), "line 9 changes in place"));
  CHECK(contains(error_after("y[0] = 0.5"), "y holds whole numbers"));
  CHECK(contains(error_after("X[0] = np.ones(5)"), "the value has the shape [5], its place [2]"));
  CHECK(contains(error_after("Q = np.einsum('ij,jk', X, W)"), "write the product with @ and .T"));
  CHECK(contains(error_after("Q = f(1)"), "f is not defined"));
  CHECK(contains(error_after("\xCE\xB8 = X + 1\nQ = \xCE\xB8 @ \xCE\xB8"), "f.py:9:5"));
}

TEST_CASE("a damaged program is an error with its place, never a crash") {
  std::mt19937 random(1);
  std::size_t refused = 0;
  for (const char* name : {"notebook.py", "rnn.py", "attention.py", "lists_of_layers.py"}) {
    const std::string text = program_text(name);
    for (int i = 0; i < 60; ++i) {
      std::string damaged = text;
      if (i % 2 == 0) {
        damaged.resize(random() % text.size());
      } else {
        damaged.erase(random() % text.size(), 1 + random() % 5);
      }
      try {
        read(damaged);
      } catch (const DataError& error) {
        ++refused;
        const std::string what = error.what();
        CAPTURE(what);
        CHECK(error.line >= 1);
        CHECK(what.starts_with("f.py:" + std::to_string(error.line) + ":"));
      } catch (const UsageError& error) {
        CHECK(contains(error.what(), "loss"));
      }
    }
  }
  CHECK(refused > 50);
  CHECK(contains(error_of(std::string(5000, '(')), "f.py:1:"));
  CHECK(contains(error_of("x = " + std::string(100000, '-') + "1\n"), "nested too deeply"));
  std::string sum = "x = 1";
  for (int i = 0; i < 20000; ++i) sum += " + 1";
  CHECK(contains(error_of(sum + "\n"), "too long"));
  CHECK(contains(error_of("def f(x):\n    return f(x)\nf(1)\n"), "calls itself too deeply"));
}
