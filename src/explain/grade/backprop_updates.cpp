// Updates: whether each parameter moves down its own gradient.
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

std::optional<double> Judge::rate(const Study::Updated& u) {
  const Named& w = study_.forward[u.of];
  if (u.before != w.value) return std::nullopt;  // a later step, from other weights
  try {
    const Value change = rebuild(u.value - u.before, study_.corrected());
    const auto relation = study_.bench.relate(change, study_.truths.at(w.value));
    if (!relation || relation->transposed || relation->vanishing) return std::nullopt;
    return -relation->factor;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool Judge::made_good(std::size_t i) {
  const Gradient& g = gradient(i);
  if (!value_of(g).parameter) return false;
  const auto [known, is_new] = made_good_.try_emplace(i, false);
  if (is_new) known->second = update_divides(g);
  return known->second;
}

bool Judge::update_divides(const Gradient& g) {
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

void Judge::judge_updates() {
  for (const Study::Updated& u : study_.updates) {
    const Named& w = study_.forward[u.of];
    const Value truth = study_.truths.at(w.value);
    const bool counts = constant_value(truth) != 0;
    if (u.before != w.value || !w.parameter || !counts) continue;
    GradientLine line = line_at(study_.program, study_.assignment(u.assignment));
    line.of = w.name;
    line.verdict = GradientVerdict::kMistake;
    line.difference = std::numeric_limits<double>::quiet_NaN();
    if (const std::optional<double> r = rate(u)) {
      if (*r > 0 || wrong_sign_said(u.of)) continue;
      line.mistake = "the update climbs";
      line.explanation = fmt::format(
          "The step goes up the loss: {} must become {} minus the "
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

bool Judge::wrong_sign_said(std::size_t of) {
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    if (gradient(i).of == of && factor(i) < 0) return true;
  }
  return false;
}

std::string Judge::swapped_sign(std::string text) {
  if (const auto at = text.find("+="); at != std::string::npos) return text.replace(at, 2, "-=");
  const auto at = text.find('+', text.find('='));
  return at != std::string::npos ? text.replace(at, 1, "-") : "";
}

const Named* Judge::other_gradient(const Study::Updated& u) {
  const Value change = rebuild(u.value - u.before, study_.corrected());
  for (const Named& other : study_.forward) {
    if (!other.parameter || other.value == u.before || other.value.shape() != change.shape()) {
      continue;
    }
    const auto relation = study_.bench.relate(change, study_.truths.at(other.value));
    if (relation && !relation->vanishing && relation->factor < 0) return &other;
  }
  return nullptr;
}

void Judge::remark_missing() {
  for (std::size_t i = 0; i < study_.forward.size(); ++i) {
    const Named& w = study_.forward[i];
    const Value truth = study_.truths.at(w.value);
    if (!w.parameter || is(truth, "constant")) continue;
    const bool has_gradient = std::any_of(study_.gradients.begin(), study_.gradients.end(),
                                          [&](const Gradient& g) { return g.of == i; });
    const bool has_update = std::any_of(study_.updates.begin(), study_.updates.end(),
                                        [&](const Study::Updated& u) { return u.of == i; });
    if (!has_gradient && !has_update) {
      remarks_.push_back(fmt::format("{} has no gradient line.", w.name));
    }
  }
}

}  // namespace chainrule::backprop
