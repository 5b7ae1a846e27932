// What a Python expression of a numerical program can be worth: plain numbers, arrays, containers
// and functions. An array is either known (its numbers are at hand, and arithmetic on it is done at
// once) or a value of the graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "chainrule/graph.h"
#include "chainrule/random.h"
#include "numpy/parse/syntax.h"

namespace chainrule::numpy {

struct Object;
using Numbers = std::shared_ptr<const std::vector<double>>;

/// The kinds of number, in the order in which Python promotes them.
enum class Kind { kBool, kInteger, kReal };

/// A Python or NumPy number whose value is known.
struct Number {
  Kind kind = Kind::kReal;
  double value = 0;
  Value named;  // the graph's constant of that name, once it was assigned to a name
  // The keys of the possible sources that it is computed from; null for none. Numbers are copied
  // often, so they share the list.
  std::shared_ptr<const std::vector<std::string>> sources;

  void add_sources(const Number& other);
};

/// An array. Names that refer to one array share it, so that an assignment to its elements is seen
/// under all of them.
struct Array {
  Kind kind = Kind::kReal;
  Shape shape;
  Numbers known;       // null when the array is computed by the graph
  Value value;         // empty while the array is merely known
  std::string source;  // the key of the source that it is
  std::string hint;    // the name that a variable gave it
  // The name under which it enters the graph once it is needed there. Until then its elements may
  // be filled in one by one and it is still a source.
  std::string pending;
  std::weak_ptr<Array> base;                // of a view, such as x.T
  std::vector<std::weak_ptr<Array>> views;  // of this array
  int changed_at = 0;                       // the line that changed this view's base

  /// True when arithmetic on it is to be done at once: whole numbers, and what has no name yet.
  bool folds() const { return known != nullptr && (!value || kind != Kind::kReal); }
};
using ArrayPtr = std::shared_ptr<Array>;

/// Containers and functions may hold each other in long chains. Each is taken apart by a list of
/// what is left to do, since a chain of destructors would exhaust the stack.
struct List {
  List() = default;
  List(const List&) = default;
  ~List();
  List& operator=(const List&) = delete;
  std::vector<Object> items;
  bool tuple = false;
};

/// A dictionary, in the order of insertion; keys are compared by their text.
struct Dict {
  Dict() = default;
  Dict(const Dict&) = default;
  ~Dict();
  Dict& operator=(const Dict&) = delete;
  /// Null when there is no such key.
  Object* find(const std::string& key);
  void set(const std::string& key, Object value);

  std::vector<std::pair<std::string, Object>> items;  // "'W1'" or "3"

 private:
  std::map<std::string, std::size_t, std::less<>> places_;  // of the keys in `items`
};

struct Scope {
  std::map<std::string, Object> names;
  std::shared_ptr<Scope> parent;
  std::string function;   // "" at the top
  bool outermost = true;  // assignments here name the values of the graph for good
};

struct Function {
  Function() = default;
  Function(const Function&) = delete;
  ~Function();
  Function& operator=(const Function&) = delete;
  std::shared_ptr<const FunctionSyntax> syntax;
  std::shared_ptr<Scope> scope;
  std::vector<Object> defaults;
};

/// A function that the reader knows, perhaps bound to an object: np.sum, x.sum.
struct Builtin {
  std::string name;              // "np.sum", ".sum", "relu"
  std::shared_ptr<Object> self;  // of a method
};

struct Module {
  std::string path;  // "numpy", "numpy.random"
};

/// What stands for things that are not read: other modules, files, plots.
struct Opaque {
  explicit Opaque(std::string name);
  std::string what;  // cut off where it is long
};

struct Nothing {};
/// A string; its characters are shared, since values are copied often.
struct Text {
  explicit Text(std::string characters)
      : text(std::make_shared<const std::string>(std::move(characters))) {}
  std::shared_ptr<const std::string> text;
};
struct Range {
  std::int64_t start = 0;
  std::int64_t stop = 0;
  std::int64_t step = 1;
  std::int64_t size() const {
    if (step > 0) return stop > start ? (stop - start + step - 1) / step : 0;
    return stop < start ? (start - stop - step - 1) / -step : 0;
  }
};

struct Object {
  std::variant<Nothing, Number, ArrayPtr, Text, std::shared_ptr<List>, std::shared_ptr<Dict>, Range,
               std::shared_ptr<Function>, Builtin, Module, Opaque, std::shared_ptr<RandomState>>
      is;

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&is);
  }
  const Number* number() const { return as<Number>(); }
  ArrayPtr array() const {
    const ArrayPtr* a = as<ArrayPtr>();
    return a != nullptr ? *a : nullptr;
  }
  List* list() const {
    const auto* l = as<std::shared_ptr<List>>();
    return l != nullptr ? l->get() : nullptr;
  }
  Dict* dict() const {
    const auto* d = as<std::shared_ptr<Dict>>();
    return d != nullptr ? d->get() : nullptr;
  }
  const std::string* text() const {
    const Text* t = as<Text>();
    return t != nullptr ? t->text.get() : nullptr;
  }
  bool nothing() const { return as<Nothing>() != nullptr; }
  bool numeric() const { return number() != nullptr || array() != nullptr; }
  // kReal of what is no number and no array.
  Kind kind() const {
    if (const Number* n = number()) return n->kind;
    const ArrayPtr a = array();
    return a != nullptr ? a->kind : Kind::kReal;
  }
};

inline Object integer(std::int64_t value) {
  return {Number{Kind::kInteger, static_cast<double>(value), {}, nullptr}};
}
inline Object real(double value) { return {Number{Kind::kReal, value, {}, nullptr}}; }
inline Object boolean(bool value) { return {Number{Kind::kBool, value ? 1.0 : 0.0, {}, nullptr}}; }
inline Object tuple(std::vector<Object> items) {
  auto list = std::make_shared<List>();
  list->items = std::move(items);
  list->tuple = true;
  return {std::move(list)};
}

/// "a number", "an array of shape [3, 2]", "a string", for messages.
std::string describe(const Object& object);

}  // namespace chainrule::numpy
