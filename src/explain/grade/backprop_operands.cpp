// The families of mistakes that concern what a line reads and how it joins it: the wrong operand,
// transposes, axes, signs.
#include <algorithm>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "explain/grade/backprop_mistakes.h"
#include "graph/op.h"

namespace chainrule::backprop {
namespace {

Value with_input(const Node& node, std::vector<Value> inputs, std::size_t i, Value other) {
  inputs[i] = other;
  // Through rebuild, which broadcasts anew where the shape is another.
  const Value original = node.output();
  Substitution substitution;
  for (std::size_t j = 0; j < inputs.size(); ++j) substitution[node.inputs[j]] = inputs[j];
  return rebuild(original, substitution);
}

// What is said when `right` belongs where `wrong` stands.
struct Confusion {
  int rank = 4;
  std::string mistake = "the wrong operand";
  std::string sentence;
};

Confusion confusion(const Study& study, Value wrong, Value right) {
  const std::string a = study.name_of(wrong);
  const std::string b = study.name_of(right);
  Confusion c;
  c.sentence = fmt::format("It reads {} where {} belongs.", a, b);
  for (const Activation& f : study.activations) {
    if (f.before == wrong && f.after == right) {
      c.rank = 1;
      c.mistake = fmt::format("used {} for {}", a, b);
      if (f.function.empty()) return c;
      c.sentence = fmt::format("It reads {}, before the activation, where {} belongs.", a,
                               described(study, f));
      return c;
    }
    if (f.before == right && f.after == wrong) {
      c.rank = 1;
      c.mistake = fmt::format("used {} for {}", a, b);
      if (f.function.empty()) return c;
      c.sentence = fmt::format("It reads {}, after the activation, where {} belongs.",
                               described(study, f), b);
      return c;
    }
  }
  const auto gradient_of = [&](Value v) -> std::optional<std::size_t> {
    const auto at = study.gradient_at.find(v);
    return at == study.gradient_at.end() ? std::nullopt : study.gradients[at->second].of;
  };
  const auto x = gradient_of(wrong);
  const auto y = gradient_of(right);
  if (x && y) {
    c.rank = 1;
    c.mistake = fmt::format("used {} for {}", a, b);
    for (const Activation& f : study.activations) {
      if (f.after == study.forward[*x].value && f.before == study.forward[*y].value) {
        c.sentence = fmt::format("It reads {} where {} belongs: that skips the derivative of {}.",
                                 a, b, f.function.empty() ? "the activation" : f.function);
      }
    }
    return c;
  }
  if (x || y) return c;
  const auto is_parameter = [&](Value v) {
    const auto at = study.forward_at.find(v);
    return at != study.forward_at.end() && study.forward[at->second].parameter;
  };
  if (is_parameter(wrong) && is_parameter(right)) {
    c.rank = 2;
    c.mistake = "the wrong layer's weights";
  } else if (!is_parameter(wrong) && !is_parameter(right)) {
    c.rank = 2;
    c.mistake = "the wrong layer's values";
  }
  return c;
}

Value before_stretching(Value v) {
  while (is(v, "broadcast_to")) v = v.node().inputs[0];
  return v;
}

Value turned(Value v, bool turn) { return turn ? transpose(v) : v; }

std::string operand_name(const Study& study, const Node& node, std::size_t i) {
  std::string name = mention(study, node.inputs[i]);
  if (!name.empty()) return name;
  return i == 0 ? "the left operand" : "the right operand";
}

}  // namespace

void suspect_operands(Suspicions& s) {
  std::vector<Value> candidates;
  for (const Named& f : s.study.forward) {
    if (!f.name.empty()) candidates.push_back(f.value);
  }
  for (const Gradient& g : s.study.gradients) {
    if (&g == &s.gradient) break;
    if (g.relation && !g.bad) candidates.push_back(g.value);
  }
  for (const Node* node : s.nodes) {
    // A weight that has been updated already.
    for (const Study::Updated& u : s.study.updates) {
      if (&u.value.node() != node) continue;
      const Named& w = s.study.forward[u.of];
      s.of_node(
          0, "used the updated " + w.name,
          fmt::format("{} was already updated on line {}; the derivative belongs to the value "
                      "that the forward pass used. Compute all gradients before the update.",
                      w.name, s.study.assignment(u.assignment).line),
          *node, [&](const std::vector<Value>&) { return w.value; });
      if (!s.list.empty()) s.list.back().at = nullptr;  // the mistake is to read it here
    }
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      const Value input = node->inputs[i];
      if (input.dtype() != DType::kF32) continue;
      const bool stop = s.study.is_stop(input);
      for (const Value& other : candidates) {
        if (!stop || other == input) continue;
        const Confusion c = confusion(s.study, input, other);
        s.of_node(c.rank, c.mistake, c.sentence, *node, [&](const std::vector<Value>& inputs) {
          return with_input(*node, inputs, i, other);
        });
      }
      // (m,) against (m, 1): broadcasting makes a matrix of two vectors.
      const Value vector = before_stretching(input);
      if (vector.shape().size() == 1) {
        const std::int64_t n = vector.shape()[0];
        const std::string name = mention(s.study, vector);
        for (const bool column : {true, false}) {
          s.of_node(1, "broadcasting",
                    fmt::format("{} has shape ({},); broadcasting makes a {} by {} matrix of it. "
                                "Give it shape {}.",
                                name.empty() ? "An operand" : name, n, n, n,
                                column ? fmt::format("({}, 1)", n) : fmt::format("(1, {})", n)),
                    *node, [&](const std::vector<Value>& inputs) {
                      const Value v = before_stretching(inputs[i]);
                      const Shape shape = column ? Shape{n, 1} : Shape{1, n};
                      return with_input(*node, inputs, i, reshape(v, shape));
                    });
        }
      }
    }
  }
}

void suspect_products(Suspicions& s) {
  for (const Node* node : s.nodes) {
    const bool product = is(*node, "matmul");
    const bool elementwise = is(*node, "mul");
    if (!product && !elementwise) continue;
    const std::string left = operand_name(s.study, *node, 0);
    const std::string right = operand_name(s.study, *node, 1);
    for (const bool swap : {false, true}) {
      for (const bool turn_a : {false, true}) {
        for (const bool turn_b : {false, true}) {
          if (product && !swap && !turn_a && !turn_b) continue;
          const int changes = int{swap} + int{turn_a} + int{turn_b};
          std::string mistake;
          std::string sentence;
          if (elementwise) {
            mistake = "* for a matrix product";
            sentence = fmt::format(
                "{} and {} are multiplied element by element; a matrix product "
                "(@ or np.dot) belongs there.",
                left, right);
          } else if (swap) {
            mistake = "operands swapped";
            sentence = fmt::format(
                "The operands {} and {} of the matrix product stand the wrong "
                "way round.",
                left, right);
          } else {
            mistake = "forgot a transpose";
            const bool undo = is(node->inputs[turn_a ? 0 : 1], "transpose");
            if (undo) mistake = "a transpose too many";
            const std::string& which = turn_a ? left : right;
            sentence = undo ? fmt::format("{} is transposed and should not be.", which)
                            : fmt::format("{} must be transposed.", which);
            if (turn_a && turn_b) sentence = "Both operands of the product are the wrong way up.";
          }
          s.of_node(elementwise ? 3 : changes, mistake, sentence, *node,
                    [&](const std::vector<Value>& in) {
                      const Value a = turned(in[0], turn_a);
                      const Value b = turned(in[1], turn_b);
                      return swap ? matmul(b, a) : matmul(a, b);
                    });
        }
      }
    }
    if (product) {
      s.of_node(3, "a matrix product for *",
                fmt::format("A matrix product stands where {} and {} should be multiplied element "
                            "by element.",
                            left, right),
                *node, [&](const std::vector<Value>& in) { return in[0] * in[1]; });
    }
  }
}

namespace {

void suspect_axes(Suspicions& s, const Node& node) {
  const bool mean_of = is(node, "mean");
  if (!is(node, "sum") && !mean_of) return;
  const auto rank = static_cast<std::int64_t>(node.inputs[0].shape().size());
  const std::vector<std::int64_t> axes = node.integers("axes");
  const auto text = [&](const std::vector<std::int64_t>& list) {
    return list.size() == 1 ? fmt::format("axis {}", list[0]) : std::string("all axes");
  };
  const auto reduce = [&](Value x, const std::vector<std::int64_t>& over) {
    // Whether the axis is kept matters to what reads it, not to the mistake.
    return mean_of ? mean(x, over, true) : sum(x, over, true);
  };
  std::vector<std::vector<std::int64_t>> others;
  for (std::int64_t axis = 0; axis < rank; ++axis) others.push_back({axis});
  if (rank > 1) others.push_back({});
  for (const std::vector<std::int64_t>& other : others) {
    if (other == axes) continue;
    s.of_node(0, "the wrong axis",
              fmt::format("It {} over {} where it should be {}.", mean_of ? "averages" : "sums",
                          text(axes), text(other)),
              node, [&](const std::vector<Value>& in) { return reduce(in[0], other); });
  }
  if (rank == 0) return;
  for (const Named& t : s.study.forward) {
    if (t.name.empty() || t.value.shape() != node.inputs[0].shape()) continue;
    s.of_node(6, "a missing factor", fmt::format("The factor {} is missing in the sum.", t.name),
              node, [&](const std::vector<Value>& in) {
                return node.graph->append(*node.op, {in[0] * t.value}, node.attributes).output();
              });
  }
  s.of_node(4, "a sum too many", "The sum does not belong there.", node,
            [&](const std::vector<Value>& in) { return in[0]; });
}

}  // namespace

void suspect_sums_and_signs(Suspicions& s) {
  for (const Node* node : s.nodes) {
    suspect_axes(s, *node);
    const auto other_op = [&](Value (*f)(Value, Value)) {
      return [f](const std::vector<Value>& in) { return f(in[0], in[1]); };
    };
    const auto name = [&](std::size_t i) {
      const std::string text = mention(s.study, node->inputs[i]);
      return text.empty() ? std::string(i == 0 ? "the left side" : "the right side") : text;
    };
    if (is(*node, "add")) {
      s.of_node(2, "wrong sign of a term",
                fmt::format("{} has the wrong sign: it must be subtracted.", name(1)), *node,
                other_op(operator-));
      s.of_node(3, "wrong sign of a term",
                fmt::format("{} has the wrong sign: it must be subtracted.", name(0)), *node,
                [](const std::vector<Value>& in) { return in[1] - in[0]; });
    }
    if (is(*node, "sub")) {
      s.of_node(2, "wrong sign of a term",
                fmt::format("{} has the wrong sign: it must be added.", name(1)), *node,
                other_op(operator+));
      s.of_node(
          2, "wrong sign",
          fmt::format("The difference is the wrong way round: it is {} - {}.", name(1), name(0)),
          *node, [](const std::vector<Value>& in) { return in[1] - in[0]; });
    }
    if (is(*node, "neg")) {
      s.of_node(2, "wrong sign", "The minus sign does not belong there.", *node,
                [](const std::vector<Value>& in) { return in[0]; });
    }
    using Comparison = Value (*)(Value, Value);
    const std::vector<std::pair<std::string, Comparison>> comparisons{
        {"less", less},
        {"less_equal", less_equal},
        {"greater", greater},
        {"greater_equal", greater_equal}};
    for (const auto& [op, f] : comparisons) {
      if (!is(*node, op)) continue;
      const Comparison turned = op.starts_with("less") ? Comparison{greater} : Comparison{less};
      s.of_node(2, "the mask is the wrong way round", "The comparison is the wrong way round.",
                *node, other_op(turned));
    }
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      const Value input = node->inputs[i];
      if (is(input, "constant")) {
        const double c = input.node().real("value");
        for (const double other : {2 * c, c / 2, -c, 1 / c, c + 1, c - 1}) {
          s.of_node(5, "a wrong number",
                    fmt::format("It has {} where {} belongs.", mention(s.study, input),
                                s.study.number_name(other)),
                    *node, [&](const std::vector<Value>& in) {
                      return with_input(*node, in, i,
                                        constant(in[0].graph(), other, input.shape()));
                    });
        }
        continue;
      }
      if (!node->op->elementwise || node->inputs.size() != 2 || is(*node, "where")) continue;
      // x ∘ y, where x alone would do.
      const std::string extra = mention(s.study, node->inputs[1 - i]);
      const bool term = is(*node, "add") || is(*node, "sub");
      s.of_node(4, term ? "a term too many" : "a factor too many",
                fmt::format("{} {} does not belong there.", term ? "The term" : "The factor",
                            extra.empty() ? "beside " + name(i) : extra),
                *node, [&](const std::vector<Value>& in) {
                  return is(*node, "sub") && i == 1 ? -in[1] : in[i];
                });
    }
  }
}

}  // namespace chainrule::backprop
