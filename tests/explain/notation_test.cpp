// Every op in every notation: the NumPy form of its samples is run by Python and compared with the
// reference, the LaTeX form is well-formed.
#include "explain/notation.h"

#include <doctest/doctest.h>

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
