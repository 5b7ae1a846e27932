// The evaluator: runs the syntax tree symbolically. Numbers are computed, arithmetic on arrays
// becomes nodes of a graph, functions are inlined and short loops unrolled.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chainrule/numpy_program.h"
#include "numpy/eval/tape.h"
#include "numpy/parse/limits.h"

namespace chainrule::numpy {

class Interpreter;
struct Index;

/// The arguments of a call to a function that the reader knows. A rule takes them one by one, in
/// the order of NumPy's signature.
class Arguments {
 public:
  Arguments(Interpreter& interpreter, const Expression& expression, std::string name)
      : in(interpreter), call(expression), function(std::move(name)) {}

  /// The next positional argument, or the one with that keyword; null when there is neither.
  const Object* take(std::string_view keyword);
  /// The same, given by keyword only.
  const Object* keyword(std::string_view keyword);
  const Object& need(std::string_view keyword);
  /// All positional arguments that are left.
  std::vector<Object> rest();

  Object array_or_number(std::string_view keyword);
  double real(std::string_view keyword);
  double real_or(std::string_view keyword, double otherwise);
  std::int64_t integer(std::string_view keyword);
  std::int64_t integer_or(std::string_view keyword, std::int64_t otherwise);
  bool flag(std::string_view keyword);
  Shape shape(std::string_view keyword);
  [[noreturn]] void fail(const std::string& message) const;

  Interpreter& in;
  const Expression& call;
  std::string function;
  std::vector<Object> positional;
  std::map<std::string, Object, std::less<>> keywords;
  std::size_t next = 0;
};

using BuiltinRule = std::function<Object(Arguments&)>;
using BuiltinTable = std::map<std::string, BuiltinRule, std::less<>>;

/// True when an array has the function as a method: x.sum() for np.sum(x).
bool is_method(std::string_view name);

/// Every function that is known: "np.sum", ".copy", "relu", "len".
const BuiltinTable& builtins();
void add_elementwise(BuiltinTable& table);
void add_reductions(BuiltinTable& table);
void add_products(BuiltinTable& table);
void add_creation(BuiltinTable& table);
void add_shapes(BuiltinTable& table);
void add_random(BuiltinTable& table);
void add_networks(BuiltinTable& table);
void add_python(BuiltinTable& table);

enum class Flow { kOn, kReturn, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(std::string_view source, const std::string& file, const NumpyOptions& options,
              const Names& names, const Uses& uses)
      : source_(source), file_(file), options_(options), names_(names), tape_(names, uses) {}
  // A function and the scope that it stands in hold each other; without names they let go.
  ~Interpreter() {
    for (const std::shared_ptr<Scope>& scope : scopes_) scope->names.clear();
  }
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  void run(const Block& program);

  Tape& tape() { return tape_; }
  /// What the reading took so far, in steps.
  double spent() const {
    constexpr double kStepsOfStatement = 20;
    return static_cast<double>(steps_) + kStepsOfStatement * static_cast<double>(statements_) +
           tape_.spent();
  }
  std::vector<NumpyAssignment>& assignments() { return assignments_; }

  // What follows is for the rules of functions.

  [[noreturn]] void fail(const Expression& at, const std::string& message) const;
  /// An expression as the file has it, for messages: on one line, and cut off where it is long.
  std::string text(const Expression& e) const;
  /// Counts what the program costs: an expression evaluated or an item copied is one step.
  ///
  /// throws  LimitError when it costs too much.
  void work(const Expression& at, std::size_t steps) { work(at.at, steps); }
  void work(Position at, std::size_t steps);
  /// An array of this shape is going to be made.
  ///
  /// throws  LimitError when it is too large, or all arrays together are; DataError for a negative
  ///         extent.
  void make_room(const Expression& at, const Shape& shape);
  /// Refuses a shape that is too large, without making anything.
  void check_room(const Expression& at, const Shape& shape) const;
  Object new_list(const Expression& at, std::vector<Object> items);
  Object new_text(const Expression& at, std::string text);
  [[noreturn]] void refuse_long_text(const Expression& at) const;
  /// Refuses to put an item into a container that the item holds.
  void check_holds_itself(const Expression& at, const Object& container, const Object& item);
  Object evaluate(const Expression& e);
  Object call_object(const Expression& e, const Object& function, std::vector<Object> arguments,
                     std::vector<std::string> keywords);

  /// a op b for + - * / // % ** and the comparisons.
  Object arithmetic(const Expression& at, std::string_view op, const Object& a, const Object& b);
  /// op(a) for a function of one value.
  Object map(Kind kind, const Object& x, const std::function<Value(Value)>& function);
  Object elementwise(const Expression& at, Kind kind, const std::vector<Object>& operands,
                     const Formula& formula);
  Object product(const Expression& at, const Object& a, const Object& b, bool dot);
  Object subscript(const Expression& at, const Object& object, const Object& index);
  /// The axes of x in another order; the result shares x's numbers.
  Object permuted(const Object& x, std::vector<std::int64_t> permutation);
  Object reshaped(const Object& x, const Shape& shape);
  /// Writes an array's new value under the names that share it.
  void change(const Expression& at, const ArrayPtr& array, const Object& next,
              const std::string& name);
  /// The same for a function that changes its argument, written as a statement: np.add.at(a, i, x).
  void change_by_call(const Expression& call, const Expression& target, const ArrayPtr& array,
                      const Object& next);
  /// list.append(item): an item without a name is called list_0, list_1 …
  void append(const Expression& call, const Object& to, Object item);
  /// The name under which `e` changes an array.
  std::string changed_name(const Expression& e, const Array& array) const;

  /// A whole number whose value is known; `what` names it in the error.
  std::int64_t integer(const Expression& at, const Object& object, std::string_view what);
  double real(const Expression& at, const Object& object, std::string_view what);
  bool truth(const Expression& at, const Object& object);
  Shape shape(const Expression& at, const Object& object, std::string_view what);
  /// A list, tuple or range as its items; an array as its rows.
  std::vector<Object> items(const Expression& at, const Object& object);
  /// Numbers and nested lists of them as an array.
  Object to_array(const Expression& at, const Object& object);

  RandomState& random() { return *random_; }
  void seed(std::uint32_t seed) { *random_ = RandomState(seed); }

 private:
  // statements
  Flow block(const Block& statements);
  Flow statement(const Statement& s);
  Flow run_statement(const Statement& s);
  Flow loop(const Statement& s);
  void assign(const Statement& s);
  void assign_to(const Statement& s, const Expression& target, Object value,
                 const Expression* written);
  void augment(const Statement& s);
  void bind(const std::string& name, Object value);
  void settle(Object& value, const std::string& name);
  void settle(Object& value, const std::string& name, std::set<const void*>& done);
  void import(const Statement& s);
  void record(const std::string& target, const Object& value, bool in_place,
              const Expression* written);
  void record_items(const std::string& name, const Object& value, const Expression* written);
  void set_element(const Expression& target, const Object& value, std::string_view op);
  void count_step(const Statement& s);

  // expressions
  Object name(const Expression& e);
  Object undefined(const Expression& e);
  Object attribute(const Expression& e);
  Object module_attribute(const Expression& e, const std::string& path);
  Object array_attribute(const Expression& e, const Object& object);
  Object call(const Expression& e);
  Object call_function(const Expression& e, const Function& function, std::vector<Object> arguments,
                       std::vector<std::string> keywords);
  Object compare(const Expression& e);
  Object unary(const Expression& e);
  Object binary(const Expression& e);
  Object string(const Expression& e);
  Object list_of(const Expression& e);
  Object made_function(std::shared_ptr<const FunctionSyntax> syntax);
  std::string_view source_of(const Expression& e) const {
    return source_.substr(e.begin, e.end - e.begin);
  }
  Object subscript_expression(const Expression& e);
  Object list_slice(const Expression& e, const List& all);
  Object numbers_only(const Expression& at, std::string_view op, const Number& a, const Number& b);
  bool lists_equal(const Expression& at, const List& a, const List& b);
  std::optional<Object> joined_lists(const Expression& at, std::string_view op, const Object& a,
                                     const Object& b);
  std::optional<Object> of_texts(const Expression& at, std::string_view op, const Object& a,
                                 const Object& b);
  std::string operands_text(const Expression& e) const;
  std::string shapes_text(const Expression& left, const Object& a, const Expression& right,
                          const Object& b) const;
  const Object* lookup(const std::string& name) const;
  std::vector<std::string> known_names() const;
  std::string key_of(const Expression& at, const Object& key);
  Object take(const Expression& at, const Object& object, const Index& index);
  Object take_pairs(const Expression& at, const Object& object, const Index& index);
  Object take_masked(const Object& object, const ArrayPtr& mask);
  Object with_element(const Expression& at, const Object& object, const Index& index,
                      const Object& v, std::string_view op);

  std::string_view source_;
  const std::string& file_;
  const NumpyOptions& options_;
  const Names& names_;
  Tape tape_;
  std::vector<NumpyAssignment> assignments_;
  std::vector<ArrayPtr> assigned_arrays_;  // one an assignment; null where it is no array
  std::shared_ptr<Scope> globals_ = std::make_shared<Scope>();
  std::shared_ptr<Scope> scope_ = globals_;
  std::vector<std::shared_ptr<Scope>> scopes_{globals_};  // those in which functions were made
  std::shared_ptr<RandomState> random_ = std::make_shared<RandomState>(0);
  const Statement* statement_ = nullptr;  // that is being run
  Object returned_;
  std::size_t depth_ = 0;       // of calls
  std::size_t eval_depth_ = 0;  // of expressions
  std::size_t nesting_ = 0;     // of lists that are walked over
  std::size_t statements_ = 0;  // run so far
  std::size_t steps_ = 0;
};

/// The shape two operands are joined to; an empty result and false when they cannot be.
bool join_shapes(const Shape& a, const Shape& b, Shape& joined);

}  // namespace chainrule::numpy
