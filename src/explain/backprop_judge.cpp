// Judging gradient by gradient. A value is right, a multiple of the derivative, wrong by
// inheritance, or wrong by itself; factors are judged last, because a factor that a later line makes
// good is a convention and not a mistake.
#include "explain/backprop_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "explain/backprop_correct.h"
#include "explain/backprop_mistakes.h"
#include "graph/op.h"

namespace chainrule::backprop {
namespace {

bool near(double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); }

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

class Judge {
 public:
  explicit Judge(Study& study) : study_(study) {
    for (const Gradient& g : study_.gradients) {
      GradientLine line = line_at(study_.program, study_.assignment(g.versions.back()));
      line.of = called(*g.of);
      lines_.push_back(std::move(line));
    }
  }

  Judgement run() {
    for (std::size_t i = 0; i < lines_.size(); ++i) judge_value(i);
    for (std::size_t i = 0; i < lines_.size(); ++i) forgive_name(i);
    judge_factors();
    judge_updates();
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      GradientLine& line = lines_[i];
      line.factor = gradient(i).relation.value_or(Relation{}).factor;
      const bool wrong = line.verdict == GradientVerdict::kMistake ||
                         line.verdict == GradientVerdict::kWrong;
      if (wrong) line.correct = correct_line(study_, gradient(i));
    }
    remark_missing();
    Judgement result;
    result.lines = std::move(lines_);
    result.lines.insert(result.lines.end(), updates_.begin(), updates_.end());
    result.remarks = std::move(remarks_);
    return result;
  }

 private:
  Gradient& gradient(std::size_t i) { return study_.gradients[i]; }
  const Named& value_of(const Gradient& g) const { return study_.forward[*g.of]; }

  std::string called(std::size_t of) const {
    const Named& f = study_.forward[of];
    if (!f.name.empty()) return f.name;
    for (const Activation& a : study_.activations) {
      if (a.before == f.value) {
        return fmt::format("the argument of {} in {}",
                           a.function.empty() ? "the activation" : a.function,
                           study_.name_of(a.after));
      }
    }
    return "an inner value";
  }

  // The gradients that a gradient reads.
  std::vector<std::size_t> reads(const Gradient& g) const {
    std::vector<std::size_t> result;
    const auto own = study_.gradient_at.find(key(g.value));
    if (own != study_.gradient_at.end() && &study_.gradients[own->second] != &g) {
      return {own->second};
    }
    for (const Value& v : study_.stops(g.value)) {
      const auto at = study_.gradient_at.find(key(v));
      if (at != study_.gradient_at.end()) result.push_back(at->second);
    }
    std::sort(result.begin(), result.end());
    return result;
  }

  void judge_value(std::size_t i) {
    Gradient& g = gradient(i);
    GradientLine& line = lines_[i];
    g.relation = study_.bench.relate(g.value, g.truth);
    if (g.relation && !(g.relation->transposed && value_of(g).parameter)) return;
    g.relation.reset();
    g.bad = true;
    std::vector<std::string> bad;
    for (const std::size_t r : reads(g)) {
      if (gradient(r).bad) bad.push_back(gradient(r).name);
    }
    if (!bad.empty() && inherits(g)) {
      line.verdict = GradientVerdict::kInherited;
      line.explanation = fmt::format("Right in itself; the error comes from {}.", listed(bad));
      return;
    }
    const std::optional<Finding> finding = find_mistake(study_, g);
    if (!finding) {
      line.verdict = bad.empty() ? GradientVerdict::kWrong : GradientVerdict::kInherited;
      line.mistake = bad.empty() ? "wrong" : "";
      line.explanation = bad.empty()
                             ? "This is not the derivative."
                             : fmt::format("It reads {}: correct that first, then check again.",
                                           listed(bad));
      return;
    }
    const int own_line = line.line;
    const GradientLine place =
        line_at(study_.program, study_.assignment(finding->assignment));
    line.line = place.line;
    line.last_line = place.last_line;
    line.text = place.text;
    line.verdict = GradientVerdict::kMistake;
    line.mistake = finding->mistake;
    line.explanation = finding->sentence;
    if (place.line != own_line) {
      line.explanation += fmt::format(" That makes {} on line {} wrong.", g.name, own_line);
    }
    g.relation = finding->relation;
    overwritten(i);
  }

  bool inherits(Gradient& g) {
    try {
      const Value corrected = study_.corrected_value(g);
      g.relation = study_.bench.relate(corrected, g.truth);
    } catch (const ShapeError&) {
      g.relation.reset();
    }
    if (g.relation && g.relation->transposed && value_of(g).parameter) g.relation.reset();
    return g.relation.has_value();
  }

  // The line that = throws away was a right beginning.
  void overwritten(std::size_t i) {
    if (lines_[i].mistake != "= for +=") return;
    for (std::size_t j = 0; j < i; ++j) {
      if (gradient(j).name != gradient(i).name || gradient(j).of != gradient(i).of) continue;
      lines_[j].verdict = GradientVerdict::kPart;
      lines_[j].mistake.clear();
      lines_[j].explanation.clear();
      gradient(j).relation.reset();
    }
  }

  // dA2 = A2 - Y is the derivative by Z2. If all that reads it takes it as that, only the name is
  // wrong.
  void forgive_name(std::size_t i) {
    Gradient& g = gradient(i);
    const GradientVerdict v = lines_[i].verdict;
    if (v != GradientVerdict::kMistake && v != GradientVerdict::kWrong) return;
    bool read = false;
    for (std::size_t j = 0; j < lines_.size(); ++j) {
      const std::vector<std::size_t> r = reads(gradient(j));
      if (std::find(r.begin(), r.end(), i) == r.end()) continue;
      read = true;
      if (gradient(j).bad) return;
    }
    if (!read) return;
    for (std::size_t k = 0; k < study_.forward.size(); ++k) {
      const auto relation =
          study_.bench.relate(g.value, study_.truths.at(key(study_.forward[k].value)));
      if (!relation || relation->transposed || k == study_.loss_index) continue;
      g.relation = relation;
      g.bad = false;
      g.truth = study_.truths.at(key(study_.forward[k].value));
      lines_[i].verdict = GradientVerdict::kRight;
      lines_[i].mistake.clear();
      lines_[i].explanation =
          fmt::format("This is the derivative with respect to {}, not {}; the lines that read it "
                      "take it as that, so only its name misleads.",
                      called(k), called(*g.of));
      g.of = k;
      return;
    }
  }

  double factor(std::size_t i) { return gradient(i).relation.value_or(Relation{}).factor; }
  bool has_factor(std::size_t i) { return !near(factor(i), 1); }

  bool leads_to(std::size_t from, std::size_t to) {
    if (from == to) return true;
    const std::vector<std::size_t> r = reads(gradient(to));
    return std::any_of(r.begin(), r.end(),
                       [&](std::size_t i) { return i < to && leads_to(from, i); });
  }

  // A gradient that nothing else reads, or that changes a parameter.
  bool is_final(std::size_t i) {
    if (value_of(gradient(i)).parameter) return true;
    for (std::size_t j = 0; j < lines_.size(); ++j) {
      const std::vector<std::size_t> r = reads(gradient(j));
      if (j != i && std::find(r.begin(), r.end(), i) != r.end()) return false;
    }
    return true;
  }

  // Where a factor comes from: the first of the gradients read that has it.
  std::size_t origin(std::size_t i) {
    for (const std::size_t r : reads(gradient(i))) {
      if (r < i && near(factor(r), factor(i))) return origin(r);
    }
    return i;
  }

  void judge_factors() {
    std::vector<bool> blamed(lines_.size(), false);
    std::vector<std::size_t> source(lines_.size());
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      source[i] = i;
      if (!has_factor(i) || !is_final(i) || made_good(i)) continue;
      if (lines_[i].verdict == GradientVerdict::kPart) continue;
      const std::size_t from = origin(i);
      bool others_right = false;
      for (std::size_t j = 0; j < lines_.size(); ++j) {
        const bool right = !has_factor(j) || made_good(j);
        others_right = others_right || (is_final(j) && leads_to(from, j) && right);
      }
      const bool not_a_parameter = !value_of(gradient(i)).parameter;
      if (from != i && others_right && not_a_parameter) continue;  // dX, by the others' convention
      source[i] = others_right ? i : from;
      blamed[source[i]] = true;
    }
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (!has_factor(i)) continue;
      if (blamed[i]) {
        blame_factor(i);
      } else if (source[i] != i || blamed[origin(i)]) {
        inherit_factor(i, origin(i));
      } else if (lines_[i].verdict == GradientVerdict::kRight) {
        explain_factor(i);
      }
    }
  }

  void inherit_factor(std::size_t i, std::size_t from) {
    if (lines_[i].verdict != GradientVerdict::kRight) return;
    lines_[i].verdict = GradientVerdict::kInherited;
    lines_[i].explanation =
        fmt::format("Right in itself; the factor comes from {}.", gradient(from).name);
  }

  // What a factor means when it is a mistake.
  std::pair<std::string, std::string> factor_mistake(std::size_t i) {
    double before = 1;
    for (const std::size_t r : reads(gradient(i))) {
      if (r < i) before = factor(r);
    }
    const double f = factor(i);
    const std::string name = study_.number_name(f);
    const std::string inverse = study_.number_name(1 / f);
    const Gradient& g = gradient(i);
    if (near(f, -1)) return {"wrong sign", "The sign is wrong: this is minus the derivative."};
    if (near(f, 2)) return {"a factor 2 too many", "This is twice the derivative."};
    if (near(f, 0.5)) {
      return {"forgot the factor 2", "This is half the derivative: the 2 of the square is missing."};
    }
    const double count = std::abs(f) > 1 ? std::abs(f) : 1 / std::abs(f);
    if (is_batch(count)) {
      const std::string m = study_.number_name(count);
      std::string sign = f < 0 ? " The sign is wrong, too." : "";
      if (std::abs(f) > 1) {
        return {"forgot 1/m",
                fmt::format("The division by {} is missing: the loss is a mean over {} rows, and "
                            "this is {} times its derivative.{}",
                            m, m, name, sign)};
      }
      const auto nodes = study_.own_nodes(g.value);
      const bool averages = std::any_of(nodes.begin(), nodes.end(),
                                        [](const Node* n) { return is(*n, "mean"); });
      if (averages) {
        return {"mean for sum", fmt::format("A mean stands where a sum belongs: what it averages "
                                            "carries its 1/{} already.{}",
                                            m, sign)};
      }
      return {"1/m twice",
              fmt::format("It divides by {}, and what it reads carries that 1/{} already.{}", m, m,
                          sign)};
    }
    if (near(f, before)) return {"a wrong factor", fmt::format("This is {} times the derivative.", name)};
    return {"a wrong factor",
            std::abs(f) < 1 && inverse.find('/') == std::string::npos
                ? fmt::format("This is the derivative divided by {}.", inverse)
                : fmt::format("This is {} times the derivative.", name)};
  }

  // A number of rows: an extent of the data.
  bool is_batch(double count) const {
    if (!near(count, std::round(count)) || count < 2) return false;
    const auto n = static_cast<std::int64_t>(std::round(count));
    return std::any_of(study_.forward.begin(), study_.forward.end(), [&](const Named& f) {
      const Shape& s = f.value.shape();
      return f.value.node().op->source && !f.parameter &&
             std::find(s.begin(), s.end(), n) != s.end();
    });
  }

  void blame_factor(std::size_t i) {
    const auto [mistake, sentence] = factor_mistake(i);
    GradientLine& line = lines_[i];
    if (line.verdict == GradientVerdict::kMistake || line.verdict == GradientVerdict::kWrong) {
      return;  // said already
    }
    const bool inherited = line.verdict == GradientVerdict::kInherited;
    line.verdict = GradientVerdict::kMistake;
    line.mistake = mistake;
    line.explanation = inherited ? sentence + " And it reads wrong values: " + line.explanation
                                 : sentence;
    std::vector<std::string> right;
    for (std::size_t j = 0; j < lines_.size(); ++j) {
      if (j != i && is_final(j) && !has_factor(j) && leads_to(origin(i), j) && origin(i) != i) {
        right.push_back(gradient(j).name);
      }
    }
    if (!right.empty() && mistake == "forgot 1/m") {
      line.explanation += fmt::format(" {} {} it.", listed(right), right.size() > 1 ? "have" : "has");
    }
  }

  void explain_factor(std::size_t i) {
    const std::string name = study_.number_name(factor(i));
    const std::string times = near(factor(i), -1) ? "minus the derivative"
                                                  : name + " times the derivative";
    std::vector<std::string> mending;
    for (std::size_t j = 0; j < lines_.size(); ++j) {
      const std::vector<std::size_t> r = reads(gradient(j));
      if (std::find(r.begin(), r.end(), i) != r.end() && !has_factor(j)) {
        mending.push_back(gradient(j).name);
      }
    }
    GradientLine& line = lines_[i];
    line.verdict = GradientVerdict::kFactor;
    const std::size_t from = origin(i);
    if (made_good(i) && value_of(gradient(i)).parameter) {
      line.explanation = fmt::format("{}; the update makes that good.", times);
    } else if (!mending.empty()) {
      line.explanation = fmt::format("{}; {} {} that good.", times, listed(mending),
                                     mending.size() > 1 ? "make" : "makes");
    } else if (from != i) {
      line.explanation = fmt::format("{}, as {} is.", times, gradient(from).name);
    } else {
      line.explanation = fmt::format("{}; later lines make that good.", times);
    }
    line.explanation[0] =
        static_cast<char>(std::toupper(static_cast<unsigned char>(line.explanation[0])));
    if (std::isalpha(static_cast<unsigned char>(name[0])) != 0) line.explanation[0] = name[0];
  }

  // The step that an update takes along minus the derivative: its rate, if there is one.
  std::optional<double> rate(const Study::Updated& u) {
    const Named& w = study_.forward[u.of];
    if (u.before != w.value) return std::nullopt;  // a later step, from other weights
    try {
      const Value change = rebuild(u.value - u.before, study_.corrected());
      const auto relation = study_.bench.relate(change, study_.truths.at(key(w.value)));
      if (!relation || relation->transposed) return std::nullopt;
      return -relation->factor;
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  // Does the update divide by what the gradient has too much? Its rate is then one that the user
  // wrote down.
  bool made_good(std::size_t i) {
    const Gradient& g = gradient(i);
    if (!value_of(g).parameter) return false;
    for (const Study::Updated& u : study_.updates) {
      if (u.of != *g.of) continue;
      const std::optional<double> r = rate(u);
      if (!r || *r <= 0) continue;
      for (const Node* node : study_.own_nodes(u.value)) {
        if (is(*node, "constant") && near(*r, node->real("value"))) return true;
      }
      const std::string name = study_.number_name(*r);
      if (std::isalpha(static_cast<unsigned char>(name[0])) != 0) return true;
    }
    return false;
  }

  void judge_updates() {
    for (const Study::Updated& u : study_.updates) {
      const Named& w = study_.forward[u.of];
      if (u.before != w.value || w.value == study_.loss) continue;
      GradientLine line = line_at(study_.program, study_.assignment(u.assignment));
      line.of = w.name;
      line.verdict = GradientVerdict::kMistake;
      if (const std::optional<double> r = rate(u)) {
        if (*r > 0 || wrong_sign_said(u.of)) continue;
        line.mistake = "the update climbs";
        line.explanation = fmt::format("The step goes up the loss: {} must become {} minus the "
                                       "learning rate times its gradient.",
                                       w.name, w.name);
        line.correct = swapped_sign(line.text);
        updates_.push_back(line);
        continue;
      }
      if (const Named* other = other_gradient(u)) {
        line.mistake = "the update of another parameter";
        line.explanation = fmt::format("{} is changed by the gradient of {}.", w.name, other->name);
        updates_.push_back(line);
      }
    }
  }

  bool wrong_sign_said(std::size_t of) {
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (gradient(i).of == of && factor(i) < 0) return true;
    }
    return false;
  }

  static std::string swapped_sign(std::string text) {
    if (const auto at = text.find("+="); at != std::string::npos) return text.replace(at, 2, "-=");
    const auto at = text.find('+', text.find('='));
    return at != std::string::npos ? text.replace(at, 1, "-") : "";
  }

  const Named* other_gradient(const Study::Updated& u) {
    const Value change = rebuild(u.value - u.before, study_.corrected());
    for (const Named& other : study_.forward) {
      if (!other.parameter || other.value == u.before ||
          other.value.shape() != change.shape()) {
        continue;
      }
      const auto relation = study_.bench.relate(change, study_.truths.at(key(other.value)));
      if (relation && relation->factor < 0) return &other;
    }
    return nullptr;
  }

  void remark_missing() {
    for (std::size_t i = 0; i < study_.forward.size(); ++i) {
      const Named& w = study_.forward[i];
      const Value truth = study_.truths.at(key(w.value));
      if (!w.parameter || is(truth, "constant")) continue;
      const bool has_gradient =
          std::any_of(study_.gradients.begin(), study_.gradients.end(),
                      [&](const Gradient& g) { return g.of == i; });
      const bool has_update = std::any_of(study_.updates.begin(), study_.updates.end(),
                                          [&](const Study::Updated& u) { return u.of == i; });
      if (!has_gradient && !has_update) {
        remarks_.push_back(fmt::format("{} has no gradient line.", w.name));
      }
    }
  }

  Study& study_;
  std::vector<GradientLine> lines_;
  std::vector<GradientLine> updates_;
  std::vector<std::string> remarks_;
};

}  // namespace

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
