// NumPy programs, completed and translated: the emitted files are run, and give the reference's
// gradients and updated parameters.
#include <doctest/doctest.h>

#include <regex>
#include <set>

#include "chainrule/error.h"
#include "explain/c_testing.h"
#include "explain/derive/training_step.h"
#include "support/places.h"

using namespace chainrule;
using namespace chainrule::testing;

namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The programs of the reader's test, and those of this one.
std::vector<std::string> program_files() {
  std::set<std::string> files;
  for (const char* folder : {"numpy", "explain"}) {
    const std::string path = source_path("tests/") + folder + "/programs";
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() == ".py") files.insert(entry.path().string());
    }
  }
  return {files.begin(), files.end()};
}

NumpyProgram program_of(const std::string& source) { return read_numpy(source, "program.py"); }
NumpyProgram program_at(const std::string& path) {
  return read_numpy(read_file(path), std::filesystem::path(path).filename().string());
}

// What a step of gradient descent gives, by the reference.
struct Expected {
  double loss = 0;
  TensorMap gradients;  // by parameter
  TensorMap updated;
};

Expected expected_of(const NumpyProgram& program) {
  const TrainingStep step = training_step(program, [](const Value& v) { return v.name(); });
  const double rate = learning_rate_of(program).value;
  const Evaluation run(*step.graph, program.feed);
  Expected expected;
  expected.loss = run.scalar(step.loss);
  for (std::size_t i = 0; i < step.parameters.size(); ++i) {
    const std::string& name = step.parameters[i].name();
    const Tensor gradient = run.value(step.gradients[i]);
    Tensor next = program.feed.find(name)->second.as(DType::kF64);
    for (std::size_t k = 0; k < next.values<double>().size(); ++k) {
      next.values<double>()[k] -= rate * gradient.values<double>()[k];
    }
    expected.gradients.insert_or_assign(name, gradient);
    expected.updated.insert_or_assign(name, next);
  }
  return expected;
}

// Runs Python files, each in a world of its own, and prints expressions of what they leave behind.
class PythonRuns {
 public:
  void add(const std::string& name, const std::string& text,
           const std::vector<std::pair<std::string, std::string>>& expressions) {
    calls_ += fmt::format("run(\"{}\", [", folder_.write(name + ".py", text));
    for (const auto& [label, expression] : expressions) {
      calls_ += fmt::format("(\"{}\", \"{}\"), ", label, expression);
    }
    calls_ += "])\n";
  }

  Printed run() const {
    const std::string driver = folder_.write("driver.py", R"(
import contextlib, io, runpy
import numpy

def run(path, expressions):
    with contextlib.redirect_stdout(io.StringIO()):
        world = runpy.run_path(path)
    for label, expression in expressions:
        print(label, *(repr(float(x)) for x in numpy.ravel(eval(expression, world))))

)" + calls_);
    const Finished finished = shell(python_program() + " " + driver);
    INFO(finished.output);
    REQUIRE(finished.status == 0);
    return parse_printed(finished.output);
  }

 private:
  ScratchFolder folder_;
  std::string calls_;
};

// "W1" and "dW1" of "W1 -= lr * dW1", for every line of the update.
std::vector<std::pair<std::string, std::string>> steps_in(const std::string& text) {
  static const std::regex kStep(R"(^(\S+) (?:-= |= \S+ - )\w+ \* (\w+)$)");
  std::vector<std::pair<std::string, std::string>> steps;
  std::istringstream lines(text);
  bool in_update = false;
  for (std::string line; std::getline(lines, line);) {
    in_update = (in_update && !line.empty()) || line.starts_with("# One step of gradient descent");
    std::smatch parts;
    if (in_update && std::regex_match(line, parts, kStep)) steps.emplace_back(parts[1], parts[2]);
  }
  return steps;
}

// "W1" of "params['W1']", "weights_0" of "weights[0]".
std::string name_in_graph(const std::string& expression) {
  const std::size_t quote = expression.find('\'');
  if (quote == std::string::npos) {
    const std::size_t bracket = expression.find('[');
    if (bracket == std::string::npos) return expression;
    return expression.substr(0, bracket) + "_" +
           expression.substr(bracket + 1, expression.find(']') - bracket - 1);
  }
  return expression.substr(quote + 1, expression.rfind('\'') - quote - 1);
}

std::string python_with_torch() {
  const char* given = std::getenv("CHAINRULE_TORCH_PYTHON");
  const std::string python = given != nullptr ? given : python_program();
  return shell(python + " -c 'import torch'").status == 0 ? python : "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr const char* kForward = R"(import numpy
# data
x = numpy.array([[1.0, 2.0], [3.0, -1.0]])   # two samples
t = numpy.array([[1.0], [0.0]])

numpy.random.seed(1)
W = numpy.random.randn(2, 1)
b = numpy.zeros(1)

y = 1 / (1 + numpy.exp(-(x.dot(W) + b)))
loss = numpy.mean((y - t) ** 2)
print(loss)
# the end
)";

}  // namespace

TEST_CASE("emit numpy: the completed files run and give the reference's gradients and update") {
  PythonRuns runs;
  std::map<std::string, Tensor> expected;  // by label
  for (const std::string& path : program_files()) {
    CAPTURE(path);
    const NumpyProgram program = program_at(path);
    const std::string text = emit_numpy(program);
    CAPTURE(text);
    const Expected reference = expected_of(program);
    const std::vector<std::pair<std::string, std::string>> steps = steps_in(text);
    REQUIRE(steps.size() == reference.gradients.size());
    std::vector<std::pair<std::string, std::string>> expressions;
    const std::string stem = std::filesystem::path(path).stem().string();
    for (const auto& [parameter, gradient] : steps) {
      const std::string name = name_in_graph(parameter);
      expressions.emplace_back(stem + "." + name, parameter);
      expressions.emplace_back(stem + ".d" + name, gradient);
      expected[stem + "." + name] = reference.updated.at(name);
      expected[stem + ".d" + name] = reference.gradients.at(name);
    }
    runs.add(stem, text, expressions);
  }
  const Printed printed = runs.run();
  for (const auto& entry : expected) {
    const std::string& label = entry.first;
    const Tensor& tensor = entry.second;
    CAPTURE(label);
    CHECK(largest_error(printed.at(label), tensor) < 1e-12);
  }
}

TEST_CASE("emit numpy: the file stays as it is, and the new lines are in its style") {
  const std::string text = emit_numpy(program_of(kForward));
  CAPTURE(text);
  std::string kept;
  std::istringstream lines(text);
  std::istringstream original(kForward);
  std::string wanted;
  std::getline(original, wanted);
  for (std::string line; std::getline(lines, line);) {
    if (line == wanted && std::getline(original, wanted)) kept += line + "\n";
  }
  CHECK(original.eof());  // every line of the original, in its order
  CHECK(has(text, "dW = x.T.dot("));
  CHECK(has(text, "numpy.sum("));
  CHECK(!has(text, "np."));
  CHECK(has(text, "# (2, 1)"));
  CHECK(has(text, "learning_rate = 0.01\nW -= learning_rate * dW\n"));
  CHECK(text.find("dW =") > text.find("print(loss)"));
  CHECK(text.find("dW =") < text.find("# the end"));
}

TEST_CASE("emit numpy: a backward pass that stands there becomes comments") {
  const std::string text = emit_numpy(program_of(std::string(kForward) + R"(
# backward
grad_y = t - y
grad_W = x.T.dot(grad_y)     # wrong
other = grad_y + 1
lr = 0.5
W = W - lr * grad_W
print(grad_W)
)"));
  CAPTURE(text);
  CHECK(has(text, "\n# grad_y = t - y\n"));
  CHECK(has(text, "\n# grad_W = x.T.dot(grad_y)     # wrong\n"));
  CHECK(has(text, "\nother = grad_y + 1\n"));
  CHECK(has(text, "\n# W = W - lr * grad_W\n"));
  CHECK(has(text, "\nprint(grad_W)\n"));
  CHECK(has(text, "\nW -= lr * grad_W\n"));
  CHECK(text.find("grad_W = x.T.dot") > text.find("# backward"));
  CHECK(text.find("\nW -=") > text.find("lr = 0.5"));
  CHECK(text.find("lr = 0.5") == text.rfind("lr = 0.5"));
}

TEST_CASE("emit numpy: without parameters the inputs are what is differentiated for") {
  const std::string text = emit_numpy(
      program_of("import numpy as np\nx = np.array([1.0, 2.0])\nloss = np.sum((x - 0.5) ** 2)\n"));
  CAPTURE(text);
  CHECK(has(text, "x -= learning_rate * dx\n"));
}

TEST_CASE("emit numpy: whole numbers, which NumPy does not change in place, are assigned anew") {
  const std::string text = emit_numpy(
      program_of("import numpy as np\nW = np.array([[1, 2], [3, 4]])\nx = np.array([0.5, 0.25])\n"
                 "loss = np.sum((x @ W) ** 2)\n"));
  CAPTURE(text);
  CHECK(has(text, "W = W - learning_rate * dW\n"));
}

TEST_CASE("emit c: NumPy programs as C give the reference's loss, gradients and update") {
  for (const std::string& path : program_files()) {
    CAPTURE(path);
    const NumpyProgram program = program_at(path);
    const Expected reference = expected_of(program);
    const std::string source = emit_c(program);
    const std::string loss = program.loss.name().empty() ? "loss" : program.loss.name();
    std::vector<CArray> before{{loss, loss, 1}};
    std::vector<CArray> after;
    for (const auto& [name, tensor] : reference.gradients) {
      const auto count = static_cast<std::size_t>(tensor.size());
      before.push_back({"d" + name, "d" + name, count});
      after.push_back({name, name, count});
    }
    const Printed printed = run_c(source, before, after);
    CHECK(std::abs(printed.at(loss)[0] - reference.loss) < 1e-12 * (1 + std::abs(reference.loss)));
    for (const auto& entry : reference.gradients) {
      const std::string& name = entry.first;
      const Tensor& tensor = entry.second;
      CAPTURE(name);
      CHECK(largest_error(printed.at("d" + name), tensor) < 1e-12);
      CHECK(largest_error(printed.at(name), reference.updated.at(name)) < 1e-12);
    }
  }
}

TEST_CASE("emit pytorch: the scripts say PASS, and FAIL when a formula is wrong") {
  const ScratchFolder folder;
  std::vector<std::string> scripts;
  for (const std::string& path : program_files()) {
    const std::string text = emit_pytorch(program_at(path));
    CAPTURE(text);
    CHECK(has(text, "requires_grad=True"));
    CHECK(has(text, ".backward()\n"));
    scripts.push_back(folder.write(std::filesystem::path(path).filename().string(), text));
  }
  std::string wrong = emit_pytorch(program_of(kForward));
  const std::size_t at = wrong.find("    dW = ");
  REQUIRE(at != std::string::npos);
  scripts.push_back(folder.write("wrong.py", wrong.insert(at + 9, "-")));

  const std::string compiled =
      fmt::format("{} -m py_compile {}", python_program(), joined(scripts, " "));
  const Finished syntax = shell(compiled);
  CHECK_MESSAGE(syntax.status == 0, syntax.output);
  const std::string python = python_with_torch();
  if (python.empty()) {
    MESSAGE("PyTorch is not installed here: the scripts were compiled, not run");
    return;
  }
  // All in one process, since importing PyTorch takes longer than all else.
  const std::string driver = folder.write("driver.py", R"(import runpy, sys
for path in sys.argv[1:]:
    print("script", path)
    try:
        runpy.run_path(path)
    except SystemExit as end:
        print("status", end.code)
)");
  const Finished ran = shell(fmt::format("{} {} {}", python, driver, joined(scripts, " ")));
  CAPTURE(ran.output);
  REQUIRE(ran.status == 0);
  std::size_t passed = 0;
  for (std::size_t from = 0;
       (from = ran.output.find("PASS\nstatus 0\n", from)) != std::string::npos; ++from) {
    ++passed;
  }
  CHECK(passed == scripts.size() - 1);
  CHECK(ran.output.ends_with("FAIL\nstatus 1\n"));
}
