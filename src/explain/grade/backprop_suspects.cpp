// The families of mistakes that concern the line as a whole, its activations and its terms.
#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "explain/grade/backprop_activations.h"
#include "explain/grade/backprop_mistakes.h"
#include "graph/op.h"

namespace chainrule::backprop {
namespace {

// x, summed over the axes in which it is larger than `shape`.
Value summed_to(Value x, const Shape& shape) {
  if (x.shape().size() < shape.size()) throw ShapeError("fewer axes");
  const std::size_t leading = x.shape().size() - shape.size();
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < x.shape().size(); ++i) {
    const bool extra = i < leading || (shape[i - leading] == 1 && x.shape()[i] != 1);
    if (extra) axes.push_back(static_cast<std::int64_t>(i));
    if (!extra && x.shape()[i] != shape[i - leading]) throw ShapeError("another extent");
  }
  if (axes.empty()) throw ShapeError("nothing to sum");
  return reshape(sum(x, axes), shape);
}

bool reads_gradient(const Study& study, Value v) {
  if (study.gradient_at.contains(v)) return true;
  if (study.is_stop(v)) return false;
  for (const Value& stop : study.stops(v)) {
    if (study.gradient_at.contains(stop)) return true;
  }
  return false;
}

// The factors of a product; a division by a number and a mask count too.
std::vector<Value> factors_of(Value product) {
  constexpr int kMost = 1000;  // more are no product that somebody wrote
  std::vector<Value> factors;
  std::vector<Value> open{product};
  for (int visited = 0; !open.empty() && visited < kMost; ++visited) {
    const Value v = open.back();
    open.pop_back();
    if (is(v, "mul")) {
      open.insert(open.end(), v.node().inputs.rbegin(), v.node().inputs.rend());
    } else if (!is(v, "constant")) {
      factors.push_back(v);
    }
  }
  return factors;
}

const KnownFunction* known(const std::string& name) {
  for (const KnownFunction& f : known_functions()) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

std::string derivative_text(const Study& study, const Activation& a) {
  const KnownFunction* f = known(a.function);
  if (f == nullptr) return {};
  const std::string z = study.name_of(a.before);
  if (z.empty() && f->name == "relu") return filled(f->derivative, study.name_of(a.after), "");
  return filled(f->derivative, z, study.name_of(a.after));
}

std::string forgotten(const Study& study, const Activation& a) {
  if (a.function == "softmax") {
    return described(study, a) +
           ", and softmax's Jacobian is missing: each output depends on every input of its row.";
  }
  const std::string text = derivative_text(study, a);
  return described(study, a) + ", and its derivative is missing" +
         (text.empty() ? "." : ": multiply by " + text + ".");
}

std::string forgotten_name(const Activation& a) {
  return a.function == "softmax" ? "softmax without its Jacobian"
                                 : "forgot the activation's derivative";
}

// What a wrong factor in the derivative's place is.
std::pair<std::string, std::string> wrong_derivative(Study& study, const Activation& a,
                                                     Value written) {
  const std::string z = study.name_of(a.before);
  const std::string after = study.name_of(a.after);
  const std::string right = derivative_text(study, a);
  if (a.function == "softmax") {
    return {"softmax without its Jacobian",
            described(study, a) + ": " + after + " * (1 - " + after +
                ") is only the diagonal of softmax's Jacobian; the outputs of a row also depend on "
                "each other's inputs."};
  }
  if (const KnownFunction* f = known(a.function)) {
    for (const DerivativeForm& form : f->mistaken) {
      const auto relation = study.bench.relate(written, form.build(a.before, a.after));
      if (!relation || relation->transposed) continue;
      const bool mask = form.sentence == "the mask is the wrong way round";
      return {mask ? "the mask is the wrong way round" : "wrong derivative of the activation",
              fmt::format("{}: {}.", described(study, a),
                          filled(form.sentence, z.empty() ? "the input" : z, after)) +
                  (right.empty() ? "" : " The factor is " + right + ".")};
    }
  }
  return {"wrong derivative of the activation",
          described(study, a) + ", and what stands in the place of its derivative is not it" +
              (right.empty() ? "." : ": the factor is " + right + ".")};
}

// line = a · truth + b · term: then the term is what is too much or missing.
void suspect_missing_term(Suspicions& s, Value term, const std::string& name) {
  if (!s.line || term.shape() != s.line.shape() || s.line.shape() != s.gradient.truth.shape()) {
    return;
  }
  const auto c = s.study.bench.combine(s.line, {s.gradient.truth, term});
  if (!c || std::abs((*c)[0]) < 1e-9 || std::abs((*c)[1]) < 1e-9) return;
  const char sign = (*c)[1] > 0 ? '-' : '+';
  s.of_line(5, "a missing term", fmt::format("The term {} {} is missing.", sign, name),
            [&](Value line) { return line - term * (*c)[1]; });
}

}  // namespace

void suspect_whole_line(Suspicions& s) {
  const Shape& shape = s.of.value.shape();
  s.of_line(1, "forgot the sum over the batch",
            fmt::format("{} is used for every example, so what comes back from them adds up: "
                        "{} has shape {}, and {} has {}.",
                        s.of.name, s.gradient.name, to_string(s.gradient.value.shape()), s.of.name,
                        to_string(shape)),
            [&](Value line) { return summed_to(line, shape); });
  s.of_line(1, "transposed",
            fmt::format("The result is transposed: {} has shape {}, as {} has.", s.gradient.name,
                        to_string(shape), s.of.name),
            [&](Value line) {
              const Value turned = transpose(line);
              if (turned.shape() != shape) throw ShapeError("another shape");
              return turned;
            });
  // = where += belongs: an earlier gradient of the same name, of the same value.
  for (const Gradient& earlier : s.study.gradients) {
    if (&earlier == &s.gradient) break;
    if (earlier.name != s.gradient.name || earlier.of != s.gradient.of) continue;
    const int before = s.study.assignment(earlier.versions.back()).line;
    s.of_line(0, "= for +=",
              fmt::format("{} is read in several places, so its gradient is a sum; this = throws "
                          "away what line {} put into {}. Write +=.",
                          s.of.name, before, s.gradient.name),
              [&](Value line) { return line + earlier.value; });
  }
  for (const Named& t : s.study.forward) {
    if (t.name.empty() || t.value == s.study.loss) continue;
    suspect_missing_term(s, t.value, t.name);
    s.of_line(6, "a missing factor", fmt::format("The factor {} is missing.", t.name),
              [&](Value line) { return line * t.value; });
    s.of_line(6, "a missing factor", fmt::format("The division by {} is missing.", t.name),
              [&](Value line) { return line / t.value; });
  }
  for (std::int64_t id = 0; id < s.study.loss.node().id; ++id) {
    const Value v = s.study.bench.graph().nodes()[static_cast<std::size_t>(id)].output();
    if (is(v, "one_hot")) suspect_missing_term(s, v, "1 at the labels");
  }
}

void suspect_activations(Suspicions& s) {
  for (const Activation& a : s.study.activations) {
    const std::string name = forgotten_name(a);
    const std::string sentence = forgotten(s.study, a);
    const bool here = a.before == s.of.value;
    for (const Node* node : s.nodes) {
      const Value v = node->output();
      // The derivative is missing in the middle of the line.
      for (std::size_t i = 0; i < node->inputs.size(); ++i) {
        const Value input = node->inputs[i];
        if (input.shape() != a.after.shape() || !reads_gradient(s.study, input)) continue;
        s.of_node(3, name, sentence, *node, [&](const std::vector<Value>& inputs) {
          std::vector<Value> changed = inputs;
          changed[i] = s.study.back(a, inputs[i]);
          return changed[0].graph().append(*node->op, changed, node->attributes).output();
        });
      }
      if (v.shape() != a.after.shape() || v.dtype() != DType::kF32) continue;
      // The product of what comes from the loss with a factor that is not the derivative.
      std::vector<Value> others;
      std::vector<Value> incoming;
      for (const Value& f : factors_of(v)) {
        (reads_gradient(s.study, f) ? incoming : others).push_back(f);
      }
      if (is(v, "where")) {
        // dA1 where a mask holds, else 0.
        const auto& in = v.node().inputs;
        const std::size_t kept = reads_gradient(s.study, in[1]) ? 1 : 2;
        incoming = {in[kept]};
        const Value zero = constant(v.graph(), 0, v.shape());
        const Value one = constant(v.graph(), 1, v.shape());
        others = {kept == 1 ? where(in[0], one, zero) : where(in[0], zero, one)};
      }
      if (!incoming.empty() && !others.empty()) {
        Value written = others[0];
        for (std::size_t i = 1; i < others.size(); ++i) written = written * others[i];
        const auto [wrong, why] = wrong_derivative(s.study, a, written);
        const std::vector<Value> kept = incoming;
        s.of_node(here ? 0 : 2, wrong, why, *node, [&](const std::vector<Value>& inputs) {
          (void)inputs;
          Value d;
          for (const Value& f : kept) {
            const auto found = s.corrected().find(f);
            const Value rebuilt =
                found != s.corrected().end() ? found->second : rebuild(f, s.corrected());
            d = d ? d * rebuilt : rebuilt;
          }
          return s.study.back(a, d);
        });
      }
    }
    if (s.line && s.line.shape() == a.after.shape()) {
      s.of_line(here ? 0 : 3, name, sentence, [&](Value line) { return s.study.back(a, line); });
    }
    // The same where the line begins with the loss itself, and nothing comes in from a gradient.
    const KnownFunction* function = known(a.function);
    if (here && function != nullptr && s.line && s.line.shape() == a.after.shape()) {
      for (const DerivativeForm& form : function->mistaken) {
        const Value written = form.build(a.before, a.after);
        const auto [wrong, why] = wrong_derivative(s.study, a, written);
        s.of_line(0, wrong, why, [&](Value line) {
          return line / written * function->differentiate(a.before, a.after);
        });
      }
    }
    const KnownFunction* f = known(a.function == "softmax" ? "sigmoid" : a.function);
    if (here && f != nullptr && s.line && s.line.shape() == a.after.shape()) {
      const std::string text =
          filled(f->derivative, s.study.name_of(a.before), s.study.name_of(a.after));
      s.of_line(
          1, "the activation's derivative twice",
          fmt::format("It multiplies by {}, and what stands before that is the derivative with "
                      "respect to {} already: together with this loss it comes out so simple.",
                      text, s.of.name.empty() ? "the argument" : s.of.name),
          [&](Value line) { return line / f->differentiate(a.before, a.after); });
    }
  }
}

// The gradient as a sum over the places where its value is read, each with a coefficient.
void suspect_missing_terms(Suspicions& s) {
  if (!s.line || s.line.shape() != s.of.value.shape()) return;
  const std::vector<Term> terms = s.study.terms(*s.gradient.of);
  if (terms.size() < 2 || terms.size() > 8) return;
  std::vector<Value> values;
  for (const Term& t : terms) values.push_back(t.value);
  const std::optional<std::vector<double>> c = s.study.bench.combine(s.line, values);
  if (!c) return;
  // The coefficient that most of them share is the line's own factor.
  double factor = 0;
  std::size_t most = 0;
  for (const double x : *c) {
    const auto n = static_cast<std::size_t>(std::count_if(
        c->begin(), c->end(), [&](double y) { return std::abs(x - y) < 1e-6 * std::abs(x); }));
    if (std::abs(x) > 1e-6 && (n > most || (n == most && std::abs(x - 1) < 1e-6))) {
      most = n;
      factor = x;
    }
  }
  if (most == 0) return;
  std::string mistake;
  std::string sentence;
  Value corrected = s.line;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const double x = (*c)[i] / factor;
    if (std::abs(x - 1) < 1e-6) continue;
    const Named& reader = s.study.forward[terms[i].reader];
    const bool penalty = s.of.parameter && reader.value.shape().empty();
    const std::string place = s.study.called(terms[i].reader);
    if (std::abs(x) < 1e-6) {
      mistake = penalty ? "forgot the regularisation term" : "a missing term";
      sentence += penalty ? fmt::format(
                                "{} also stands in {} itself, and that term of its "
                                "derivative is missing. ",
                                s.of.name, place)
                          : fmt::format(
                                "{} is read by {} too, and what comes back from there is "
                                "missing. ",
                                s.of.name, place);
    } else {
      const std::string times = s.study.number_name(x);
      mistake = (std::abs(x + 1) < 1e-6) ? "wrong sign of a term" : "wrong factor of a term";
      sentence +=
          (std::abs(x + 1) < 1e-6)
              ? fmt::format("What comes back from {} has the wrong sign. ", place)
          : std::abs(x) < 1
              ? fmt::format("What comes back from {} must be {} times as large. ", place,
                            s.study.number_name(1 / x))
              : fmt::format("What comes back from {} is {} times too large. ", place, times);
    }
    corrected = corrected + terms[i].value * (factor - (*c)[i]);
  }
  if (mistake.empty()) return;
  sentence.pop_back();
  s.of_line(1, mistake, sentence, [&](Value) { return corrected; });
}

}  // namespace chainrule::backprop
