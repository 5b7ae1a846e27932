// chainrule explain: one training step of a network, in numbers and formulas.
#include <fmt/format.h>

#include <memory>

#include "base/atomic_file.h"
#include "chainrule/trace_text.h"
#include "cli/commands.h"
#include "cli/network_source.h"

namespace chainrule::cli {
namespace {

struct ExplainOptions {
  NetworkOptions network;
  std::string weight;
  std::string html;
  TraceTextOptions text;
};

void write_page(const std::string& path, const Trace& step) {
  const std::string page = explain_page(step);
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(page)));
  file.commit();
  fmt::print("page     {}\n", path);
}

void explain(CLI::App& sub, ExplainOptions& options) {
  const NetworkSource source = read_network(sub, options.network);
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

void add_explain(CLI::App& app) {
  auto options = std::make_shared<ExplainOptions>();
  options->network.rows = 3;
  CLI::App* sub = app.add_subcommand(
      "explain", "Show one training step: every value, every gradient, formula and numbers");
  add_network_options(*sub, options->network);
  sub->add_option("--weight", options->weight,
                  "Expand one weight's derivative into all paths to the loss, as 1.weight[0,2] or "
                  "W1[0,2]");
  sub->add_flag("--step", options->text.update,
                "Show the parameters and the loss after the step too");
  sub->add_option("--html", options->html, "Write the step as a page to this file instead");
  sub->callback([sub, options] { explain(*sub, *options); });
}

}  // namespace chainrule::cli
