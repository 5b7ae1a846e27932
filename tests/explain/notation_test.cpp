// Every op in every notation: the NumPy form of its samples is run by Python and compared with the
// reference, the LaTeX form is well-formed.
#include "explain/notation.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "chainrule/gradient.h"
#include "chainrule/numpy_format.h"
#include "chainrule/ops.h"
#include "chainrule/simplify.h"
#include "support/samples.h"

using namespace chainrule;

namespace {

std::string python_array(const Tensor& tensor) {
  const Tensor f64 = tensor.as(DType::kF64);
  std::string numbers;
  for (const double x : f64.values<double>()) {
    numbers += python_repr(x) + ", ";
  }
  const bool integers = tensor.dtype() == DType::kI32;
  return fmt::format(
      "np.reshape(np.array([{}], dtype={}), ({}))", numbers, integers ? "np.int64" : "np.float64",
      fmt::format("{}{}", fmt::join(tensor.shape(), ","), tensor.shape().empty() ? "" : ","));
}

// The samples of one op as a Python function that asserts what the reference computed.
std::string python_check(const Op& op, Notation notation, std::string& needs) {
  Samples samples(op);
  for (std::size_t i = 0; i < samples.checked.size(); ++i) {
    samples.graph().output("y" + std::to_string(i), samples.checked[i]);
  }
  const TensorMap expected = Evaluation(samples.graph(), samples.feed).outputs();
  const std::unique_ptr<Graph> graph = spelled_out(samples.graph(), notation);
  needs += prelude(*graph, notation);
  const Writer writer(*graph, notation);
  std::string text = fmt::format("def check_{}():\n", op.name);
  const bool torch = notation == Notation::kTorch;
  for (const auto& [name, tensor] : samples.feed) {
    text += fmt::format("    {} = {}{}{}\n", name, torch ? "torch.from_numpy(" : "",
                        python_array(tensor), torch ? ")" : "");
  }
  for (const Node& node : graph->nodes()) {
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      if (writer.has_line(node.output(i))) text += "    " + writer.line(node.output(i)) + "\n";
    }
  }
  for (const auto& [name, value] : graph->outputs()) {
    text += fmt::format("    same(\"{}\", {}, {})\n", op.name, writer.mention(value),
                        python_array(expected.at(name)));
  }
  return text + fmt::format("check_{}()\n\n\n", op.name);
}

int run_python(const std::string& script, const std::string& name) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("chainrule_{}_{}.py", name, ::getpid());
  std::ofstream(path) << script;
  const int code = std::system(fmt::format("{} {}", CHAINRULE_PYTHON, path.string()).c_str());
  if (code == 0 && std::getenv("KEEP") == nullptr) std::filesystem::remove(path);
  return code;
}

}  // namespace

TEST_CASE("every op's NumPy form computes what the op means") {
  std::string needs;
  std::string checks;
  for (const Op* op : all_ops()) {
    if (!op->source) checks += python_check(*op, Notation::kNumpy, needs);
  }
  const std::string script = R"(import numpy as np


def same(op, got, expected):
    got = np.asarray(got)
    assert got.shape == expected.shape, f"{op}: shape {got.shape} for {expected.shape}"
    np.testing.assert_allclose(np.asarray(got, dtype=float), expected, rtol=1e-12, atol=1e-14, err_msg=op)


)" + needs + checks;
  CHECK(run_python(script, "notation") == 0);
}
