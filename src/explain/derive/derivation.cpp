// The chain rule, value by value. A step belongs to a value with a name; between two names lies a
// piece of the graph whose derivative is taken by itself, with all other names held fixed. Putting
// those pieces together is the chain rule; the whole gradient, simplified, is what remains of it.
#include "chainrule/derivation.h"

#include <algorithm>
#include <map>
#include <set>

#include "chainrule/error.h"
#include "chainrule/gradient.h"
#include "chainrule/ops.h"
#include "chainrule/simplify.h"
#include "compiler/passes.h"
#include "explain/derive/local_derivative.h"
#include "explain/derive/recognise.h"
#include "graph/copy.h"
#include "notation/math_text.h"
#include "notation/notation.h"

namespace chainrule {
namespace {

// "[m,n]" for a matrix.
std::string index_letters(const Shape& shape) {
  const char* letters[] = {"", "i", "m,n", "i,j,k", "i,j,k,l"};
  return shape.empty() || shape.size() > 4 ? "" : letters[shape.size()];
}

// The derivation of one graph.
class Deriving {
 public:
  Deriving(Value loss, const std::vector<Value>& wrt) : graph_("derivation") {
    Graph given("given");
    GraphCopy copy(given);
    given.output("loss", copy(loss));
    const bool only_sources =
        std::all_of(wrt.begin(), wrt.end(), [](const Value& v) { return v.node().op->source; });
    for (const Value& v : wrt) {
      given.output("of" + std::to_string(wrt_.size()), copy(v));
      wrt_.push_back(v);
    }
    const GraphPtr seen = only_sources ? recognise(given) : drop_unused(given);
    GraphCopy again(graph_);
    again.name_constants();
    loss_ = again(seen->outputs()[0].second);
    for (std::size_t i = 0; i < wrt_.size(); ++i) wrt_[i] = again(seen->outputs()[i + 1].second);
    find_names();
  }

  Derivation run();

 private:
  bool has_name(const Value& v) const { return !v.name().empty(); }
  void find_names();
  void find_readers();
  std::vector<Value> backward_order() const;
  DerivationStep step(const Value& v);
  ChainTerm term(const Value& v, const Value& reader) const;
  void differentiate(DerivationStep& step, const Value& v);
  void put_gradients(Graph& whole, const std::vector<Value>& of) const;
  void finish(Derivation& derivation) const;
  void write_program(Derivation& derivation) const;

  std::string gradient_name(const Value& v) const {
    const std::string name = "d" + v.name();
    return names_.contains(name) ? "grad_" + v.name() : name;
  }

  Graph graph_;
  Value loss_;
  std::vector<Value> wrt_;
  std::set<std::string> names_;
  ValueMap<std::vector<Value>> readers_;  // of a named value: the named values made of it
  std::vector<Value> active_;             // named values between wrt and the loss
};

// The named values that `v` is directly made of.
void named_operands(const Value& of, ValueSet& seen, std::vector<Value>& operands) {
  std::vector<Value> open(of.node().inputs.rbegin(), of.node().inputs.rend());
  while (!open.empty()) {
    const Value v = open.back();
    open.pop_back();
    if (!seen.insert(v).second) continue;
    if (!v.name().empty()) {
      operands.push_back(v);
    } else {
      open.insert(open.end(), v.node().inputs.rbegin(), v.node().inputs.rend());
    }
  }
}

void Deriving::find_names() {
  for (const Node& node : graph_.nodes()) {
    for (const std::string& name : node.names) {
      if (!name.empty()) names_.insert(name);
    }
  }
  if (loss_.name().empty()) loss_.named(names_.contains("loss") ? "L" : "loss");
  names_.insert(loss_.name());
  find_readers();
}

void Deriving::find_readers() {
  // What depends on wrt …
  std::vector<bool> depends(graph_.nodes().size(), false);
  for (const Value& v : wrt_) depends[static_cast<std::size_t>(v.node().id)] = true;
  for (const Node& node : graph_.nodes()) {
    for (const Value& input : node.inputs) {
      if (input.dtype() != DType::kF32) continue;
      if (depends[static_cast<std::size_t>(input.node().id)]) {
        depends[static_cast<std::size_t>(node.id)] = true;
      }
    }
  }
  // … and what the loss is made of.
  ValueSet visited{loss_};
  std::vector<Value> open{loss_};
  while (!open.empty()) {
    const Value reader = open.back();
    open.pop_back();
    active_.push_back(reader);
    ValueSet seen;
    std::vector<Value> operands;
    named_operands(reader, seen, operands);
    for (const Value& v : operands) {
      if (v.dtype() != DType::kF32 || !depends[static_cast<std::size_t>(v.node().id)]) continue;
      readers_[v].push_back(reader);
      if (visited.insert(v).second) open.push_back(v);
    }
  }
  for (auto& [value, readers] : readers_) {
    std::sort(readers.begin(), readers.end(),
              [](const Value& a, const Value& b) { return ValueOrder()(b, a); });
  }
}

// A value comes after all its readers, and right after the earliest of them: first the sources that
// this reader reads, then what leads further back.
std::vector<Value> Deriving::backward_order() const {
  std::vector<Value> order;
  for (const Value& v : active_) {
    if (v != loss_) order.push_back(v);
  }
  const auto rank = [&](const Value& v) {
    return std::tuple(-readers_.at(v).back().node().id, !v.node().op->source,
                      v.node().op->source ? v.node().id : -v.node().id);
  };
  std::sort(order.begin(), order.end(),
            [&](const Value& a, const Value& b) { return rank(a) < rank(b); });
  return order;
}

std::string product_shapes(const Value& matmul) {
  const Node& n = matmul.node();
  return to_string(n.inputs[0].shape()) + "·" + to_string(n.inputs[1].shape()) + " → " +
         to_string(matmul.shape());
}

ChainTerm Deriving::term(const Value& v, const Value& reader) const {
  ChainTerm term;
  term.reader = reader.name();
  term.reader_shape = reader.shape();
  term.formula = in_mathematics(reader, reader.name());
  const bool from_loss = reader == loss_;
  if (!from_loss) term.upstream = gradient_name(reader);
  Graph local("local");
  GraphCopy copy(local);
  ValueSet seen;
  std::vector<Value> operands;
  named_operands(reader, seen, operands);
  for (const Value& operand : operands) {
    copy.put(operand, local.input(operand.name(), operand.type()));
  }
  const Value y = copy(reader);
  add_local(copy(v), y, term);
  const std::string whole = fraction(loss_.name(), v.name());
  std::string right;
  if (from_loss) {
    right = term.local.size() > 1 ? "the product of these" : "";
  } else if (term.elementwise) {
    right = fraction(loss_.name(), reader.name()) + " ⊙ " + fraction(reader.name(), v.name());
  } else {
    const char* subscripts[] = {"", "Σᵢ ", "Σₘₙ ", "Σᵢⱼₖ ", "Σ "};
    const std::string letters = index_letters(reader.shape());
    const std::string index = letters.empty() ? "" : "[" + letters + "]";
    right = std::string(subscripts[std::min<std::size_t>(reader.shape().size(), 4)]) +
            fraction(loss_.name(), reader.name() + index) + " · " +
            fraction(reader.name() + index, v.name());
  }
  if (!from_loss) term.chain = {whole + " = " + right, latex_of(whole) + " = " + latex_of(right)};
  return term;
}

// The contributions of all readers, by the named values alone, and their sum.
void Deriving::differentiate(DerivationStep& step, const Value& v) {
  Graph local("local");
  GraphCopy inputs(local);
  std::map<std::string, Value> sources;
  const auto source = [&](const std::string& name, const Type& type) {
    Value& value = sources[name];
    if (!value) value = local.input(name, type);
    return value;
  };
  Value total;
  std::vector<Value> readers;
  for (const Value& reader : readers_.at(v)) {
    GraphCopy copy(local);
    ValueSet seen;
    std::vector<Value> operands;
    named_operands(reader, seen, operands);
    for (const Value& operand : operands) {
      copy.put(operand, source(operand.name(), operand.type()));
    }
    const Value y = copy(reader);
    const Value dy =
        reader == loss_ ? constant(local, 1.0) : source(gradient_name(reader), reader.type());
    const Value d = gradient(y, {source(v.name(), v.type())}, dy)[0];
    if (d.name() == "d" + v.name()) local.set_name(d, "");  // it is one part of that
    local.output("term" + std::to_string(readers.size()), d);
    readers.push_back(reader);
    total = total ? total + d : d;
  }
  local.output("sum", total);
  const GraphPtr simple = name_masks(*simplify(local));
  const auto& outputs = simple->outputs();
  for (std::size_t i = 0; i < readers.size(); ++i) {
    const Value d = outputs[i].second;
    const bool flat = constant_value(d) == 0;
    if (flat) continue;
    ChainTerm t = term(v, readers[i]);
    t.contribution = in_mathematics(d, "");
    std::set<std::int64_t> open{d.node().id};
    for (std::int64_t id = d.node().id; id >= 0; --id) {
      if (!open.contains(id) || simple->nodes()[static_cast<std::size_t>(id)].note.empty())
        continue;
      const Node& node = simple->nodes()[static_cast<std::size_t>(id)];
      if (is(node, "matmul")) t.products.push_back(product_shapes(node.output()));
      for (const Value& input : node.inputs) {
        if (input.name().empty()) open.insert(input.node().id);
      }
    }
    step.terms.push_back(std::move(t));
  }
  step.sum = in_mathematics(outputs.back().second, "");
}

DerivationStep Deriving::step(const Value& v) {
  DerivationStep step;
  step.value = v.name();
  step.gradient = gradient_name(v);
  step.shape = v.shape();
  step.wanted = std::find(wrt_.begin(), wrt_.end(), v) != wrt_.end();
  differentiate(step, v);
  return step;
}

// Copies the loss into `whole`, with its gradients by the values `of` as outputs, under their names.
void Deriving::put_gradients(Graph& whole, const std::vector<Value>& of) const {
  GraphCopy copy(whole);
  const Value loss = copy(loss_);
  std::vector<Value> values;
  for (const Value& v : of) values.push_back(copy(v));
  const std::vector<Value> gradients = gradient(loss, values);
  for (std::size_t i = 0; i < of.size(); ++i) whole.output(gradient_name(of[i]), gradients[i]);
}

// The gradient of everything, simplified: the results of the steps, and the lines of the program.
void Deriving::finish(Derivation& derivation) const {
  const std::vector<Value> order = backward_order();
  Graph whole("backward");
  put_gradients(whole, order);
  const GraphPtr simple = name_masks(*simplify(whole));
  const GraphPtr code = name_masks(*spelled_out(whole, Notation::kNumpy));
  for (std::size_t i = 0; i < order.size(); ++i) {
    DerivationStep& s = derivation.steps[i];
    s.result = in_mathematics(simple->outputs()[i].second, s.gradient);
    s.cancels = s.result.text != s.sum.text;
    s.numpy = written(code->outputs()[i].second, Notation::kNumpy, s.gradient);
  }
}

// The lines that remain when only what was asked for is computed.
void Deriving::write_program(Derivation& derivation) const {
  Graph whole("backward");
  put_gradients(whole, wrt_);
  const GraphPtr code = name_masks(*spelled_out(whole, Notation::kNumpy));
  name_lines(*code, Notation::kNumpy);
  const Writer numpy(*code, Notation::kNumpy);
  const Writer text(*code, Notation::kText);
  const Writer latex(*code, Notation::kLatex);
  // What the outputs are made of, up to the names of the forward pass.
  std::set<std::int64_t> needed;
  std::vector<Value> open;
  for (const auto& [name, value] : code->outputs()) open.push_back(value);
  while (!open.empty()) {
    const Value v = open.back();
    open.pop_back();
    if (names_.contains(v.name()) || !needed.insert(v.node().id).second) continue;
    open.insert(open.end(), v.node().inputs.begin(), v.node().inputs.end());
  }
  std::set<std::string> written;
  for (const Node& node : code->nodes()) {
    if (!needed.contains(node.id)) continue;
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      const Value v = node.output(i);
      if (!numpy.has_line(v) || names_.contains(v.name())) continue;
      written.insert(numpy.name(v));
      derivation.backward.push_back({numpy.name(v),
                                     {text.right_side(v), latex.right_side(v)},
                                     numpy.right_side(v),
                                     v.shape()});
    }
  }
  for (DerivationStep& s : derivation.steps) s.needed = s.wanted || written.contains(s.gradient);
}

Derivation Deriving::run() {
  Derivation derivation;
  derivation.loss = loss_.name();
  for (const Value& v : wrt_) {
    derivation.wrt.push_back(v.name());
    if (!readers_.contains(v)) {
      throw UsageError(loss_.name() + " does not depend on " + v.name() +
                       "; name a value that it is computed from");
    }
  }
  for (const Node& node : graph_.nodes()) {
    const Value v = node.output();
    if (node.op->source || v.name().empty()) continue;
    derivation.forward.push_back({v.name(), in_mathematics(v, v.name()), "", v.shape()});
  }
  for (const Value& v : backward_order()) derivation.steps.push_back(step(v));
  finish(derivation);
  write_program(derivation);
  return derivation;
}

}  // namespace

std::vector<Value> derivation_targets(Value loss) {
  const Graph& graph = loss.graph();
  std::vector<bool> needed(graph.nodes().size(), false);
  needed[static_cast<std::size_t>(loss.node().id)] = true;
  for (std::int64_t id = loss.node().id; id >= 0; --id) {
    if (!needed[static_cast<std::size_t>(id)]) continue;
    for (const Value& input : graph.nodes()[static_cast<std::size_t>(id)].inputs) {
      if (input.dtype() == DType::kF32) needed[static_cast<std::size_t>(input.node().id)] = true;
    }
  }
  for (const std::vector<Value>& sources : {graph.parameters(), graph.inputs()}) {
    std::vector<Value> found;
    for (const Value& v : sources) {
      if (v.dtype() == DType::kF32 && needed[static_cast<std::size_t>(v.node().id)]) {
        found.push_back(v);
      }
    }
    if (!found.empty()) return found;
  }
  return {};
}

Derivation derive(Value loss, const std::vector<Value>& wrt) {
  if (!loss.shape().empty()) {
    throw UsageError("the loss must be a scalar, " + text_name(loss) + " has shape " +
                     to_string(loss.shape()) + "; reduce it with a sum or a mean");
  }
  return Deriving(loss, wrt).run();
}

}  // namespace chainrule
