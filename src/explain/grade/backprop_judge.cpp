// Judging gradient by gradient. A value is right, a multiple of the derivative, wrong by
// inheritance, or wrong by itself; factors are judged last, because a factor that a later line
// makes good is a convention and not a mistake.
#include "explain/grade/backprop_verdicts.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "explain/grade/backprop_correct.h"
#include "explain/grade/backprop_mistakes.h"
#include "graph/op.h"

namespace chainrule::backprop {

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

Judge::Judge(Study& study) : study_(study) {
  for (const Gradient& g : study_.gradients) {
    GradientLine line = line_at(study_.program, study_.assignment(g.versions.back()));
    line.of = study_.called(*g.of);
    lines_.push_back(std::move(line));
  }
}

Judgement Judge::run() {
  for (std::size_t i = 0; i < lines_.size(); ++i) judge_value(i);
  for (std::size_t i = 0; i < lines_.size(); ++i) forgive_name(i);
  judge_factors();
  judge_updates();
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    GradientLine& line = lines_[i];
    line.factor = gradient(i).relation.value_or(Relation{}).factor;
    const bool wrong =
        line.verdict == GradientVerdict::kMistake || line.verdict == GradientVerdict::kWrong;
    if (wrong) line.correct = correct_line(study_, gradient(i), factor_once_correct(i));
  }
  remark_missing();
  Judgement result;
  result.lines = std::move(lines_);
  result.lines.insert(result.lines.end(), updates_.begin(), updates_.end());
  result.remarks = std::move(remarks_);
  return result;
}

const std::vector<std::size_t>& Judge::reads(std::size_t i) {
  const auto [at, is_new] = reads_.try_emplace(i);
  std::vector<std::size_t>& result = at->second;
  if (!is_new) return result;
  for (const Value& v : study_.stops(gradient(i).value)) {
    const auto read = study_.gradient_at.find(v);
    if (read != study_.gradient_at.end()) result.push_back(read->second);
  }
  std::sort(result.begin(), result.end());
  return result;
}

void Judge::judge_value(std::size_t i) {
  Gradient& g = gradient(i);
  GradientLine& line = lines_[i];
  g.relation = study_.bench.relate(g.value, g.truth);
  std::vector<std::string> bad;
  for (const std::size_t r : reads(i)) {
    if (gradient(r).bad) bad.push_back(gradient(r).name);
  }
  // A sum over a matrix that should be a vector may come out as a multiple by chance.
  const bool by_chance = g.relation && g.relation->factor != 1 && !bad.empty();
  const bool transposed = g.relation && g.relation->transposed && value_of(g).parameter;
  if (g.relation && !by_chance && !transposed) return;
  g.relation.reset();
  g.bad = true;
  if (!bad.empty() && inherits(g)) {
    line.verdict = GradientVerdict::kInherited;
    line.explanation = fmt::format("Right in itself; the error comes from {}.", listed(bad));
    return;
  }
  if (inherits_factors(i)) {
    rescaled_.insert(i);
    return;
  }
  diagnose(i, bad);
}

bool Judge::inherits_factors(std::size_t i) {
  Gradient& g = gradient(i);
  try {
    const auto relation = study_.bench.relate(study_.corrected_value(g, true), g.truth);
    if (!relation || relation->factor != 1 || relation->transposed) return false;
    g.relation = relation;
    return true;
  } catch (const ShapeError&) {
    return false;
  }
}

void Judge::diagnose(std::size_t i, const std::vector<std::string>& bad) {
  Gradient& g = gradient(i);
  GradientLine& line = lines_[i];
  made_good_.clear();  // it may depend on what this line is found to be
  const std::optional<Finding> finding = find_mistake(study_, g);
  if (!finding) {
    line.verdict = bad.empty() ? GradientVerdict::kWrong : GradientVerdict::kInherited;
    line.mistake = bad.empty() ? "wrong" : "";
    line.explanation =
        bad.empty()
            ? "This is not the derivative."
            : fmt::format("It reads {}: correct that first, then check again.", listed(bad));
    return;
  }
  g.relation = finding->relation;
  const NumpyAssignment& place = study_.assignment(finding->assignment);
  const bool own =
      std::find(g.versions.begin(), g.versions.end(), finding->assignment) != g.versions.end();
  if (!own) {
    // The mistake is on the line of a helper, and this one only inherits it.
    line.verdict = GradientVerdict::kInherited;
    line.explanation = fmt::format("Right in itself; the error comes from {} on line {}.",
                                   place.target, place.line);
    if (!helpers_.insert(finding->assignment).second) return;
    GradientLine helper = line_at(study_.program, place);
    helper.verdict = GradientVerdict::kMistake;
    helper.mistake = finding->mistake;
    helper.explanation = finding->sentence;
    helper.difference = std::numeric_limits<double>::quiet_NaN();
    updates_.push_back(helper);
    return;
  }
  const GradientLine at = line_at(study_.program, place);
  line.line = at.line;
  line.last_line = at.last_line;
  line.text = at.text;
  line.verdict = GradientVerdict::kMistake;
  line.mistake = finding->mistake;
  line.explanation = finding->sentence;
  overwritten(i);
}

bool Judge::inherits(Gradient& g) {
  try {
    const Value corrected = study_.corrected_value(g);
    g.relation = study_.bench.relate(corrected, g.truth);
  } catch (const ShapeError&) {
    g.relation.reset();
  }
  if (g.relation && g.relation->transposed && value_of(g).parameter) g.relation.reset();
  return g.relation.has_value();
}

void Judge::overwritten(std::size_t i) {
  if (lines_[i].mistake != "= for +=") return;
  for (std::size_t j = 0; j < i; ++j) {
    if (gradient(j).name != gradient(i).name || gradient(j).of != gradient(i).of) continue;
    lines_[j].verdict = GradientVerdict::kPart;
    lines_[j].mistake.clear();
    lines_[j].explanation.clear();
    gradient(j).relation.reset();
  }
}

void Judge::forgive_name(std::size_t i) {
  Gradient& g = gradient(i);
  const GradientVerdict v = lines_[i].verdict;
  if (v != GradientVerdict::kMistake && v != GradientVerdict::kWrong) return;
  bool read = false;
  for (std::size_t j = 0; j < lines_.size(); ++j) {
    const std::vector<std::size_t>& r = reads(j);
    if (std::find(r.begin(), r.end(), i) == r.end()) continue;
    read = true;
    if (gradient(j).bad) return;
  }
  if (!read) return;
  for (std::size_t k = 0; k < study_.forward.size(); ++k) {
    const auto relation = study_.bench.relate(g.value, study_.truths.at(study_.forward[k].value));
    if (!relation || relation->transposed || k == study_.loss_index) continue;
    g.relation = relation;
    g.bad = false;
    g.truth = study_.truths.at(study_.forward[k].value);
    lines_[i].verdict = GradientVerdict::kRight;
    lines_[i].mistake.clear();
    lines_[i].explanation = fmt::format(
        "This is the derivative with respect to {}, not {}; the lines that read it "
        "take it as that, so only its name misleads.",
        study_.called(k), study_.called(*g.of));
    g.of = k;
    return;
  }
}

bool Judge::has(Aspect aspect, std::size_t i) {
  return aspect == Aspect::kSign ? factor(i) < 0 : !near(std::abs(factor(i)), 1);
}

GradientLine line_at(const NumpyProgram& program, const NumpyAssignment& a) {
  GradientLine line;
  line.line = a.line;
  line.last_line = a.last_line;
  line.target = a.target;
  for (int i = a.line; i <= std::max(a.line, a.last_line); ++i) {
    if (i < 1 || static_cast<std::size_t>(i) > program.lines.size()) continue;
    std::string text = program.lines[static_cast<std::size_t>(i) - 1];
    text.erase(0, text.find_first_not_of(" \t"));
    if (const auto comment = text.find('#'); comment != std::string::npos) text.erase(comment);
    text.erase(text.find_last_not_of(" \t\r\n") + 1);
    line.text += (line.text.empty() ? "" : " ") + text;
  }
  return line;
}

Judgement judge(Study& study) { return Judge(study).run(); }

}  // namespace chainrule::backprop
