// Trying suspicions: those of the same rank are computed together, and the first that gives the
// derivative wins.
#include "explain/grade/backprop_mistakes.h"

#include <algorithm>
#include <cmath>

#include "chainrule/error.h"
#include "graph/op.h"

namespace chainrule::backprop {

Suspicions::Suspicions(Study& of_study, const Gradient& of_gradient)
    : study(of_study), gradient(of_gradient), of(of_study.forward[*of_gradient.of]) {
  substitution_ = study.corrected();
  nodes = study.own_nodes(gradient.value);
  std::erase_if(nodes, [](const Node* node) { return node->inputs.empty(); });
  // Of a line that reads on through lines without a name, what stands last is looked at.
  constexpr std::size_t kMostNodes = 60;
  if (nodes.size() > kMostNodes) nodes.resize(kMostNodes);
  try {
    line = study.corrected_value(gradient);
  } catch (const ShapeError&) {
    line = {};  // what it reads should have another shape
  }
}

void Suspicions::of_line(int rank, const std::string& mistake, const std::string& sentence,
                         const std::function<Value(Value)>& f) {
  if (!line) return;
  try {
    list.push_back({mistake, sentence, rank, f(line), nullptr});
  } catch (const Error&) {
    // Shapes that do not fit: it was not that.
  }
}

void Suspicions::of_node(int rank, const std::string& mistake, const std::string& sentence,
                         const Node& node,
                         const std::function<Value(const std::vector<Value>&)>& f) {
  const Edit edit{&node, f};
  try {
    list.push_back({mistake, sentence, rank, rebuild(gradient.value, substitution_, &edit), &node});
  } catch (const Error&) {
  }
}

std::string described(const Study& study, const Activation& a) {
  const std::string after = study.name_of(a.after);
  const std::string before = study.name_of(a.before);
  const std::string function = a.function.empty() ? "f" : a.function;
  return after + " = " + function + "(" + (before.empty() ? "…" : before) + ")";
}

std::string mention(const Study& study, Value v) {
  std::string name = study.name_of(v);
  for (; name.empty() && is(v, "broadcast_to"); name = study.name_of(v)) v = v.node().inputs[0];
  if (!name.empty()) return name;
  if (is(v, "transpose")) {
    const std::string inner = study.name_of(v.node().inputs[0]);
    if (!inner.empty()) return inner + ".T";
  }
  if (is(v, "constant")) {
    const double c = v.node().real("value");
    std::string text = std::to_string(c);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  }
  if (v.node().op->source) return v.name();
  return {};
}

namespace {

bool near(double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); }

// The factors that a line may have by the conventions of what it reads.
std::vector<double> expected_factors(const Suspicions& s) {
  if (s.of.parameter) return {1};
  std::vector<double> factors;
  for (const Value& v : s.study.stops(s.gradient.value)) {
    const auto at = s.study.gradient_at.find(v);
    if (at == s.study.gradient_at.end()) continue;
    factors.push_back(s.study.gradients[at->second].relation.value_or(Relation{}).factor);
  }
  factors.push_back(1);
  return factors;
}

// Nothing, or what has to be said besides when the corrected line is still off by a factor.
std::optional<std::string> besides(Study& study, double factor, const std::vector<double>& expected,
                                   bool free) {
  for (const double e : expected) {
    if (near(factor, e)) return "";
  }
  const std::string name = study.number_name(factor / expected.front());
  if (expected.size() == 1 && free && factor > 0) return "";  // a convention, judged later
  const bool explained = !name.empty() && (std::isalpha(static_cast<unsigned char>(name.back())) ||
                                           name == "-1" || name == "2" || name == "0.5");
  if (!explained) return std::nullopt;
  if (name == "-1") return " Besides, the sign is wrong.";
  return " Besides, the line is " + name + " times too large.";
}

// Lets go of what was computed only to try it.
class Trial {
 public:
  explicit Trial(Bench& bench)
      : bench_(bench), first_(static_cast<std::int64_t>(bench.graph().nodes().size())) {}
  ~Trial() { bench_.forget(first_); }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

 private:
  Bench& bench_;
  std::int64_t first_;
};

}  // namespace

std::optional<Finding> find_mistake(Study& study, const Gradient& gradient) {
  const Trial trial(study.bench);
  Suspicions s(study, gradient);
  for (const auto suspect : {suspect_whole_line, suspect_activations, suspect_operands,
                             suspect_products, suspect_sums_and_signs, suspect_missing_terms}) {
    suspect(s);
  }
  std::stable_sort(s.list.begin(), s.list.end(),
                   [](const Suspicion& a, const Suspicion& b) { return a.rank < b.rank; });
  const std::vector<double> expected = expected_factors(s);
  std::optional<Finding> second_best;
  for (const Suspicion& suspicion : s.list) {
    const std::optional<Relation> relation = study.bench.relate(suspicion.value, gradient.truth);
    if (!relation || relation->transposed) continue;
    const std::optional<std::string> more =
        besides(study, relation->factor, expected, !s.of.parameter);
    if (!more && second_best) continue;
    const std::size_t last = gradient.versions.back();
    Finding finding{suspicion.mistake, suspicion.sentence + more.value_or(""),
                    suspicion.at != nullptr ? study.assignment_of(*suspicion.at, last) : last,
                    *relation};
    if (more && more->empty()) return finding;
    if (!second_best && more) second_best = finding;
  }
  return second_best;
}

}  // namespace chainrule::backprop
