// Factors: which are conventions that later lines make good, which are mistakes, and whose.
#include "explain/grade/backprop_verdicts.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule::backprop {

bool Judge::equal(Aspect aspect, std::size_t i, std::size_t j) {
  return has(aspect, i) && has(aspect, j) &&
         (aspect == Aspect::kSign || near(std::abs(factor(i)), std::abs(factor(j))));
}

bool Judge::leads_to(std::size_t from, std::size_t to) {
  for (std::size_t j = leads_.size(); j <= to; ++j) {
    std::vector<bool> from_which(lines_.size(), false);
    from_which[j] = true;
    for (const std::size_t i : reads(j)) {
      if (i >= j) continue;
      for (std::size_t k = 0; k <= i; ++k) from_which[k] = from_which[k] || leads_[i][k];
    }
    leads_.push_back(std::move(from_which));
  }
  return leads_[to][from];
}

bool Judge::is_final(std::size_t i) {
  if (value_of(gradient(i)).parameter) return true;
  if (read_by_others_.empty()) {
    read_by_others_.assign(lines_.size(), false);
    for (std::size_t j = 0; j < lines_.size(); ++j) {
      for (const std::size_t r : reads(j)) {
        if (r != j) read_by_others_[r] = true;
      }
    }
  }
  return !read_by_others_[i];
}

std::size_t Judge::origin(Aspect aspect, std::size_t i) {
  while (true) {
    const std::vector<std::size_t>& read = reads(i);
    const auto same = std::find_if(read.begin(), read.end(), [&](std::size_t r) {
      return r < i && (is_rescaled(i) ? has(aspect, r) : equal(aspect, r, i));
    });
    if (same == read.end()) return i;
    i = *same;
  }
}

bool Judge::others_are_right(Aspect aspect, std::size_t from) {
  for (std::size_t j = 0; j < lines_.size(); ++j) {
    if (!is_final(j) || !leads_to(from, j)) continue;
    const bool rescaled = std::any_of(rescaled_.begin(), rescaled_.end(),
                                      [&](std::size_t r) { return leads_to(r, j); });
    if ((!has(aspect, j) && !rescaled) || made_good(j)) return true;
  }
  return false;
}

void Judge::judge_factors() {
  for (const Aspect aspect : {Aspect::kSign, Aspect::kSize}) find_culprits(aspect);
  blame_common_division();
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    for (const Aspect aspect : {Aspect::kSign, Aspect::kSize}) {
      if (blamed_[{aspect, i}]) blame(aspect, i);
    }
  }
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    for (const Aspect aspect : {Aspect::kSign, Aspect::kSize}) {
      const std::size_t from =
          culprit_.contains({aspect, i}) ? culprit_[{aspect, i}] : origin(aspect, i);
      if (from != i && blamed_[{aspect, from}]) inherit(aspect, i, from);
    }
  }
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (has_factor(i) && lines_[i].verdict == GradientVerdict::kRight) explain_factor(i);
  }
}

void Judge::find_culprits(Aspect aspect) {
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if ((!is_final(i) && !is_rescaled(i)) || made_good(i) ||
        lines_[i].verdict == GradientVerdict::kPart)
      continue;
    const std::size_t from = origin(aspect, i);
    if (!has(aspect, i) && !(is_rescaled(i) && from != i)) continue;
    const bool others_right = others_are_right(aspect, from);
    const bool parameter = value_of(gradient(i)).parameter;
    if (from != i && others_right && !parameter && !is_rescaled(i)) continue;  // dX, as the others
    const std::size_t culprit = others_right ? i : from;
    if (culprit == i && is_rescaled(i)) {
      rescaled_.erase(i);
      diagnose(i, {});
      continue;
    }
    culprit_[{aspect, i}] = culprit;
    blamed_[{aspect, culprit}] = true;
  }
  // Nothing is to blame for the factor, and still it does not come out right.
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    const bool said =
        culprit_.contains({Aspect::kSign, i}) || culprit_.contains({Aspect::kSize, i});
    if (aspect == Aspect::kSize && is_rescaled(i) && !said) {
      rescaled_.erase(i);
      diagnose(i, {});
    }
  }
}

void Judge::blame_common_division() {
  std::vector<std::size_t> twice;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (blamed_[{Aspect::kSize, i}] && is_final(i) && std::abs(factor(i)) < 1) twice.push_back(i);
  }
  if (twice.size() < 2) return;
  for (std::size_t c = 0; c < lines_.size(); ++c) {
    const bool all = std::all_of(twice.begin(), twice.end(), [&](std::size_t i) {
      return leads_to(c, i) && equal(Aspect::kSize, i, twice[0]);
    });
    if (!all || is_final(c) || has(Aspect::kSize, c) ||
        lines_[c].verdict != GradientVerdict::kRight || !is_batch(1 / std::abs(factor(twice[0])))) {
      continue;
    }
    for (std::size_t j = 0; j < lines_.size(); ++j) {
      if (is_final(j) && leads_to(c, j) && !equal(Aspect::kSize, j, twice[0])) return;
    }
    std::vector<std::string> names;
    for (const std::size_t i : twice) {
      names.push_back(gradient(i).name);
      blamed_[{Aspect::kSize, i}] = false;
      culprit_[{Aspect::kSize, i}] = c;
    }
    blamed_[{Aspect::kSize, c}] = true;
    common_factor_ = 1 / std::abs(factor(twice[0]));
    common_names_ = listed(names);
    return;
  }
}

void Judge::inherit(Aspect aspect, std::size_t i, std::size_t from) {
  GradientLine& line = lines_[i];
  if (line.verdict != GradientVerdict::kRight) return;
  line.verdict = GradientVerdict::kInherited;
  line.explanation = fmt::format("Right in itself; the {} comes from {}.",
                                 aspect == Aspect::kSign ? "sign" : "factor", gradient(from).name);
}

double Judge::factor_once_correct(std::size_t i) {
  if (value_of(gradient(i)).parameter) return 1;
  double f = factor(i);
  if (blamed_[{Aspect::kSign, i}]) f = std::abs(f);
  if (blamed_[{Aspect::kSize, i}]) f = has(Aspect::kSize, i) ? f / std::abs(f) : f * common_factor_;
  return f;
}

std::pair<std::string, std::string> Judge::size_mistake(std::size_t i) {
  const double f = std::abs(factor(i));
  const std::string name = study_.number_name(f);
  if (!has(Aspect::kSize, i)) {
    const std::string m = study_.number_name(common_factor_);
    return {"1/m twice", fmt::format("It divides by {}, and so do {} once more. Divide by {} in "
                                     "one place only.",
                                     m, common_names_, m)};
  }
  if (near(f, 2)) return {"a factor 2 too many", "This is twice the derivative."};
  if (near(f, 0.5)) {
    return {"forgot the factor 2", "This is half the derivative: the 2 of the square is missing."};
  }
  const double count = f > 1 ? f : 1 / f;
  const std::string m = study_.number_name(count);
  if (is_batch(count) && f > 1) {
    return {
        "forgot 1/m",
        fmt::format("The division by {} is missing: the loss is a mean over {} examples, and this "
                    "is {} times its derivative.",
                    m, m, name)};
  }
  if (is_batch(count)) {
    const auto nodes = study_.own_nodes(gradient(i).value);
    const bool averages =
        std::any_of(nodes.begin(), nodes.end(), [](const Node* n) { return is(*n, "mean"); });
    if (averages) {
      return {"mean for sum", fmt::format("A mean stands where a sum belongs: what it averages "
                                          "carries its 1/{} already.",
                                          m)};
    }
    return {"1/m twice",
            fmt::format("It divides by {}, and the 1/{} is in it already without that.", m, m)};
  }
  return {"a wrong factor", f < 1 && m.find('/') == std::string::npos
                                ? fmt::format("This is the derivative divided by {}.", m)
                                : fmt::format("This is {} times the derivative.", name)};
}

bool Judge::is_batch(double count) const {
  if (!near(count, std::round(count)) || count < 2) return false;
  const auto n = static_cast<std::int64_t>(std::round(count));
  return std::any_of(study_.forward.begin(), study_.forward.end(), [&](const Named& f) {
    const Shape& s = f.value.shape();
    return f.value.node().op->source && !f.parameter && std::find(s.begin(), s.end(), n) != s.end();
  });
}

void Judge::blame(Aspect aspect, std::size_t i) {
  GradientLine& line = lines_[i];
  const bool said = line.verdict == GradientVerdict::kMistake && !factor_said_.contains(i);
  if (said || line.verdict == GradientVerdict::kWrong) return;
  const auto [mistake, sentence] =
      aspect == Aspect::kSign
          ? std::pair<std::string, std::string>{"wrong sign",
                                                "The sign is wrong: this has the "
                                                "sign of minus the derivative."}
          : size_mistake(i);
  if (factor_said_.insert(i).second) {
    const bool inherited = line.verdict == GradientVerdict::kInherited;
    line.explanation =
        inherited ? fmt::format("{} What it reads is wrong, too.", sentence) : sentence;
    line.mistake = mistake;
  } else {
    line.mistake += ", " + mistake;
    line.explanation += " " + sentence;
  }
  line.verdict = GradientVerdict::kMistake;
  if (mistake != "forgot 1/m" || origin(aspect, i) == i) return;
  std::vector<std::string> right;
  for (std::size_t j = 0; j < lines_.size(); ++j) {
    if (j != i && is_final(j) && !has_factor(j) && leads_to(origin(aspect, i), j)) {
      right.push_back(gradient(j).name);
    }
  }
  if (right.empty()) return;
  line.explanation += fmt::format(" {} {} it.", listed(right), right.size() > 1 ? "have" : "has");
}

void Judge::explain_factor(std::size_t i) {
  const std::string name = study_.number_name(factor(i));
  const std::string times =
      near(factor(i), -1) ? "minus the derivative" : name + " times the derivative";
  std::vector<std::string> mending;
  for (std::size_t j = 0; j < lines_.size(); ++j) {
    const std::vector<std::size_t>& r = reads(j);
    if (std::find(r.begin(), r.end(), i) != r.end() && !has_factor(j)) {
      mending.push_back(gradient(j).name);
    }
  }
  GradientLine& line = lines_[i];
  line.verdict = GradientVerdict::kFactor;
  const std::size_t from = origin(Aspect::kSize, i);
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

}  // namespace chainrule::backprop
