// Reading a program as a backward pass: the forward values, the activations among them, the lines
// that are gradients, and the true gradients to hold them against.
#include "explain/grade/backprop_study.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/format.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "explain/grade/backprop_activations.h"
#include "graph/op.h"
#include "notation/words.h"

namespace chainrule::backprop {
namespace {

bool is_real(Value v) { return v && v.dtype() == DType::kF32; }

// The names inside softmax() or a loss are its own affair; those inside forward() are the
// program's.
bool is_inner(const std::string& function) {
  if (function.empty()) return false;
  const std::string name = folded(function);
  for (const char* outer : {"forward", "backward", "net", "model", "train", "step", "main", "pass",
                            "propagat", "run", "predict", "fit"}) {
    if (name.find(outer) != std::string::npos) return false;
  }
  return true;
}

// Is the line of the form name *= …, name = name * … or name[…] = 0?
bool multiplies(const std::string& line, const std::string& name) {
  const std::size_t start = line.find(name);
  if (start == std::string::npos) return false;
  std::string text;
  for (const char c : line.substr(start)) {
    if (c != ' ') text += c;
  }
  const std::string_view rest = std::string_view(text).substr(name.size());
  return rest.starts_with("*=") || rest.starts_with("=" + name + "*") ||
         (rest.starts_with("[") && rest.find("]=0") != std::string_view::npos);
}

}  // namespace

bool mentions(const std::string& expression, const std::string& name) {
  for (std::size_t at = expression.find(name); at != std::string::npos;
       at = expression.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    if ((at == 0 || !is_word(expression[at - 1])) &&
        (end == expression.size() || !is_word(expression[end]))) {
      return true;
    }
  }
  return false;
}

Study::Study(const NumpyProgram& given)
    : program(given), bench(*given.graph, given.feed), loss(bench.here(given.loss)) {
  find_forward();
  bench.draw(loss, {loss});
  find_activations();
  find_truths();
  find_gradients();
  find_updates();
}

void Study::find_forward() {
  const auto add = [&](const std::string& name, Value v, int line, bool parameter) {
    if (!is_real(v) || is(v, "constant") || !forward_at.emplace(v, forward.size()).second) {
      return;
    }
    forward.push_back({name, v, line, parameter});
  };
  for (std::size_t i = 0; i < program.forward; ++i) {
    const NumpyAssignment& a = assignment(i);
    if (!a.value || is_inner(a.function)) continue;
    const Value v = value_of(a);
    add(a.target, v, a.line, is(v, "parameter"));
  }
  for (const Value& v : bench.graph().parameters()) add(v.name(), v, 0, true);
  for (const Value& v : bench.graph().inputs()) add(v.name(), v, 0, false);
  add("loss", loss, 0, false);
  loss_index = forward_at.at(loss);
  for (const NumpyAssignment& a : program.assignments) {
    if (!a.value || !a.value.shape().empty() || a.value == program.loss) continue;
    const Value v = value_of(a);
    if (is(v, "constant")) numbers_.emplace_back(a.target, v.node().real("value"));
    if (v.node().op->source) {
      numbers_.emplace_back(a.target,
                            program.feed.at(v.name()).as(DType::kF64).values<double>()[0]);
    }
  }
}

// after = f(before): a named value and what its elementwise expression, or softmax, starts from.
void Study::find_activations() {
  const std::vector<Named> named = forward;
  for (const Named& after : named) {
    if (after.value.node().op->source || after.value.shape().empty()) continue;
    const std::vector<Value> named_inputs = stops(after.value);
    std::vector<Value> candidates = named_inputs;
    const std::vector<const Node*> own = own_nodes(after.value);
    for (const Node* node : own) {
      if (node != &after.value.node()) candidates.push_back(node->output());
    }
    std::erase_if(candidates, [&](const Value& v) {
      return !is_real(v) || is(v, "constant") || v.shape() != after.value.shape();
    });
    // Softmax is often taken apart: scores, shifted, exponentials, probabilities.
    for (const Named& before : named) {
      if (before.value.node().id < after.value.node().id &&
          before.value.shape() == after.value.shape() && after.value.shape().size() == 2) {
        candidates.push_back(before.value);
      }
    }
    const std::vector<double> numbers = bench.numbers(after.value);
    const bool known =
        !numbers.empty() && std::any_of(candidates.begin(), candidates.end(), [&](const Value& v) {
          return recognise(v, after.value, numbers.front());
        });
    if (known) continue;
    const bool elementwise = std::all_of(own.begin(), own.end(), [](const Node* node) {
      return node->op->elementwise || is(*node, "broadcast_to") || is(*node, "constant");
    });
    if (elementwise && named_inputs.size() == 1 && named_inputs[0].shape() == after.value.shape()) {
      activations.push_back({named_inputs[0], after.value, "", -1});
    }
  }
  // What an activation takes counts as a value of the forward pass even without a name.
  for (const Activation& a : activations) {
    if (forward_at.emplace(a.before, forward.size()).second) {
      forward.push_back({"", a.before, 0, false});
    }
  }
  reads_.resize(forward.size());
  for (std::size_t i = 0; i < forward.size(); ++i) {
    for (const Value& v : stops(forward[i].value)) {
      reads_[i].insert(forward_at.at(v));
    }
  }
}

// Every value is tried as the argument of every other, so its images are computed once.
const std::vector<Study::Image>& Study::images(Value before) {
  const auto entry = images_.try_emplace(before);
  std::vector<Image>& images = entry.first->second;
  if (!entry.second) return images;
  const auto first_node = static_cast<std::int64_t>(bench.graph().nodes().size());
  const auto add = [&](std::string_view function, int axis, Value value) {
    Image image{std::string(function), axis, value, 0, 0};
    const std::vector<double> numbers = bench.numbers(value);
    if (numbers.empty()) return;
    image.first = numbers.front();
    for (const double x : numbers) image.length += x * x;
    image.length = std::sqrt(image.length);
    images.push_back(std::move(image));
  };
  for (const KnownFunction& f : known_functions()) add(f.name, -1, f.apply(before));
  if (before.shape().size() == 2) {
    add("softmax", 1, softmax(before));
    add("softmax", 0, transpose(softmax(transpose(before))));
  }
  bench.forget(first_node);
  return images;
}

bool Study::recognise(Value before, Value after, double first) {
  constexpr double kFar = 1e-5;  // ten times what relate() allows
  for (const Image& image : images(before)) {
    if (std::abs(first - image.first) > kFar * image.length) continue;
    const std::optional<Relation> r = bench.relate(after, image.value);
    if (!r || r->factor != 1 || r->transposed || r->reshaped) continue;
    activations.push_back({before, after, image.function, image.axis});
    return true;
  }
  return false;
}

void Study::find_truths() {
  std::vector<Value> values;
  for (const Named& f : forward) values.push_back(f.value);
  const std::vector<Value> d = gradient(loss, values);
  for (std::size_t i = 0; i < values.size(); ++i) truths[values[i]] = d[i];
  std::vector<Value> finite = d;
  finite.push_back(loss);
  bench.draw(loss, finite);
}

std::optional<std::size_t> Study::target_of(const std::string& name) const {
  // Of several values of one name the last is meant.
  const auto last = [&](const auto& fits) -> std::optional<std::size_t> {
    for (std::size_t i = forward.size(); i-- > 0;) {
      if (!forward[i].name.empty() && i != loss_index && fits(i)) return i;
    }
    return std::nullopt;
  };
  const std::vector<std::string> stems = gradient_stems(name);
  // dZ1 of Z1, and not of z1, when there are both.
  if (const auto exact = last([&](std::size_t i) {
        const std::string& n = forward[i].name;
        if (!name.ends_with(n) && !name.starts_with(n)) return false;
        return name == "d" + n || name == "d_" + n || name == n + "_grad" || name == "grad_" + n;
      })) {
    return exact;
  }
  for (const std::string& stem : stems) {
    if (const auto found = last([&](std::size_t i) { return folded_[i] == stem; })) return found;
  }
  // dhidden of hidden_layer.
  for (const std::string& stem : stems) {
    if (stem.size() < 4) continue;
    if (const auto found = last([&](std::size_t i) { return folded_[i].starts_with(stem); })) {
      return found;
    }
  }
  // delta2 is by custom the derivative before the activation.
  for (const std::string& stem : stems) {
    if (stem.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const char* letter : {"z", "s", "u", "net", "a", "h", "o", "l"}) {
      const std::string with_number = letter + stem;
      if (const auto found = last([&](std::size_t i) { return folded_[i] == with_number; })) {
        return found;
      }
    }
  }
  return std::nullopt;
}

void Study::find_gradients() {
  std::set<std::string> forward_names;
  for (const Named& f : forward) {
    forward_names.insert(f.name);
    folded_.push_back(folded(f.name));
  }
  for (std::size_t i = program.forward; i < program.assignments.size(); ++i) {
    const NumpyAssignment& a = assignment(i);
    if (!is_real(a.value) || forward_names.contains(a.target) || is_inner(a.function)) continue;
    const Value value = value_of(a);
    // dscores /= N goes on with the dscores before.
    auto same = std::find_if(gradients.rbegin(), gradients.rend(),
                             [&](const Gradient& g) { return g.name == a.target; });
    if (same != gradients.rend() && (a.in_place || mentions(a.expression, a.target))) {
      same->versions.push_back(i);
      same->value = value;
      continue;
    }
    gradients.push_back({a.target, {i}, target_of(a.target), value, {}, {}, false});
  }
  split_at_activations();
  // A name that says nothing, such as delta or error, may still be a gradient; and h, which has
  // many values, a gradient of an earlier one.
  for (Gradient& g : gradients) {
    const auto fits = [&](std::size_t i) {
      const Value truth = truths.at(forward[i].value);
      return !is(truth, "constant") && bench.relate(g.value, truth).has_value();
    };
    if ((g.of && fits(*g.of)) || (!g.of && !looks_like_gradient(g.name))) continue;
    for (std::size_t i = forward.size(); i-- > 0;) {
      if (i == loss_index || (g.of && forward[i].name != forward[*g.of].name)) continue;
      if ((g.value.shape().empty() && !g.of) || !fits(i)) continue;
      // draw = dh is rather meant as the derivative before h than as another name for dh.
      const bool is_copy = std::any_of(gradients.begin(), gradients.end(), [&](const Gradient& o) {
        return &o != &g && o.of == i && !g.of &&
               mentions(assignment(g.versions[0]).expression, o.name);
      });
      if (is_copy) continue;
      g.of = i;
      break;
    }
  }
  std::stable_sort(gradients.begin(), gradients.end(), [](const Gradient& a, const Gradient& b) {
    return a.versions.back() < b.versions.back();
  });
  index_gradients();
  guess_helpers();
  // What is no gradient is a helper: its readers are judged with it written out. And a second name
  // for a value, as in grads = backward(…), is no second gradient.
  ValueMap<std::set<std::size_t>> seen;
  std::erase_if(gradients,
                [&](const Gradient& g) { return !g.of || !seen[g.value].insert(*g.of).second; });
  index_gradients();
  for (Gradient& g : gradients) g.truth = truths.at(forward[*g.of].value);
}

void Study::index_gradients() {
  gradient_at.clear();
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Gradient& g = gradients[i];
    if (g.of && !forward_at.contains(g.value)) gradient_at.emplace(g.value, i);
  }
}

// draw2 = dh2 * (1 - h2 * h2) is meant as the derivative before the activation that gives h2.
void Study::guess_helpers() {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    Gradient& g = gradients[i];
    if (g.of) continue;
    const std::vector<const Node*> own = own_nodes(g.value);
    const bool elementwise = std::all_of(own.begin(), own.end(), [](const Node* node) {
      return node->op->elementwise || is(*node, "broadcast_to") || is(*node, "constant");
    });
    if (!elementwise) continue;
    for (const Value& v : stops(g.value)) {
      const auto at = gradient_at.find(v);
      if (at == gradient_at.end() || v.shape() != g.value.shape()) continue;
      for (const Activation& a : activations) {
        if (a.after == forward[*gradients[at->second].of].value) {
          g.of = forward_at.at(a.before);
        }
      }
    }
    if (g.of) gradient_at.emplace(g.value, i);
  }
}

// dhidden[hidden <= 0] = 0 turns the derivative after an activation into the one before it.
void Study::split_at_activations() {
  std::vector<Gradient> split;
  for (const Gradient& g : gradients) {
    split.push_back(g);
    if (!g.of) continue;
    const auto a = std::find_if(activations.begin(), activations.end(), [&](const Activation& x) {
      return x.after == forward[*g.of].value;
    });
    if (a == activations.end()) continue;
    const auto at = std::find_if(g.versions.begin() + 1, g.versions.end(), [&](std::size_t i) {
      return multiplies(program.lines[static_cast<std::size_t>(assignment(i).line) - 1], g.name);
    });
    if (at == g.versions.end()) continue;
    const Value before = value_of(assignment(*(at - 1)));
    const Value truth = truths.at(a->after);
    if (bench.relate(g.value, truth) && !bench.relate(before, truth)) continue;  // as of dropout
    Gradient second = g;
    second.versions.assign(at, g.versions.end());
    second.of = forward_at.at(a->before);
    split.back().versions.assign(g.versions.begin(), at);
    split.back().value = before;
    split.push_back(second);
  }
  gradients = std::move(split);
}

void Study::find_updates() {
  std::map<std::string, std::pair<std::size_t, Value>> current;
  for (std::size_t i = 0; i < forward.size(); ++i) {
    if (!forward[i].name.empty()) current[forward[i].name] = {i, forward[i].value};
  }
  for (std::size_t i = program.forward; i < program.assignments.size(); ++i) {
    const NumpyAssignment& a = assignment(i);
    const auto found = current.find(a.target);
    if (!is_real(a.value) || found == current.end()) continue;
    const Value value = value_of(a);
    updates.push_back({found->second.first, i, found->second.second, value});
    found->second.second = value;
  }
}

std::vector<std::size_t> Study::readers(std::size_t of) const {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < reads_.size(); ++i) {
    if (i == of || !reads_[i].contains(of)) continue;
    const Value truth = truths.at(forward[i].value);
    if (constant_value(truth) == 0) continue;
    result.push_back(i);
  }
  return result;
}

namespace {

// The derivative of `from` with respect to `to` along the paths that pass no other forward value.
Value direct(const ValueMap<std::size_t>& forward, Value from, Value to, Value d) {
  const Value alone = reshape(to, to.shape());  // a copy that nothing else reads
  Substitution substitution;
  for (const auto& [v, i] : forward) substitution[v] = v;
  substitution[to] = alone;
  return gradient(rebuild(from, substitution), {alone}, d)[0];
}

}  // namespace

Value Study::back(std::size_t reader, std::size_t of, Value d) {
  return direct(forward_at, forward[reader].value, forward[of].value, d);
}

Value Study::back(const Activation& a, Value d) {
  const Value alone = reshape(a.before, a.before.shape());
  return gradient(rebuild(a.after, {{a.before, alone}}), {alone}, d)[0];
}

std::vector<Term> Study::terms(std::size_t of) {
  std::vector<Term> result;
  for (const std::size_t reader : readers(of)) {
    result.push_back({reader, back(reader, of, truths.at(forward[reader].value))});
  }
  return result;
}

Substitution Study::corrected(bool without_factors) const {
  Substitution substitution;
  for (const Named& f : forward) substitution[f.value] = f.value;
  for (const auto& [k, index] : gradient_at) {
    const Gradient& g = gradients[index];
    const bool rescaled =
        without_factors && g.relation && g.relation->factor != 1 && !forward[*g.of].parameter;
    if (!g.bad && !rescaled) {
      substitution[k] = g.value;
      continue;
    }
    Relation relation = g.relation.value_or(Relation{});
    if (rescaled) relation.factor = 1;
    // A value of a wholly other shape is replaced by one of the right shape.
    const bool fits = element_count(g.value.shape()) == element_count(g.truth.shape());
    substitution[k] = seen_through(relation, g.truth, fits ? g.value.shape() : g.truth.shape());
  }
  return substitution;
}

Value Study::corrected_value(const Gradient& g, bool without_factors) const {
  return rebuild(g.value, corrected(without_factors));
}

template <typename F>
void Study::walk(Value root, F visit) const {
  ValueSet seen;
  std::vector<Value> open{root};
  while (!open.empty()) {
    const Value v = open.back();
    open.pop_back();
    if (!seen.insert(v).second) continue;
    const bool stop = v != root && is_stop(v);
    visit(v, stop);
    if (stop) continue;
    for (const Value& input : v.node().inputs) open.push_back(input);
  }
}

std::vector<Value> Study::stops(Value root) const {
  std::vector<Value> result;
  walk(root, [&](Value v, bool stop) {
    if (stop) result.push_back(v);
  });
  return result;
}

std::vector<const Node*> Study::own_nodes(Value root) const {
  std::vector<const Node*> result;
  walk(root, [&](Value v, bool stop) {
    if (!stop && !v.node().op->source) result.push_back(&v.node());
  });
  std::sort(result.begin(), result.end(),
            [](const Node* a, const Node* b) { return a->id > b->id; });
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

std::size_t Study::assignment_of(const Node& node, std::size_t last) const {
  std::size_t best = last;
  std::int64_t nearest = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = program.forward; i <= last; ++i) {
    if (!assignment(i).value) continue;
    const Value v = value_of(assignment(i));
    if (v.node().inputs.empty() || v.node().id < node.id || v.node().id >= nearest) continue;
    best = i;
    nearest = v.node().id;
  }
  return best;
}

}  // namespace chainrule::backprop
