// Backward passes that once crashed the check or took it minutes, and those that ask for too much.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "chainrule/backprop_check.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

const std::string kImport = "import numpy as np\nnp.random.seed(3)\n";

std::string number(int i) { return std::to_string(i); }

// `layers` layers of tanh with all gradients and updates by hand; layer `wrong` lacks the square.
std::string deep_network(int layers, int wrong, double scale) {
  std::string text = kImport + "A0 = np.random.randn(5, 4)\nY = np.random.randn(5, 4)\n";
  for (int i = 1; i <= layers; ++i) {
    text += "W" + number(i) + " = np.random.randn(4, 4) * " + std::to_string(scale) + "\n";
    text += "b" + number(i) + " = np.zeros(4)\n";
  }
  for (int i = 1; i <= layers; ++i) {
    text += "Z" + number(i) + " = A" + number(i - 1) + " @ W" + number(i) + " + b" + number(i);
    text += "\nA" + number(i) + " = np.tanh(Z" + number(i) + ")\n";
  }
  const std::string last = number(layers);
  text += "loss = np.mean((A" + last + " - Y) ** 2)\n";
  text += "dA" + last + " = 2 * (A" + last + " - Y) / Y.size\n";
  for (int i = layers; i > 0; --i) {
    const std::string n = number(i);
    text += "dZ" + n + " = dA" + n + " * (1 - A" + n + (i == wrong ? "" : " ** 2") + ")\n";
    text += "dW" + n + " = A" + number(i - 1) + ".T @ dZ" + n + "\n";
    text += "db" + n + " = dZ" + n + ".sum(axis=0)\n";
    if (i > 1) text += "dA" + number(i - 1) + " = dZ" + n + " @ W" + n + ".T\n";
  }
  for (int i = 1; i <= layers; ++i) {
    text += "W" + number(i) + " -= 0.1 * dW" + number(i) + "\n";
    text += "b" + number(i) + " -= 0.1 * db" + number(i) + "\n";
  }
  return text;
}

std::string refusal(const std::string& text) {
  try {
    (void)check_backprop(text, "f.py");
  } catch (const DataError& error) {
    CHECK(error.line > 0);
    CHECK(error.column > 0);
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("backprop check: a number where a vector would broadcast is no vector") {
  const BackpropReport report = check_backprop(
      kImport + "h = np.array([0.5, 0.6])\nloss = np.sum(h)\ndh = loss * h\n", "f.py");
  INFO(to_text(report));
  REQUIRE(report.lines.size() == 1);
  CHECK_FALSE(report.right);
  CHECK(report.lines[0].correct == "dh = np.ones(2)");
  // The same with a norm, by which gradients are scaled.
  const BackpropReport clipped = check_backprop(
      kImport +
          "X = np.random.randn(6, 3)\nt = np.random.randn(6, 2)\nW = np.random.randn(3, 2)\n"
          "b = np.zeros(2)\ny = X @ W + b\nloss = np.mean((y - t) ** 2)\n"
          "dy = 2 * (y - t) / y.size\ndW = X.T @ dy\ndb = dy.sum(axis=0)\n"
          "n = np.sqrt(np.sum(dW ** 2) + np.sum(db ** 2))\nif True:\n    db *= 1.0 / n\n",
      "f.py");
  CHECK(clipped.lines.size() >= 3);
  const BackpropReport steps = check_backprop(
      kImport +
          "x = np.array([1., 2.])\nw = 0.5\nfor i in range(2):\n    loss = np.sum((w * x) ** 2)\n"
          "    grad_w = np.sum(2 * w * x * x)\n    w = w - 0.1 * grad_w\n",
      "f.py");
  CHECK_FALSE(steps.lines.empty());
}

TEST_CASE("backprop check: terms that are missing in a recurrent network") {
  const BackpropReport report = check_backprop(
      kImport +
          "U = np.random.randn(3, 4) * 0.5\nR = np.random.randn(3, 3) * 0.5\n"
          "V = np.random.randn(4, 3) * 0.5\nc = np.zeros((3, 1))\nd = np.zeros((4, 1))\n"
          "wanted = [1, 2, 0]\nx, h, z, p = {}, {}, {}, {}\nh[-1] = np.zeros((3, 1))\nloss = 0\n"
          "for t in range(3):\n    x[t] = np.zeros((4, 1))\n"
          "    h[t] = np.tanh(np.dot(U, x[t]) + np.dot(R, h[t-1]) + c)\n"
          "    z[t] = np.dot(V, h[t]) + d\n    p[t] = np.exp(z[t]) / np.sum(np.exp(z[t]))\n"
          "    loss += -np.log(p[t][wanted[t], 0])\n"
          "dc = np.zeros_like(c)\nfor t in reversed(range(3)):\n    dz = np.copy(p[t])\n"
          "    dz[wanted[t]] -= 1\n    dh = np.dot(V.T, dz)\n    ds = (1 - h[t] * h[t]) * dh\n"
          "    dc += ds\n",
      "f.py");
  INFO(to_text(report));
  CHECK_FALSE(report.right);
}

TEST_CASE("backprop check: a long program is read like a short one") {
  const BackpropReport right = check_backprop(deep_network(40, 0, 0.7), "f.py");
  CHECK(right.right);
  CHECK(right.lines.size() == 4 * 40);
  const BackpropReport wrong = check_backprop(deep_network(40, 20, 0.7), "f.py");
  CHECK_FALSE(wrong.right);
  const auto mistakes = std::count_if(
      wrong.lines.begin(), wrong.lines.end(),
      [](const GradientLine& line) { return line.verdict == GradientVerdict::kMistake; });
  CHECK(mistakes == 1);
}

TEST_CASE("backprop check: gradients that vanish are no mistake of the update") {
  const BackpropReport report = check_backprop(deep_network(24, 0, 0.1), "f.py");
  INFO(to_text(report));
  CHECK(report.right);
}

TEST_CASE("backprop check: chains as deep as a program is long") {
  // One value after another, with one gradient only, so that its correction spans all of them.
  std::string text = kImport + "w = np.array([0.3, 0.2])\nx0 = w * 1.5\n";
  for (int i = 1; i <= 900; ++i) {
    text += "x" + number(i) + " = x" + number(i - 1) + " * 0.99 + w * 0.01\n";
  }
  text += "loss = np.sum(x900 ** 2)\ndw = x900 * 3\n";
  const BackpropReport report = check_backprop(text, "f.py");
  REQUIRE(report.lines.size() == 1);
  CHECK_FALSE(report.right);
  CHECK(report.lines[0].correct.size() < 5000);
  // The same without names: a sum of many items is one expression.
  const BackpropReport sum = check_backprop(
      kImport +
          "w = np.array([0.3, 0.2])\nloss = np.sum(sum([w * w for i in range(900)]))\n"
          "dw = 1801 * w\n",
      "f.py");
  CHECK_FALSE(sum.right);
}

TEST_CASE("backprop check: what cannot be read is refused at once, with its place") {
  const std::string end = "X = np.ones((2, 2))\nloss = np.sum(X ** 2)\ndX = 2 * X\n";
  CHECK(refusal(kImport + "f = lambda n: 0 if n == 0 else f(n - 1) + f(n - 1)\nx = f(40)\n" + end)
            .starts_with("f.py:3:"));
  CHECK(refusal(kImport + "a = []\na.append(a)\n" + end).starts_with("f.py:4:1: "));
  CHECK(refusal(kImport + "x = np.eye(2 ** 33)\n" + end).starts_with("f.py:3:5: "));
  // A line that cannot be computed, in a program of many names and lines.
  std::string many = kImport;
  for (int i = 0; i < 300; ++i) many += "v" + number(i) + " = np.ones((2, 3)) * 2.5\n";
  const BackpropReport report = check_backprop(
      many + "W = np.ones((3, 2))\nloss = np.sum((v0 @ W) ** 2)\ndW = 2 * v0 @ (v0 @ W)\n", "f.py");
  CHECK_FALSE(report.right);
}

}  // namespace chainrule
