// What a NumPy program's backward pass consists of: which of its lines are gradients, of what, and
// what the true gradients are.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chainrule/numpy_program.h"
#include "explain/grade/backprop_bench.h"

namespace chainrule::backprop {

/// The name whose gradient `name` would be, by the affixes in use, in order of likelihood; in lower
/// case without underscores: dL_dW1 gives "w1".
std::vector<std::string> gradient_stems(const std::string& name);
std::string folded(const std::string& name);
/// Would a name that is nobody's gradient by itself, such as delta or dout, still be one?
bool looks_like_gradient(const std::string& name);
/// Does the expression mention the name?
bool mentions(const std::string& expression, const std::string& name);

/// A value of the forward pass that has a name.
struct Named {
  std::string name;
  Value value;
  int line = 0;  // 0 for what is given
  bool parameter = false;
};

/// An activation in the forward pass: after = f(before).
struct Activation {
  Value before;
  Value after;
  std::string function;  // "relu", "softmax"; "" for one that has no name here
  int axis = -1;         // softmax's
};

/// A gradient that the program computes, in one line or in several.
struct Gradient {
  std::string name;                   // "dW1"
  std::vector<std::size_t> versions;  // assignments; the last is what it is in the end
  std::optional<std::size_t> of;      // index into Study::forward
  Value value;                        // on the bench
  Value truth;                        // the derivative
  std::optional<Relation> relation;   // of the value, or of what it would be once corrected
  bool bad = false;                   // the value is no multiple of the derivative
};

/// The true derivative as it is known to another value: by way of one that reads it.
struct Term {
  std::size_t reader = 0;  // index into Study::forward
  Value value;
};

class Study {
 public:
  explicit Study(const NumpyProgram& program);

  const NumpyProgram& program;
  Bench bench;
  Value loss;
  std::vector<Named> forward;
  std::size_t loss_index = 0;
  std::vector<Gradient> gradients;
  std::vector<Activation> activations;
  ValueMap<Value> truths;             // of forward values
  ValueMap<std::size_t> forward_at;   // which forward value this is
  ValueMap<std::size_t> gradient_at;  // which gradient has this as its last value
  struct Updated {
    std::size_t of = 0;  // index into forward
    std::size_t assignment = 0;
    Value before;
    Value value;
  };
  std::vector<Updated> updates;

  const NumpyAssignment& assignment(std::size_t i) const { return program.assignments[i]; }
  Value value_of(const NumpyAssignment& a) const { return bench.here(a.value); }

  /// The forward values by which `of` reaches the loss, one step on.
  std::vector<std::size_t> readers(std::size_t of) const;
  /// The derivative that comes back to `of` through `reader`, when that has the derivative `d`.
  Value back(std::size_t reader, std::size_t of, Value d);
  /// The true derivative, reader by reader.
  std::vector<Term> terms(std::size_t of);
  /// The derivative before an activation, when it is `d` after it.
  Value back(const Activation& activation, Value d);

  /// What stands in the place of bad gradients: what they would be if they were corrected, by the
  /// conventions of their own lines.
  /// `without_factors` also takes away the factors that inner gradients have by convention.
  Substitution corrected(bool without_factors = false) const;
  /// The value of a gradient with the bad gradients that it reads corrected.
  Value corrected_value(const Gradient& g, bool without_factors = false) const;

  /// The gradients and forward values that an expression reads directly, and the nodes between them
  /// and the root.
  std::vector<Value> stops(Value root) const;
  std::vector<const Node*> own_nodes(Value root) const;
  bool is_stop(Value v) const { return forward_at.contains(v) || gradient_at.contains(v); }

  /// How the user calls a value: Z1, dA1; "" when it has no name.
  std::string name_of(Value v) const;
  /// The same of a forward value; one without a name is described.
  std::string called(std::size_t of) const;
  /// How the user would write a number: m when m is 3, -1, 0.5.
  std::string number_name(double value);
  /// The assignment whose expression holds a node.
  std::size_t assignment_of(const Node& node, std::size_t last) const;

 private:
  void find_forward();
  void find_gradients();
  void split_at_activations();
  void index_gradients();
  void guess_helpers();
  void find_updates();
  void find_activations();
  void find_truths();
  // f(value), for a known function or softmax; enough of its numbers to rule it out at once.
  struct Image {
    std::string function;
    int axis = -1;  // softmax's
    Value value;
    double first = 0;   // its first element
    double length = 0;  // √Σx²
  };
  bool recognise(Value before, Value after, double first);
  const std::vector<Image>& images(Value before);
  template <typename F>
  void walk(Value root, F visit) const;
  std::optional<std::size_t> target_of(const std::string& name) const;
  std::vector<std::pair<std::string, double>> numbers_;  // the program's named numbers
  ValueMap<std::vector<Image>> images_;
  std::vector<std::string> folded_;           // the names of the forward values
  std::vector<std::set<std::size_t>> reads_;  // of each forward value: the forward values it reads
};

}  // namespace chainrule::backprop
