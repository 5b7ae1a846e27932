// chainrule explain: one training step of a network, in numbers and formulas.
#include <memory>

#include "base/format.h"
#include "chainrule/trace_text.h"
#include "cli/command.h"
#include "cli/network_source.h"
#include "cli/output.h"

namespace chainrule::cli {
namespace {

struct ExplainOptions {
  NetworkOptions network;
  std::string weight;
  std::string html;
  TraceTextOptions text;
};

void write_page(const std::string& path, const Trace& step) {
  write_output(path, explain_page(step));
  if (path != "-") fmt::print("page     {}\n", path);
}

void explain(Arguments& arguments, ExplainOptions& options) {
  // A TOML file names further files, so both what it says and the file itself are looked at.
  check_output("--html", options.html, {options.network.network, options.network.table.data});
  const std::string network = options.network.network;
  const NetworkSource source = read_network(arguments, options.network);
  check_output("--html", options.html, {network, options.network.table.data});
  const UpdateOptions& update = options.network.update;
  const Trace step = trace(source.network, source.parameters, source.batch,
                           {.optimizer = optimizer_of(update),
                            .lr = update.lr,
                            .clip = update.clip,
                            .seed = static_cast<std::int64_t>(options.network.seed)});
  if (!options.html.empty()) return write_page(options.html, step);
  std::string text;
  if (options.weight.empty()) {
    text = to_text(step, options.text);
  } else {
    const TraceEntry weight = parsed("--weight", [&] { return find_weight(step, options.weight); });
    text = to_text(step, weight, paths_of(step, weight));
  }
  fmt::print("{}\n{}", headline(source), text);
}

}  // namespace

Command explain_command() {
  const auto options = std::make_shared<ExplainOptions>();
  options->network.rows = 3;
  Command command{
      .name = "explain",
      .summary = "Show one training step: every value, every gradient, formula and numbers",
      .options = network_options(options->network),
      .run = [options](Arguments& arguments) { explain(arguments, *options); }};
  command.options.push_back(
      {.name = "--weight",
       .value = &options->weight,
       .help = "Expand one weight's derivative into all paths to the loss, as 1.weight[0,2] or "
               "W1[0,2]"});
  command.options.push_back({.name = "--step",
                             .value = &options->text.update,
                             .help = "Show the parameters and the loss after the step too"});
  command.options.push_back({.name = "--html",
                             .value = &options->html,
                             .help = "Write the step as an HTML page to this file instead"});
  return command;
}

}  // namespace chainrule::cli
