// What an op is: the rules that say its type, its meaning, its gradient, its formula and how to try
// it. One contiguous block in src/ops/ fills one Op; everything else is derived from these fields.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "chainrule/graph.h"
#include "graph/spelling.h"

namespace chainrule {

/// The reference interpreter's array: float64 whatever the dtype.
struct Array {
  Shape shape;
  std::vector<double> data;
};

/// What an op's meaning is given: the node, its input arrays, and its outputs, sized and filled
/// with NaN.
struct Eval {
  const Node& node;
  std::span<const Array* const> in;
  std::span<Array> out;

  /// out[0][i] = f(in[0][i], …), for one, two or three inputs of equal shape.
  template <typename F>
  void map(F f) const {
    for (std::size_t i = 0; i < out[0].data.size(); ++i) {
      if constexpr (std::is_invocable_v<F, double>) {
        out[0].data[i] = f(in[0]->data[i]);
      } else if constexpr (std::is_invocable_v<F, double, double>) {
        out[0].data[i] = f(in[0]->data[i], in[1]->data[i]);
      } else {
        out[0].data[i] = f(in[0]->data[i], in[1]->data[i], in[2]->data[i]);
      }
    }
  }
};

/// Makes small random cases of an op for the tests that run over the registry.
class Sampler {
 public:
  virtual ~Sampler() = default;
  /// An f32 input with elements uniform in [low, high), none within 0.05 of an integer multiple of
  /// 0.5 when `kinks` is set, so that a central difference does not straddle a kink.
  virtual Value uniform(Shape shape, double low, double high, bool kinks = false) = 0;
  /// An i32 input with elements in 0 … bound − 1.
  virtual Value integers(Shape shape, std::int64_t bound) = 0;
  /// An f32 input whose rows (last axis) are positive and sum to 1.
  virtual Value distribution(Shape shape) = 0;
  /// An f32 scalar input of that value.
  virtual Value scalar(double value) = 0;
  virtual Graph& graph() = 0;
  /// This value and its gradients are to be tried.
  virtual void check(Value value) = 0;
};

using Types = std::vector<Type>;
using Grads = std::vector<Value>;  // one an input; the empty Value where there is none

using InferRule = Types (*)(const Node& node);
using EvalRule = void (*)(const Eval& eval);
using GradRule = Grads (*)(const Node& node, Value dy);
/// For an op of several outputs whose gradients belong together: dy has one cotangent an output,
/// the empty Value where none arrives. No Grads at all: differentiate what `expand` makes of it.
using JointGradRule = Grads (*)(const Node& node, std::span<const Value> dy);
using ExpandRule = std::vector<Value> (*)(const Node& node);
using SampleRule = void (*)(Sampler& sampler);

/// The derivative of the output by one input, for people: its elements as a formula, and in a
/// sentence why the gradient takes the form it does. {y} stands for the output, {0} … for the
/// inputs; mathematics inside the sentence stands between backquotes.
struct LocalDerivative {
  Spelling formula = {};
  Spelling reason = {};
};

constexpr int kAnyInputs = -1;

/// The gradient rule of an op that has none, in so many words.
Grads not_differentiable(const Node& node, Value dy);

/// The gradient rule of a macro op that has no rule of its own: gradient() differentiates what
/// `expand` makes of the node.
Grads gradient_of_expansion(const Node& node, Value dy);

/// The rules of one op, in the order in which a block states them. A primitive has `eval`; a macro
/// op has `expand`, its meaning in other ops, and no eval.
struct OpRules {
  std::string_view name;
  Spelling formula;                  // in Unicode
  Binding binding = Binding::kAtom;  // of `formula`, unless that is a rule
  Spelling latex = {};               // by default made of `formula`
  Spelling numpy = {};  // a macro op without one is expanded before it is written as code
  Spelling torch = {};  // by default NumPy's, with torch for np
  int inputs = 1;
  bool elementwise = false;     // out[i] depends on in[i] alone
  bool associative = false;     // a ∘ (b ∘ c) = (a ∘ b) ∘ c
  bool view = false;            // the input's numbers in another order or shape
  bool truth = false;           // the result is 0 or 1: in code, False or True
  bool source = false;          // its value comes from outside the graph
  bool update = false;          // output i is the next value of input i
  bool one_pass = false;        // of an update: its expansion is elementwise
  bool exact_scalars = false;   // of an update: scalars such as 1 − βᵗ need more than float32
  bool product = false;         // a sum of products that an elementwise chain may finish in cache
  std::string_view gates = {};  // of a recurrent op: letters, as "IFGO", for the parts of each of
                                // the rows that it saves after its states
  InferRule infer = nullptr;
  EvalRule eval = nullptr;
  ExpandRule expand = nullptr;
  Spelling c = {};  // of an elementwise op: one element in C99; real_exp is exp or expf
  GradRule grad = nullptr;
  JointGradRule joint_grad = nullptr;  // in the place of grad
  // One an input. An elementwise op needs none: its grad rule with dy = 1 says it.
  std::array<LocalDerivative, 3> local = {};
  SampleRule samples = nullptr;
};

/// Refuses, at compile time, rules that leave something out.
consteval OpRules checked(OpRules rules) {
  if (rules.name.empty()) throw "an op needs a name";
  if (rules.formula.empty()) throw "an op needs a formula";
  if (rules.infer == nullptr) throw "an op needs a shape rule";
  if (!rules.source && (rules.eval == nullptr) == (rules.expand == nullptr)) {
    throw "an op has either a meaning (eval) or an expansion (expand)";
  }
  if (rules.elementwise && rules.c.empty()) throw "an elementwise op can be written in C";
  if (!rules.source && rules.samples == nullptr) throw "an op needs samples";
  if ((rules.grad == nullptr) == (rules.joint_grad == nullptr)) {
    throw "an op has a gradient rule, or is not_differentiable";
  }
  return rules;
}

/// An op: its rules, in the registry as long as it lives.
class Op : public OpRules {
 public:
  explicit Op(OpRules rules);
  ~Op();
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  bool differentiable() const { return grad != not_differentiable; }
};

/// Every op there is, by name.
std::vector<const Op*> all_ops();

/// Appends `op` to the graph of its first input.
///
/// requires  at least one input; all of one graph.
const Node& emit_node(const Op& op, std::vector<Value> inputs, Attributes attributes = {});
Value emit(const Op& op, std::vector<Value> inputs, Attributes attributes = {});

/// The outputs of a macro node, built of other ops on `inputs`, which may belong to another graph.
std::vector<Value> expand_onto(const Node& node, const std::vector<Value>& inputs);

/// ", axis=1, keep_axes=0": the attributes as the text form shows them.
std::string attributes_text(const Attributes& attributes);

/// "transpose: <message>" as a ShapeError; ops report bad shapes through it.
[[noreturn]] void bad_shape(const Node& node, const std::string& message);

/// Shape rules that many ops share.
Types same_as_input(const Node& node);
Types same_as_all_inputs(const Node& node);  // all inputs f32 and of equal shape

/// `axis` counted from 0, where negative ones count from the end.
///
/// throws  ShapeError when there is no such axis.
std::int64_t normal_axis(std::int64_t axis, const Shape& shape);

}  // namespace chainrule
