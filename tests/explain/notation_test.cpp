// Every op in every notation: the NumPy form of its samples is run by Python and compared with the
// reference, the LaTeX form is well-formed.
#include "notation/notation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/simplify.h"
#include "explain/python.h"
#include "support/samples.h"

using namespace chainrule;

namespace {

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

}  // namespace

TEST_CASE("every op's NumPy form computes what the op means") {
  std::string needs;
  std::string checks;
  for (const Op* op : all_ops()) {
    if (!op->source) checks += python_check(*op, Notation::kNumpy, needs);
  }
  const std::string script = python_opening() + needs + checks;
  CHECK(run_python(script, "notation") == 0);
}

TEST_CASE("every op has a LaTeX form of balanced braces and nothing but ASCII") {
  for (const Op* op : all_ops()) {
    if (op->source) continue;
    CAPTURE(op->name);
    const Samples samples(*op);
    for (const Value& value : samples.checked) {
      const std::string latex = expression(value, Notation::kLatex);
      CAPTURE(latex);
      const auto n = [&](char c) { return std::count(latex.begin(), latex.end(), c); };
      CHECK(n('{') == n('}'));
      CHECK(std::all_of(latex.begin(), latex.end(), [](char c) { return c > 0; }));
      CHECK_FALSE(latex.empty());
    }
  }
}

TEST_CASE("code is written as people write it") {
  Graph g("style");
  const Type matrix{DType::kF32, {3, 3}};
  const Value a = g.parameter("a", matrix);
  const Value b = g.parameter("b", matrix);
  const Value row = g.parameter("row", {DType::kF32, {3}});
  const auto numpy = [&](const Value& v) {
    g.output("y" + std::to_string(g.outputs().size()), v);
    return expression(spelled_out(g, Notation::kNumpy)->outputs().back().second, Notation::kNumpy);
  };
  CHECK(numpy(matmul(a, transpose(b))) == "a @ b.T");
  CHECK(numpy(a * greater(b, 0.0)) == "a * (b > 0)");
  CHECK(numpy(greater(a, 0.0) + greater(b, 0.0)) ==
        "(a > 0).astype(float) + (b > 0).astype(float)");
  CHECK(numpy((a - b) / 3.0) == "(a - b) / 3");
  CHECK(numpy(0.5 * matmul(a, b)) == "0.5 * (a @ b)");
  CHECK(numpy(matmul(a * b, b)) == "(a * b) @ b");
  CHECK(numpy(1 - tanh(a) * tanh(a)) == "1 - np.tanh(a) ** 2");
  CHECK(numpy(a - (b - a)) == "a - (b - a)");
  CHECK(numpy(-(a * b)) == "-a * b");
  CHECK(numpy(sum(a, {0}, true)) == "np.sum(a, axis=0, keepdims=True)");
  CHECK(numpy(a + row) == "a + row");
  // Broadcasting is left to NumPy only where the shape comes out the same.
  CHECK(numpy(exp(broadcast_to(row, {3, 3}))) == "np.broadcast_to(np.exp(row), (3, 3))");
  CHECK(numpy(sum(exp(broadcast_to(row, {3, 3})), {0})) ==
        "np.sum(np.broadcast_to(np.exp(row), (3, 3)), axis=0)");
  CHECK(numpy(constant(g, 2.5, {2})) == "np.full((2,), 2.5)");
  CHECK(expression(a * 0.1, Notation::kNumpy) == "0.1 * a");
  CHECK(expression(matmul(a, b), Notation::kLatex) == "a\\,b");
  CHECK(expression(maximum(a, 0.0), Notation::kTorch) == "torch.clamp(a, min=0)");
}
