// The check of a hand-written backward pass, from the file to the report and the page.
#include "chainrule/backprop_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "backend/reference/lazy.h"
#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "explain/grade/backprop_judge.h"
#include "explain/grade/backprop_repair.h"

namespace chainrule {
namespace {

using backprop::Judgement;
using backprop::mentions;
using backprop::Repair;

// The largest difference to the derivative on the file's own numbers.
void measure(const NumpyProgram& program, const backprop::Study& study,
             std::vector<GradientLine>& lines) {
  ValueMap<Value> originals;  // of the values on the bench
  for (const Node& node : program.graph->nodes()) {
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      originals[study.bench.here(node.output(i))] = node.output(i);
    }
  }
  std::vector<Value> of;
  std::vector<Value> values;
  for (const backprop::Gradient& g : study.gradients) {
    of.push_back(originals.at(study.forward[*g.of].value));
    values.push_back(program.assignments[g.versions.back()].value);
  }
  const std::vector<Value> truths = gradient(program.loss, of);
  LazyEvaluation evaluation(*program.graph);
  for (std::size_t i = 0; i < of.size(); ++i) {
    const Array& x = evaluation.value(values[i], program.feed);
    const Array& t = evaluation.value(truths[i], program.feed);
    const double factor =
        lines[i].verdict == GradientVerdict::kFactor ? lines[i].factor : 1;  // as it is meant
    double& worst = lines[i].difference;
    if (x.data.size() != t.data.size()) {
      worst = std::numeric_limits<double>::quiet_NaN();
      continue;
    }
    if (x.shape.size() != t.shape.size()) worst = 0;
    for (std::size_t e = 0; e < x.data.size(); ++e) {
      worst = std::max(worst, std::abs(x.data[e] - factor * t.data[e]));
    }
  }
}

bool is_fine(const GradientLine& line) {
  return line.verdict == GradientVerdict::kRight || line.verdict == GradientVerdict::kFactor ||
         line.verdict == GradientVerdict::kPart;
}

// The lines on which a gradient begins, before the one that is judged.
void add_parts(const NumpyProgram& program, const backprop::Study& study,
               std::vector<GradientLine>& lines) {
  for (const backprop::Gradient& g : study.gradients) {
    for (std::size_t i = 0; i + 1 < g.versions.size(); ++i) {
      GradientLine line = backprop::line_at(program, program.assignments[g.versions[i]]);
      if (std::any_of(lines.begin(), lines.end(),
                      [&](const GradientLine& other) { return other.line == line.line; })) {
        continue;  // the mistake is there
      }
      line.of = study.forward[*g.of].name;
      line.verdict = GradientVerdict::kPart;
      line.difference = std::numeric_limits<double>::quiet_NaN();
      lines.push_back(line);
    }
  }
}

// Lines that could not be computed as they stand are told of, whatever the rest of them is like.
void add_repairs(const std::vector<Repair>& repairs, const NumpyProgram& program,
                 std::vector<GradientLine>& lines) {
  for (const Repair& repair : repairs) {
    const auto at = std::find_if(lines.begin(), lines.end(), [&](const GradientLine& l) {
      return l.line <= repair.line && repair.line <= std::max(l.line, l.last_line);
    });
    GradientLine line;
    if (at != lines.end()) line = *at;
    line.line = repair.line;
    line.text = repair.original;
    std::string reason = repair.error;
    // Without the place, which the report gives already.
    const std::string place = fmt::format("{}:{}:", program.file, repair.line);
    if (reason.starts_with(place)) {
      reason.erase(0, place.size());
      reason.erase(0, reason.find_first_not_of("0123456789: "));
    }
    const std::string fails = fmt::format("It cannot be computed: {}", reason);
    if (repair.fixed.empty()) {
      if (line.target.empty()) line.target = repair.original.substr(0, repair.original.find(' '));
      const auto source = std::find_if(lines.begin(), lines.end(), [&](const GradientLine& l) {
        return l.line < repair.line && !is_fine(l) && mentions(repair.original, l.target);
      });
      line.explanation = fails;
      if (source != lines.end()) {
        line.verdict = GradientVerdict::kInherited;
        line.explanation += fmt::format(". The error comes from {}.", source->target);
      } else {
        line.verdict = GradientVerdict::kFails;
        line.mistake = "cannot be computed";
      }
    } else {
      if (line.verdict != GradientVerdict::kMistake && line.verdict != GradientVerdict::kWrong) {
        line.correct = repair.fixed;
      }
      const std::string also =
          line.verdict == GradientVerdict::kMistake || line.verdict == GradientVerdict::kWrong
              ? " Besides: " + line.explanation
              : "";
      line.verdict = GradientVerdict::kMistake;
      line.mistake = repair.mistake;
      line.explanation = fmt::format("{} {}{}", repair.sentence, fails, also);
    }
    line.difference = std::numeric_limits<double>::quiet_NaN();
    if (at != lines.end()) {
      *at = line;
    } else {
      lines.push_back(line);
    }
  }
}

}  // namespace

BackpropReport check_backprop(std::string_view source, const std::string& file,
                              const NumpyOptions& options) {
  backprop::Readable read = backprop::read_repaired(source, file, options);
  const NumpyProgram& program = read.program;
  backprop::Study study(program);
  const bool updates = std::any_of(study.updates.begin(), study.updates.end(),
                                   [&](const auto& u) { return study.forward[u.of].parameter; });
  if (study.gradients.empty() && !updates && read.repairs.empty()) {
    throw Error(
        fmt::format("{}: no gradient line after the loss; expected names such as dW1, "
                    "grad_W1 or W1_grad for a value W1 of the forward pass",
                    file));
  }
  Judgement judgement = backprop::judge(study);
  measure(program, study, judgement.lines);
  for (std::size_t i = 0; i < study.gradients.size(); ++i) {
    GradientLine& line = judgement.lines[i];
    const bool wrong =
        line.verdict == GradientVerdict::kMistake || line.verdict == GradientVerdict::kWrong;
    if (wrong && line.difference < 1e-14 && line.mistake != "1/m twice") {
      line.explanation += " With the numbers of this file it happens to make no difference.";
    }
  }
  BackpropReport report;
  report.file = file;
  report.loss = program.loss.name().empty() ? "loss" : program.loss.name();
  report.lines = std::move(judgement.lines);
  report.remarks = std::move(judgement.remarks);
  add_parts(program, study, report.lines);
  add_repairs(read.repairs, program, report.lines);
  std::stable_sort(report.lines.begin(), report.lines.end(),
                   [](const GradientLine& a, const GradientLine& b) { return a.line < b.line; });
  // A loop runs its lines several times.
  const auto repeated = [](const GradientLine& a, const GradientLine& b) {
    return a.line == b.line && a.target == b.target && a.verdict == b.verdict &&
           a.explanation == b.explanation && a.correct == b.correct;
  };
  for (std::size_t i = 1; i < report.lines.size();) {
    GradientLine& before = report.lines[i - 1];
    if (repeated(before, report.lines[i])) {
      before.difference = std::max(before.difference, report.lines[i].difference);
      report.lines.erase(report.lines.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  report.right = std::all_of(report.lines.begin(), report.lines.end(), is_fine);
  return report;
}

}  // namespace chainrule
