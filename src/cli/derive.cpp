// chainrule derive: a forward pass in NumPy, and how its gradients come about; or the same program
// with its backward pass, in another language if need be.
#include "base/format.h"
#include "chainrule/derivation.h"
#include "chainrule/emit.h"
#include "chainrule/error.h"
#include "chainrule/numpy_program.h"
#include "cli/command.h"
#include "cli/numpy_options.h"
#include "cli/output.h"
#include "cli/source.h"

namespace chainrule::cli {
namespace {

struct DeriveOptions {
  std::string file;
  std::string output;
  NumpySource source;
  std::vector<std::string> wrt;
  std::string emit;
  bool latex = false;
  bool html = false;
};

// The value that a name stands for when the loss is computed.
Value named_value(const NumpyProgram& program, const std::string& name) {
  Value found;
  std::string known;
  for (const Node& node : program.graph->nodes()) {
    if (node.id > program.loss.node().id) break;
    for (std::size_t i = 0; i < node.names.size(); ++i) {
      if (node.names[i].empty()) continue;
      if (node.names[i] == name) found = node.output(i);
      known += (known.empty() ? "" : ", ") + node.names[i];
    }
  }
  if (found) return found;
  throw UsageError("--wrt " + name + ": " + program.file + " has no such value; it has " + known);
}

std::string derived(const DeriveOptions& options) {
  if (!options.emit.empty() && !options.wrt.empty()) {
    throw UsageError(
        "--wrt does not go with --emit: the program that is written trains all parameters; leave "
        "--wrt out");
  }
  const NumpyProgram program =
      read_numpy(read_program(options.file), options.file, numpy_options_of(options.source));
  if (options.emit == "numpy") return emit_numpy(program);
  if (options.emit == "pytorch") return emit_pytorch(program);
  if (options.emit == "c") return emit_c(program);
  std::vector<Value> wrt;
  for (const std::string& name : options.wrt) wrt.push_back(named_value(program, name));
  if (wrt.empty()) wrt = derivation_targets(program.loss);
  const Derivation derivation = derive(program.loss, wrt);
  if (options.latex) return to_latex(derivation);
  if (options.html) return to_html(derivation);
  return to_text(derivation);
}

void write_derivation(const DeriveOptions& options) {
  check_output("-o", options.output, {options.file});
  write_output(options.output, derived(options));
}

}  // namespace

Command derive_command() {
  const auto options = std::make_shared<DeriveOptions>();
  return {.name = "derive",
          .summary = "Derive the gradients of a forward pass in NumPy",
          .options = {{.name = "file",
                       .value = &options->file,
                       .help = "Python file, or - for standard input",
                       .required = true},
                      {.name = "--latex",
                       .value = &options->latex,
                       .help = "Write a LaTeX document",
                       .excludes = {"--html", "--emit"}},
                      {.name = "--html",
                       .value = &options->html,
                       .help = "Write a self-contained HTML page",
                       .excludes = {"--emit"}},
                      {.name = "--emit",
                       .value = &options->emit,
                       .help = "The program with its backward pass: numpy, pytorch or c",
                       .one_of = {"numpy", "pytorch", "c"}},
                      loss_option(options->source),
                      {.name = "--wrt",
                       .value = &options->wrt,
                       .help = "Names to differentiate with respect to (default: all parameters)",
                       .list = true},
                      shape_option(options->source),
                      {.name = "-o,--output",
                       .value = &options->output,
                       .help = "File to write instead of standard output"}},
          .run = [options](Arguments&) { write_derivation(*options); }};
}

}  // namespace chainrule::cli
