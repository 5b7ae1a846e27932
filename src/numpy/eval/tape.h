// The graph while it is being written: its sources and their numbers, the names of its values, and
// the arithmetic that is done at once because nothing in it has a name yet.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backend/reference/lazy.h"
#include "graph/value_map.h"
#include "numpy/eval/names.h"
#include "numpy/eval/value.h"

namespace chainrule::numpy {

/// What the program does with a source. A first reading finds it out, the next one goes by it.
struct SourceUse {
  bool as_index = false;
  bool as_size = false;  // a number that counts something
  bool in_loss = false;
  double bound = 0;  // indices are below it, where that is known
};

struct Uses {
  std::map<std::string, SourceUse> sources;  // by key
  bool first_reading = true;
  bool any_array = false;      // the program holds at least one array
  bool any_parameter = false;  // and at least one parameter
};

/// How an operand enters an op.
enum class Role { kReal, kIndex };
struct Operand {
  Object object;
  Role role = Role::kReal;
  std::int64_t bound = 0;  // of indices
};

using Formula = std::function<Value(Graph& graph, const std::vector<Value>& x)>;

class Tape {
 public:
  Tape(const Names& names, const Uses& uses) : names_(names), uses_(uses), evaluation_(*graph_) {}

  Graph& graph() { return *graph_; }
  std::unique_ptr<Graph> take_graph() { return std::move(graph_); }
  TensorMap& feed() { return feed_; }
  Uses& seen() { return seen_; }
  const Uses& uses() const { return uses_; }

  /// formula(operands): in the graph, or at once when every operand is known. Numbers without a
  /// name are constants of `shape`.
  Object apply(Kind kind, const std::vector<Operand>& operands, const Formula& formula,
               const Shape& shape = {});

  /// The same for a formula that only moves elements: of whole numbers in the graph, the result is
  /// both known and in the graph.
  Object move(const Object& x, const Formula& formula);

  /// The array as a real value of the graph.
  Value real(const ArrayPtr& array);
  /// The array as indices below `bound`.
  Value index(const ArrayPtr& array, std::int64_t bound);

  /// Arrays of so many elements are going to be made, with so many multiplications.
  ///
  /// throws  LimitError, without a place, when those of the program are too many.
  void charge(double elements, double multiplications);
  /// What that took, in steps of the interpreter.
  double spent() const { return elements_ / 16 + multiplications_ / 256; }

  /// The numbers of an array, computed if need be.
  std::vector<double> numbers(const Array& array);

  /// Gives what a name is assigned a place in the graph: a source, a constant or a name.
  void settle(Object& object, const std::string& name);
  /// The value of an array that a name was given, in the graph at last.
  Value placed(const ArrayPtr& array);
  /// False when the numbers of `value` are those of data alone.
  bool is_variable(Value value) const;
  /// True for what is computed from data alone, in a program that has parameters as well: it may be
  /// taken as data itself.
  bool is_prepared(const Array& array) const;
  /// Names a value for the time being (`lasting` is false) or for good.
  void name(Value value, const std::string& name, bool lasting = true);

  /// A source of this name that the program does not define, of which only the shape is given.
  Object undefined_source(const std::string& name, const Shape& shape);
  void used_as_size(const Number& number);

  std::vector<Value> sources() const { return sources_; }
  const std::string& key_of(Value source) const { return keys_.at(source.node().id); }

 private:
  // What a value is computed from.
  struct Below {
    bool input = false;
    bool parameter = false;
    bool whole_numbers = false;
  };
  const Below& below(Value value) const;
  void admit(const Graph& graph, std::size_t first);
  std::string unique(const std::string& name);
  std::string next_key(const std::string& name);
  void make_source(Array& array, const std::string& unique_name);
  bool is_data(Value value) const;
  void place_pending(Array& array);
  bool settle_number(Number& number, const std::string& name);
  Value add_source(const std::string& name, const std::string& key, Type type, Tensor numbers);
  bool is_parameter(const std::string& name, const std::string& key) const;
  SourceUse use_of(const std::string& key) const;

  const Names& names_;
  const Uses& uses_;  // found by the reading before
  Uses seen_;
  std::unique_ptr<Graph> graph_ = std::make_unique<Graph>("program");
  TensorMap feed_;
  std::vector<Value> sources_;
  std::map<std::int64_t, std::string> keys_;  // by node
  std::map<std::string, int> key_counts_;
  std::set<std::string> taken_;
  ValueSet provisional_;
  std::map<std::string, int> next_number_;  // to try for a name that is taken
  mutable std::vector<Below> below_;        // by node, as far as it was asked for
  LazyEvaluation evaluation_;
  double elements_ = 0;  // of all arrays
  double multiplications_ = 0;
};

/// An array that is known.
Object known_array(Kind kind, Shape shape, std::vector<double> numbers);
/// A value of the graph as an array.
Object computed(Kind kind, Value value);

/// All numbers of an array are equal, and there is at least one.
bool is_uniform(const Array& array);

}  // namespace chainrule::numpy
