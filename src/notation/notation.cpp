// The one printer of graphs, for every notation. What differs between notations is asked of the
// ops; here are only parentheses, broadcasting and the choice of what gets a line of its own.
#include "notation/notation.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <set>

#include "base/format.h"
#include "chainrule/numpy_format.h"
#include "chainrule/simplify.h"
#include "compiler/passes.h"
#include "notation/words.h"

namespace chainrule {
namespace {

bool is_constant(const Value& v) { return is(v, "constant"); }

// A place in a pattern, {0} or {name}, without its braces.
struct Place {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string_view field;
  bool is_input() const { return !field.empty() && field[0] >= '0' && field[0] <= '9'; }
  std::size_t input() const { return static_cast<std::size_t>(field[0] - '0'); }
  bool takes(char mark) const { return field.size() == 2 && field[1] == mark; }
};

// The first place from `at` on. LaTeX's own braces look like places of unknown attributes.
std::optional<Place> next_place(std::string_view text, std::size_t at) {
  const std::size_t begin = text.find('{', at);
  if (begin == std::string_view::npos) return std::nullopt;
  const std::size_t end = text.find('}', begin);
  if (end == std::string_view::npos) return std::nullopt;
  return Place{begin, end + 1, text.substr(begin + 1, end - begin - 1)};
}

// Does the place stand alone between brackets or commas?
bool is_enclosed(std::string_view text, const Place& place) {
  const std::string_view before = text.substr(0, place.begin);
  const std::string_view after = text.substr(place.end);
  if (before.empty() || after.empty()) return false;
  const bool opened = std::string_view("([{|").find(before.back()) != std::string_view::npos ||
                      before.ends_with(", ") || before.ends_with("; ");
  const bool closed = std::string_view(")]}|,;").find(after.front()) != std::string_view::npos ||
                      after.starts_with("\\right");
  return opened && closed;
}

// What stands right behind the place binds to it alone: x.T, x[0], xᵀ, x^2.
bool has_suffix(std::string_view text, const Place& place) {
  const std::string_view after = text.substr(place.end);
  for (const std::string_view suffix : {".T", "[", "^", "ᵀ", "²", " **", "_"}) {
    if (after.starts_with(suffix)) return true;
  }
  return false;
}

Shape both(const Shape& a, const Shape& b) {
  Shape shape = a.size() < b.size() ? b : a;
  const Shape& shorter = a.size() < b.size() ? a : b;
  const std::size_t leading = shape.size() - shorter.size();
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    if (shorter[i] != 1) shape[i + leading] = shorter[i];
  }
  return shape;
}

std::string shape_text(const Shape& shape) {
  return fmt::format("({}{})", joined(shape, ", "), shape.size() == 1 ? "," : "");
}

const Spelling& spelling(const Op& op, Notation notation) {
  switch (notation) {
    case Notation::kText: return op.formula;
    case Notation::kLatex: return op.latex;
    case Notation::kNumpy: return op.numpy;
    case Notation::kTorch: return op.torch.empty() ? op.numpy : op.torch;
  }
  return op.formula;
}

// LaTeX for an op that has only its formula: words upright, signs by their commands.
std::string latex_of_text(std::string_view text) {
  std::string latex;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto is_word = [&](std::size_t at) {
      const auto c = static_cast<unsigned char>(text[at]);
      return std::isalpha(c) != 0 || (at > i && (std::isdigit(c) != 0 || c == '_'));
    };
    std::size_t end = i;
    while (end < text.size() && is_word(end)) ++end;
    const bool in_place = i > 0 && text[i - 1] == '{';
    if (end > i + 1 && !in_place) {
      latex += "\\operatorname{" + replaced(std::string(text.substr(i, end - i)), "_", "\\_") + "}";
      i = end - 1;
    } else {
      latex += text[i];
    }
  }
  const std::pair<const char*, const char*> signs[] = {
      {"(", "\\left("},  {")", "\\right)"}, {"⊙", "\\odot"}, {"·", "\\,"},  {"Σ", "\\sum "},
      {"ᵀ", "^{\\top}"}, {"²", "^{2}"},     {"≤", "\\le"},   {"≥", "\\ge"}, {"≠", "\\ne"}};
  for (const auto& [sign, command] : signs) latex = replaced(latex, sign, command);
  return latex;
}

}  // namespace

std::unique_ptr<Graph> spelled_out(const Graph& graph, Notation notation) {
  if (notation == Notation::kText || notation == Notation::kLatex) return simplify(graph);
  // What cancels, cancels before it is taken apart.
  return simplify(*expand_macros(
      *simplify(graph), [&](const Node& n) { return !spelling(*n.op, notation).empty(); }));
}

std::string prelude(const Graph& graph, Notation notation) {
  std::string imports;
  std::string definitions;
  std::set<std::string_view> seen;
  for (const Node& node : graph.nodes()) {
    const std::string_view needs = spelling(*node.op, notation).needs();
    if (needs.empty() || !seen.insert(needs).second) continue;
    const bool import = needs.starts_with("import ");
    (import ? imports : definitions) += std::string(needs) + (import ? "\n" : "\n\n\n");
  }
  return imports + (imports.empty() || definitions.empty() ? "" : "\n\n") + definitions;
}

Writer::Writer(const Graph& graph, Notation notation) : notation_(notation) {
  for (const auto& [name, value] : graph.outputs()) output_names_.emplace(value, name);
  for (const auto& [parameter, next] : graph.updates()) {
    output_names_.emplace(next, parameter.name() + "'");
  }
  count_mentions(graph);
  find_deep_ones(graph);
}

Pattern Writer::pattern(const Node& node) const {
  if (respell_) {
    Pattern p = respell_(node);
    if (!p.text.empty()) return p;
  }
  const Op& op = *node.op;
  const Spelling& own = spelling(op, notation_);
  if (notation_ == Notation::kLatex && own.empty()) {
    const Pattern text = op.formula.of(node);
    return {latex_of_text(text.text), op.binding};
  }
  Pattern p = own.of(node);
  if (notation_ == Notation::kText && op.binding != Binding::kAtom) p.binding = op.binding;
  if (notation_ == Notation::kTorch && op.torch.empty()) p.text = replaced(p.text, "np.", "torch.");
  return p;
}

// Broadcasts are invisible in mathematics and implied in code.
bool Writer::is_transparent(const Value& v) const { return pattern(v.node()).text == "{0}"; }

// How often the formula of `node` says its input i.
int Writer::mentions_of(const Node& node, std::size_t i) const {
  const std::string text = pattern(node).text;
  int count = 0;
  for (auto place = next_place(text, 0); place; place = next_place(text, place->begin + 1)) {
    if (place->field == "*" || (place->is_input() && place->input() == i)) ++count;
  }
  return std::max(count, 1);
}

void Writer::count_mentions(const Graph& graph) {
  for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node) {
    if (node->op->source || node->inputs.empty()) continue;
    const bool passes_on = is_transparent(node->output());
    std::vector<Value> seen;
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      // Who reads a transparent value reads what stands behind it.
      mentions_[node->inputs[i]] += passes_on ? mentions_[node->output()] : mentions_of(*node, i);
    }
  }
}

// A formula in a formula in a formula … ends where nobody can read it any more.
void Writer::find_deep_ones(const Graph& graph) {
  constexpr std::size_t kDeepest = 50;
  std::vector<std::size_t> depths;
  for (const Node& node : graph.nodes()) {
    std::size_t depth = 0;
    for (const Value& input : node.inputs) {
      if (has_line(input)) continue;
      depth = std::max(depth, depths[static_cast<std::size_t>(input.node().id)] + 1);
    }
    const bool is_leaf = node.inputs.empty() || is_transparent(node.output());
    if (depth >= kDeepest && !is_leaf) deep_.insert(node.output());
    depths.push_back(depth);
  }
}

bool Writer::has_line(const Value& v) const {
  if (v.node().op->source) return false;
  if (is_code() && output_names_.contains(v)) return true;
  if (is_constant(v)) return false;
  if (is_transparent(v)) return is_code() && !v.name().empty();
  if (!v.name().empty() || output_names_.contains(v) || deep_.contains(v)) return true;
  const auto found = mentions_.find(v);
  if (found == mentions_.end() || found->second < 2) return false;
  if (!v.node().op->view) return true;  // a view of a name may be repeated
  const Value& viewed = v.node().inputs[0];
  return !viewed.node().op->source && !has_line(viewed);
}

std::string Writer::name(const Value& v) const {
  std::string name = v.name();
  if (name.empty()) {
    const auto output = output_names_.find(v);
    name = output != output_names_.end() ? output->second : text_name(v);
  }
  return notation_ == Notation::kLatex ? latex_name(name) : name;
}

std::string Writer::right_side(const Value& v) const { return stretched(formula(v), v).text; }

// How another formula refers to v.
Writer::Formula Writer::reference(const Value& v) const {
  if (v.node().op->source || has_line(v)) {
    return {name(v), Binding::kAtom, v.shape(), v.node().op->truth};
  }
  if (is_constant(v)) {
    const double value = v.node().real("value");
    return {number_text(value, notation_), value < 0 ? Binding::kUnary : Binding::kAtom};
  }
  if (is_transparent(v)) return reference(v.node().inputs[0]);
  return formula(v);
}

// Code in the shape that the graph says.
Writer::Formula Writer::stretched(Formula f, const Value& v) const {
  if (!is_code() || f.shape == v.shape()) return f;
  if (is_constant(v)) return formula(v);
  f.text = fmt::format("{}.broadcast_to({}, {})", notation_ == Notation::kTorch ? "torch" : "np",
                       f.text, shape_text(v.shape()));
  f.binding = Binding::kAtom;
  f.shape = v.shape();
  return f;
}

// NumPy refuses to negate or to subtract truth values, and adds them as "or".
Writer::Formula Writer::as_number(Formula f) const {
  if (!is_code() || !f.truth) return f;
  if (f.binding < Binding::kPostfix) f.text = "(" + f.text + ")";
  f.text += notation_ == Notation::kTorch ? ".double()" : ".astype(float)";
  f.binding = Binding::kPostfix;
  f.truth = false;
  return f;
}

std::string Writer::in_place(const Node& node, const Formula& f, std::size_t begin,
                             Binding outer) const {
  if (outer == Binding::kAtom || f.binding > outer) return f.text;
  // a + b + c and a - b + c need no parentheses on the left, nor a sum or product with itself.
  const bool binary = outer == Binding::kSum || outer == Binding::kProduct;
  if (f.binding == outer && binary) {
    const bool of_a_kind = f.op == nullptr || f.op->elementwise == node.op->elementwise;
    if ((begin == 0 && of_a_kind) || (node.op->associative && f.op == node.op)) return f.text;
  }
  if (f.binding == outer && outer == Binding::kPostfix && begin == 0) return f.text;
  return notation_ == Notation::kLatex ? "\\left(" + f.text + "\\right)" : "(" + f.text + ")";
}

std::string Writer::attribute(const Node& node, std::string_view field) const {
  for (const Attribute& a : node.attributes) {
    if (a.name != field) continue;
    if (const double* real = std::get_if<double>(&a.value)) return number_text(*real, notation_);
    const std::string all = attributes_text({a});
    return all.substr(all.find('=') + 1);
  }
  return "";
}

// x ⊙ 1/3 is how the compiler likes it; x / 3 is how a person does.
Writer::Formula Writer::scaled(const Node& node) const {
  const double c = node.inputs[1].node().real("value");
  const double inverse = std::round(1 / c);
  const bool is_short = std::stod(fmt::format("{:.2g}", c)) == c;  // 0.5 and 0.01, not 1/3
  const double tolerance = is_code() ? 4e-16 : 1e-9;
  const bool divides = !is_short && std::abs(1 / c - inverse) < tolerance * std::abs(inverse);
  Formula x = reference(node.inputs[0]);
  const std::string number = number_text(divides ? inverse : c, notation_);
  Formula f{"", Binding::kProduct, x.shape, false, node.op};
  const bool bare = x.binding >= Binding::kProduct;
  const bool latex = notation_ == Notation::kLatex;
  const std::string enclosed = latex ? "\\left(" + x.text + "\\right)" : "(" + x.text + ")";
  if (divides && latex) return {"\\frac{" + x.text + "}{" + number + "}", Binding::kPower};
  if (divides) {
    f.text = (bare ? x.text : enclosed) + " / " + number;
  } else {
    const bool other_product = is_code() && x.op != nullptr && !x.op->elementwise;
    const bool needs_none = x.binding > Binding::kProduct || (bare && !other_product);
    f.text = number +
             (is_code() ? " * "
              : latex   ? " \\cdot "
                        : " · ") +
             (needs_none ? x.text : enclosed);
  }
  return f;
}

Writer::Formula Writer::formula(const Value& v) const {
  constexpr std::size_t kDeepest = 200;
  if (depth_ == 0) nodes_ = 0;
  if (++nodes_ > most_nodes_ || depth_ > kDeepest) return {"…", Binding::kAtom, v.shape()};
  ++depth_;
  Formula result = written(v);
  --depth_;
  return result;
}

Writer::Formula Writer::written(const Value& v) const {
  const Node& node = v.node();
  if (is(node, "mul") && is_constant(node.inputs[1])) return scaled(node);
  const Pattern p = pattern(node);
  if (p.text == "{0}") return reference(node.inputs[0]);
  const bool elementwise = node.op->elementwise;
  Formula result{"", p.binding, {}, node.op->truth, node.op};
  bool took_truth = false;
  std::size_t second_begin = std::string::npos;  // where what follows the first input begins
  std::size_t at = 0;
  for (auto place = next_place(p.text, 0); place;) {
    std::string inserted;
    if (place->field == "*") {
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const Formula f = as_number(stretched(reference(node.inputs[i]), node.inputs[i]));
        inserted += (i == 0 ? "" : ", ") + f.text;
      }
    } else if (place->is_input() && place->input() < node.inputs.size()) {
      const Value& input = node.inputs[place->input()];
      Formula f = reference(input);
      if (elementwise) {
        result.shape = both(result.shape, f.shape);
      } else {
        f = stretched(std::move(f), input);
      }
      if (place->takes('!') && !f.truth) {
        f = {in_place(node, f, 0, Binding::kComparison) + " != 0", Binding::kComparison};
      } else if (!place->takes('!') && (!place->takes('?') || took_truth)) {
        f = as_number(std::move(f));
      }
      took_truth = took_truth || f.truth;
      const bool negated_product = p.text == "-{0}" && f.binding == Binding::kProduct;
      if (negated_product) result.binding = Binding::kProduct;
      const bool negated_sign =
          p.text == "-{0}" && f.binding == Binding::kUnary && !f.text.starts_with('-');
      const Binding outer =
          has_suffix(p.text, *place) ? std::max(p.binding, Binding::kPower) : p.binding;
      inserted = is_enclosed(p.text, *place) || negated_product || negated_sign
                     ? f.text
                     : in_place(node, f, place->begin, outer);
    } else {
      inserted = attribute(node, place->field);
      if (inserted.empty()) {  // LaTeX's own brace
        place = next_place(p.text, place->begin + 1);
        continue;
      }
    }
    result.text += p.text.substr(at, place->begin - at) + inserted;
    if (place->begin == 0) second_begin = result.text.size();
    at = place->end;
    place = next_place(p.text, at);
  }
  result.text += p.text.substr(at);
  // a + -b is a - b.
  const std::size_t sign = result.text.find(" + -");
  if (p.text == "{0} + {1}" && sign != std::string::npos && sign == second_begin) {
    result.text.replace(sign, 4, " - ");
  }
  if (!elementwise) result.shape = v.shape();
  if (node.types.size() > 1) result.text += fmt::format(".{}", v.index());
  return result;
}

std::string expression(const Value& value, Notation notation) {
  const Writer writer(notation);
  return value.node().op->source ? writer.name(value) : writer.right_side(value);
}

void name_lines(Graph& graph, Notation notation) {
  std::set<std::string> names;
  for (const Node& node : graph.nodes()) names.insert(node.names.begin(), node.names.end());
  const Writer writer(graph, notation);
  for (const Node& node : graph.nodes()) {
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      const Value v = node.output(i);
      if (!v.name().empty() || node.op->source || !writer.has_line(v)) continue;
      if (writer.name(v) != text_name(v)) continue;  // an output
      // "grad of h1" is a factor on the way back through h1.
      std::string of = node.note.starts_with("grad of ") ? node.note.substr(8) : "";
      if (!names.contains(of)) of.clear();
      const std::string stem = of.empty() ? "t" : "d" + of + "_in";
      std::string name = of.empty() ? "t1" : stem;
      for (int k = 2; !names.insert(name).second; ++k) name = stem + std::to_string(k);
      v.named(name);
    }
  }
}

}  // namespace chainrule
