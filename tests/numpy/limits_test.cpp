// A program can ask for any amount of time and memory in a few lines. Each kind is either read at
// once, or refused in one line that says where.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "chainrule/error.h"
#include "chainrule/numpy_program.h"

using namespace chainrule;

namespace {

constexpr const char* kEnd = "\nW = np.array([[1.5, 2.0], [3.0, 4.0]])\nloss = np.sum(W ** 2)\n";

// What is said about a program that begins with `text`; "" when it is read.
std::string refusal(const std::string& text) {
  try {
    (void)read_numpy("import numpy as np\n" + text + kEnd, "f.py");
  } catch (const DataError& error) {
    const std::string what = error.what();
    CHECK(error.line > 0);
    CHECK(error.column > 0);
    CHECK(what.find('\n') == std::string::npos);
    CHECK(what.size() < 400);
    return what;
  }
  return "";
}

// Checks that a program is refused at this place ("3:5", or "3" for anywhere in line 3), and how.
void refused(const std::string& text, const std::string& place, const std::string& part) {
  CAPTURE(text.substr(0, 200));
  const std::string what = refusal(text);
  CAPTURE(what);
  CHECK(what.starts_with("f.py:" + place + ":"));
  CHECK(what.find(part) != std::string::npos);
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("functions that call themselves are refused where they do") {
  refused("f = lambda n: f(n)\nf(1)", "2:15", "calls itself too deeply");
  refused("f = lambda n: 0 if n == 0 else f(n - 1) + f(n - 1)\nx = f(40)", "2", "steps");
  refused("def f(n):\n    return f(n + 1)\nx = f(0)", "3:12", "calls itself too deeply");
  CHECK(refusal("f = lambda n: 0 if n == 0 else f(n - 1) + 1\nx = f(20)").empty());
}

TEST_CASE("what doubles again and again is refused, or costs nothing where it is shared") {
  const std::string loop = "\nfor i in range(60):\n    ";
  refused("s = 'ab'" + loop + "s = s + s", "4:9", "string of more than 1000000 characters");
  refused("s = 'ab'" + loop + "s = f'{s}{s}'", "4:9", "string of more than 1000000 characters");
  refused("a = [1]" + loop + "a = a + a", "4", "steps");
  refused("a = [1]" + loop + "a += a", "4", "steps");
  CHECK(refusal("d = {'a': 1}" + loop + "d = {'a': d, 'b': d}").empty());
  CHECK(refusal("d = (1, 2)" + loop + "d = [d, d]").empty());
  refused("d = (1, 2)\nfor i in range(20):\n    d = [d, d]\nx = np.array(d)", "5:5", "steps");
  refused("x = np.ones(2)" + loop + "x = np.concatenate([x, x])", "4", "elements");
}

TEST_CASE("loops in loops are refused") {
  refused("a = [[[0 for i in range(1000)] for j in range(1000)] for k in range(1000)]", "2",
          "steps");
  refused("for i in range(10 ** 12):\n    x = i", "2:1", "would unroll");
  refused("a = list(range(10 ** 12))", "2:5", "too many numbers");
  refused("a = [i for i in range(10 ** 12)]", "2:17", "too many numbers");
}

TEST_CASE("numbers and shapes too large for a computer are refused") {
  refused("n = 2 ** 10 ** 10", "2:5", "beyond 2^53");
  refused("n = 1" + std::string(400, '0'), "2:5", "beyond 2^53");
  refused("n = 1" + std::string(100000, '0'), "2:5", "beyond 2^53");
  refused("s = 'a' * 10 ** 12", "2:5", "string of more than 1000000 characters");
  refused("a = [0] * 10 ** 12", "2:5", "the list becomes too long");
  for (const char* too_large :
       {"np.zeros((10 ** 6, 10 ** 6))", "np.eye(2 ** 33)", "np.identity(2 ** 33)",
        "np.eye(2 ** 32, 2 ** 32)", "np.zeros((0, 10 ** 15))", "np.ones((2 ** 32, 2 ** 32))",
        "np.full((2 ** 22, 2 ** 22, 2 ** 22), 1)", "np.random.randn(2 ** 31, 2 ** 30, 8)",
        "np.random.permutation(10 ** 12)", "np.linspace(0, 1, 10 ** 12)",
        "np.arange(4).reshape(2 ** 21, 2 ** 22, 2 ** 22)",
        "np.arange(4).reshape((4, 5, 5581, 8681, 49477, 384773))",
        "np.arange(4).reshape(4, 5, 5581, 8681, 49477, 384773)"}) {
    refused("x = " + std::string(too_large), "2:5", "too large");
  }
  refused("x = np.arange(10 ** 12)", "2:5", "too long");
  refused("a = np.ones((5000000, 1))\nx = a * a.T", "3", "elements");
  // Either product alone is within the limit, and the larger one is never computed.
  refused("a = np.ones((400, 400))\nb = np.ones((1250, 1250))\nx = a @ a\ny = b @ b", "5",
          "multiplications");
  refused("x = np.ones(3)" + repeated("\nx = x[None]", 40), "34", "more than 32 axes");
  refused("i = np.array([10 ** 12, 1])\nW = np.ones((3, 2))\nx = W[i]", "4:5", "3 elements");
  refused("y = np.array([10 ** 12, 1])\nx = one_hot(y)", "3:5", "too large");
}

TEST_CASE("containers that hold themselves are refused at their line") {
  refused("a = []\na.append(a)", "3:1", "would hold itself");
  refused("a = [[]]\na[0].append(a)", "3:1", "would hold itself");
  refused("a = [1]\na[0] = a", "3:1", "would hold itself");
  refused("a = [1]\na.insert(0, [a])", "3:1", "would hold itself");
  refused("a = [1]\nb = [a]\na += [b]", "4:1", "would hold itself");
  refused("d = {}\nd['x'] = d", "3:1", "would hold itself");
  refused("d = {}\ne = {'d': d}\nd['e'] = [e]", "4:1", "would hold itself");
  CHECK(refusal("a = [1]\na += a\na.append([a[0]])").empty());
}

TEST_CASE("long chains of containers and functions are let go without a stack") {
  std::string deep = "a = [1]";
  std::string functions = "f = lambda x: x";
  for (int i = 0; i < 18; ++i) {
    deep += "\nfor i in range(1000):\n    a = [a]";
    functions += "\nfor i in range(1000):\n    f = lambda x, g=f: g(x)";
  }
  CHECK(refusal(deep).empty());
  CHECK(refusal(functions).empty());
  refused(deep + "\nx = np.array(a)", "39:5", "nested more than 32 deep");
  refused(deep + "\nx = a == a", "39:5", "nested too deeply");
}

TEST_CASE("long lines and deep expressions") {
  std::string numbers = "0.5";
  for (int i = 1; i < 100000; ++i) numbers += ", " + std::to_string(i);
  const NumpyProgram p = read_numpy(
      "import numpy as np\nX = np.array([" + numbers + "])\nloss = np.sum(X * 2)\n", "f.py");
  CHECK(p.feed.at("X").size() == 100000);
  const std::string more = repeated(" + 1", 300) + ")";
  refused("x = ((((1" + more + more + more + more, "2", "nested too deeply");
  refused("x = " + std::string(100000, '['), "2", "");
  refused("x = " + repeated("-", 100000) + "1", "2", "nested too deeply");
  refused("x = [\n  1,\n  2\n] @\\\n [\n 'a']", "2:5", "");
  refused(std::string(5000, 'a') + " = 1", "2:1", "name of more than 1000 characters");
}
