// A check of the derivation against PyTorch's autograd: the same forward pass twice over, once
// differentiated by PyTorch and once by the formulas.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/format.h"
#include "chainrule/emit.h"
#include "chainrule/error.h"
#include "chainrule/numpy_format.h"
#include "explain/derive/training_step.h"
#include "explain/emit/code_lines.h"
#include "graph/op.h"

namespace chainrule {
namespace {

constexpr std::size_t kWidth = 100;

// Names that the script itself uses, and Python's words.
const std::set<std::string> kTaken = {
    "torch", "sys",   "autograd", "derived", "rows",   "failed", "name", "theirs", "ours",
    "error", "and",   "as",       "assert",  "break",  "class",  "def",  "del",    "elif",
    "else",  "for",   "from",     "if",      "import", "in",     "is",   "lambda", "not",
    "or",    "pass",  "print",    "return",  "try",    "while",  "with", "yield",  "None",
    "True",  "False", "compare",  "max",     "float",  "tensor"};

std::string safe(std::string name) {
  while (kTaken.contains(name)) name += "_";
  return name;
}

std::string number(double x, bool integer) {
  if (std::isnan(x)) return "float(\"nan\")";
  if (std::isinf(x)) return x > 0 ? "float(\"inf\")" : "float(\"-inf\")";
  return integer ? fmt::format("{:.0f}", x) : python_repr(x);
}

// Nested lists, a row a line where there are several.
class Rows {
 public:
  Rows(const Tensor& tensor, const Shape& shape, bool integer)
      : wide_(tensor.as(DType::kF64)), shape_(shape), integer_(integer) {}
  std::string text() { return part(0, 4); }

 private:
  std::string part(std::size_t axis, std::size_t indent) {
    if (axis == shape_.size()) return number(wide_.values<double>()[next_++], integer_);
    std::string text = "[";
    std::size_t column = indent;
    for (std::int64_t i = 0; i < shape_[axis]; ++i) {
      const std::string item = part(axis + 1, indent + 1);
      const bool is_row = axis + 1 < shape_.size();
      const bool breaks = i > 0 && (is_row || column + item.size() + 2 > kWidth);
      text += i == 0 ? "" : breaks ? ",\n" + std::string(indent + 1, ' ') : ", ";
      column = (breaks ? indent + 1 : column + 2) + item.size();
      text += item;
    }
    return text + "]";
  }

  Tensor wide_;
  const Shape& shape_;
  bool integer_;
  std::size_t next_ = 0;
};

std::string filled(const Value& v, const Tensor& tensor, bool is_parameter) {
  const bool integer = v.dtype() == DType::kI32;
  const Tensor wide = tensor.as(DType::kF64);
  const auto values = wide.values<double>();
  const std::string grad = is_parameter ? ", requires_grad=True" : "";
  const bool zeros = std::all_of(values.begin(), values.end(), [](double x) { return x == 0; });
  const std::string dtype = integer ? "torch.int64" : "torch.float64";
  if (zeros && !v.shape().empty()) {
    return fmt::format("{} = torch.zeros({}, dtype={}{})\n", v.name(), joined(v.shape(), ", "),
                       dtype, grad);
  }
  const std::string numbers = Rows(tensor, v.shape(), integer).text();
  const bool breaks = numbers.find('\n') != std::string::npos;
  return fmt::format("{} = torch.tensor({}{}, dtype={}{})\n", v.name(), breaks ? "\n    " : "",
                     numbers, dtype, grad);
}

}  // namespace

std::string emit_pytorch(const NumpyProgram& program) {
  TrainingStep step = training_step(program, [](const Value& v) { return safe(v.name()); });
  const std::string loss = step.loss.name().empty() ? "loss" : step.loss.name();
  step.graph->output(loss, step.loss);
  std::vector<std::string> parameters;
  for (std::size_t i = 0; i < step.parameters.size(); ++i) {
    parameters.push_back(step.parameters[i].name());
    step.graph->output("d" + parameters.back(), step.gradients[i]);
  }
  const std::unique_ptr<Graph> graph = spelled_out(*step.graph, Notation::kTorch);

  std::string text = fmt::format(
      "# {}: the derived gradients against PyTorch's autograd. Written by chainrule.\n"
      "import sys\n\nimport torch\n\ntorch.set_default_dtype(torch.float64)\n",
      program.file);
  const std::string needed = prelude(*graph, Notation::kTorch);
  if (!needed.empty()) text += "\n" + needed;
  TensorMap numbers;
  for (const auto& [name, tensor] : program.feed) numbers.insert_or_assign(safe(name), tensor);
  text += "\n# data\n";
  for (const Value& v : graph->inputs()) text += filled(v, numbers.at(v.name()), false);
  text += "\n# parameters\n";
  for (const Value& v : graph->parameters()) text += filled(v, numbers.at(v.name()), true);

  std::string forward;
  std::string backward;
  for (const CodeLine& line : code_lines(*graph, {Notation::kTorch, nullptr, kTaken})) {
    (line.backward ? backward : forward) += (line.backward ? "    " : "") + line.text + "\n";
  }
  text += "\n# forward pass\n" + forward;
  text += fmt::format("\n# backward pass, by autograd\n{}.backward()\n", loss);
  text += "\n# backward pass, as derived\nwith torch.no_grad():\n" + backward;

  text += "\nrows = [\n";
  for (const std::string& p : parameters) {
    text += fmt::format("    (\"{0}\", {0}.grad, d{0}),\n", p);
  }
  text += "]\n";
  text += R"(failed = False
print(f"{'parameter':<12} {'shape':<14} {'largest error':<14} ")
for name, theirs, ours in rows:
    theirs = torch.zeros_like(ours) if theirs is None else theirs
    error = float((theirs - ours).abs().max() / (1 + theirs.abs().max()))
    right = theirs.shape == ours.shape and error < 1e-9
    failed = failed or not right
    print(f"{name:<12} {str(tuple(ours.shape)):<14} {error:<14.2e} {'ok' if right else 'WRONG'}")
print("FAIL" if failed else "PASS")
sys.exit(1 if failed else 0)
)";
  return text;
}

}  // namespace chainrule
