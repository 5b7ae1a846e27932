// chainrule check: are the gradients of a network right, and does the CPU compute what the
// reference does?
#include "cli/check.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/format.h"
#include "chainrule/gradient_check.h"
#include "cli/command.h"
#include "cli/network_source.h"
#include "cli/numpy_options.h"
#include "cli/source.h"
#include "notation/text_table.h"

namespace chainrule::cli {
namespace {

struct CheckOptions {
  NetworkOptions network;
  GradientCheckOptions gradient;
  NumpySource source;
};

std::string number(double value) { return fmt::format("{:.6g}", value); }

std::string error_text(double error) { return error == 0 ? "0" : fmt::format("{:.0e}", error); }

std::string verdict(double error, double tolerance) { return error <= tolerance ? "ok" : "WRONG"; }

// "kink: 2 derivatives of 1.weight, first 1.weight[0,1], cross relu of layer 2 (relu)"
std::string kink_text(const ParameterCheck& check, const Kink& kink) {
  return fmt::format("  kink: {} derivative{} of {}, first {}, cross{} {}{}; right beside it\n",
                     kink.count, kink.count == 1 ? "" : "s", check.name, kink.where,
                     kink.count == 1 ? "es" : "", kink.op,
                     kink.place.empty() ? "" : " of " + kink.place);
}

std::string gradient_report(const NetworkCheck& check, double tolerance) {
  TextTable table("lrlrrrl");
  table.add({"parameter", "entries", "worst", "backpropagation", "differences", "error", ""});
  std::string kinks;
  for (const ParameterCheck& p : check.gradients) {
    const auto row = [&](const std::string& name, const std::string& entries,
                         const ComparedDerivative& d, const std::string& where) {
      if (d.where.empty()) {
        table.add({name, entries, "only kinks", "", "", "", "kink"});
        return;
      }
      table.add({name, entries, where, number(d.analytic), number(d.numeric), error_text(d.error),
                 verdict(d.error, tolerance) + (p.all_zero ? ", all 0" : "")});
    };
    const std::int64_t all = element_count(p.shape);
    row(p.name,
        p.entries == all ? fmt::format("all {}", all)
                         : fmt::format("{} of {}", p.entries, grouped(all)),
        p.worst_entry, p.worst_entry.where);
    row("", "", p.worst_direction, "a random direction");
    for (const Kink& kink : p.kinks) kinks += kink_text(p, kink);
  }
  return "gradients by backpropagation against differences of the loss, in float64\n" +
         table.to_text() + kinks;
}

std::string backend_report(const NetworkCheck& check) {
  TextTable table("llrrrrl");
  table.add({"", "worst", "CPU", "reference", "error", "rounding", ""});
  std::string before;
  for (const BackendCheck& b : check.backend) {
    table.add({b.what == before ? "" : b.what, b.where, number(b.cpu), number(b.reference),
               error_text(b.error), error_text(b.allowed), b.passed ? "ok" : "WRONG"});
    before = b.what;
  }
  return "the CPU in float32 against the reference in float64; rounding: what float32 may be "
         "off\n" +
         table.to_text();
}

void check_network_of(Arguments& arguments, CheckOptions& options) {
  const NetworkSource source = read_network(arguments, options.network);
  options.gradient.seed = options.network.seed;
  const NetworkCheck check = check_network(source.network, source.parameters, source.batch,
                                           {.gradient = options.gradient,
                                            .optimizer = optimizer_of(options.network.update),
                                            .lr = options.network.update.lr,
                                            .clip = options.network.update.clip,
                                            .seed = static_cast<std::int64_t>(options.network.seed),
                                            .threads = options.network.threads});
  fmt::print("{}loss     {}\n\n{}\n{}\n", headline(source), number(check.loss),
             gradient_report(check, options.gradient.tolerance), backend_report(check));
  const std::size_t all = check.gradients.size() + check.backend.size();
  const auto failed = [](const auto& c) { return !c.passed; };
  const auto bad = std::count_if(check.gradients.begin(), check.gradients.end(), failed) +
                   std::count_if(check.backend.begin(), check.backend.end(), failed);
  if (bad > 0) {
    std::fflush(stdout);
    throw Error(fmt::format("the check failed: {} of {} comparisons are wrong", bad, all));
  }
  fmt::print("all {} comparisons agree\n", all);
}

}  // namespace

Command check_command() {
  const auto options = std::make_shared<CheckOptions>();
  Command command{
      .name = "check",
      .summary = "Check a network's gradients, or the backward pass of a NumPy file (FILE.py)",
      .options = network_options(options->network),
      .run = [options](Arguments& arguments) {
        const std::string& what = options->network.network;
        const NumpySource& source = options->source;
        if (what.ends_with(".py")) {
          if (check_backprop(what, numpy_options_of(source)) == 0) return;
          throw Error(what + ": the check failed");
        }
        if (!source.loss.empty() || !source.shapes.empty()) {
          throw UsageError("--loss and --shape are for NumPy files, FILE.py");
        }
        check_network_of(arguments, *options);
      }};
  command.options.push_back(
      {.name = "--entries",
       .value = &options->gradient.entries,
       .help = "Entries of each parameter to compare one by one: all, or as many at random",
       .range = between(0, 1000000000),
       .shows_default = true});
  append(command.options, {loss_option(options->source), shape_option(options->source)});
  return command;
}

}  // namespace chainrule::cli
