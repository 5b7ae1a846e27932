// From one kind of Python value to another: whole numbers, shapes, lists, arrays.
#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

constexpr std::int64_t kMostRows = 1000;  // of an array that a loop goes through

// The number of elements, without overflow; an extent of 0 does not hide the others.
double room_of(const Shape& shape) {
  double count = 1;
  for (const std::int64_t extent : shape) {
    count *= static_cast<double>(std::max<std::int64_t>(std::abs(extent), 1));
  }
  return count;
}

}  // namespace

std::string describe(const Object& object) {
  if (object.number() != nullptr) return "a number";
  if (const ArrayPtr a = object.array()) return "an array of shape " + to_string(a->shape);
  if (object.text() != nullptr) return "a string";
  if (const List* l = object.list()) return l->tuple ? "a tuple" : "a list";
  if (object.dict() != nullptr) return "a dictionary";
  if (object.nothing()) return "None";
  if (object.as<Range>() != nullptr) return "a range";
  if (const Module* m = object.as<Module>()) return "the module " + m->path;
  if (const Opaque* o = object.as<Opaque>()) return o->what + ", which is not read";
  if (const Builtin* b = object.as<Builtin>()) return "the function " + b->name;
  return "a function";
}

double Interpreter::real(const Expression& at, const Object& object, std::string_view what) {
  if (const Number* n = object.number()) return n->value;
  if (const ArrayPtr a = object.array(); a && element_count(a->shape) == 1) {
    return tape_.numbers(*a)[0];
  }
  fail(at, fmt::format("{}: expected a number for {}, got {}", text(at), what, describe(object)));
}

std::int64_t Interpreter::integer(const Expression& at, const Object& object,
                                  std::string_view what) {
  const double value = real(at, object, what);
  if (value != std::floor(value) || std::abs(value) > 1e15) {
    fail(at, fmt::format("{}: expected a whole number for {}, got {}", text(at), what, value));
  }
  if (const Number* n = object.number()) tape_.used_as_size(*n);
  return static_cast<std::int64_t>(value);
}

bool Interpreter::truth(const Expression& at, const Object& object) {
  if (const Number* n = object.number()) return n->value != 0;
  if (object.nothing()) return false;
  if (const List* l = object.list()) return !l->items.empty();
  if (const Dict* d = object.dict()) return !d->items.empty();
  if (const std::string* t = object.text()) return !t->empty();
  if (const ArrayPtr a = object.array()) {
    if (element_count(a->shape) != 1) {
      fail(at, fmt::format("{} has {} elements, and a condition needs one; write np.all or np.any "
                           "of it",
                           text(at), element_count(a->shape)));
    }
    return tape_.numbers(*a)[0] != 0;
  }
  if (const Opaque* o = object.as<Opaque>()) {
    fail(at, fmt::format("{} is not read, so this condition cannot be decided", o->what));
  }
  return true;
}

Shape Interpreter::shape(const Expression& at, const Object& object, std::string_view what) {
  Shape shape;
  if (object.number() != nullptr) {
    shape.push_back(integer(at, object, what));
  } else if (object.list() != nullptr) {
    for (const Object& extent : object.list()->items) shape.push_back(integer(at, extent, what));
  } else {
    fail(at, fmt::format("{}: expected a shape such as (3, 2) for {}, got {}", text(at), what,
                         describe(object)));
  }
  check_room(at, shape);
  return shape;
}

void Interpreter::check_room(const Expression& at, const Shape& shape) const {
  if (shape.size() > kMostAxes) {
    refuse_at(file_, at.at,
              fmt::format("{}: an array of more than {} axes is not read", text(at), kMostAxes));
  }
  if (room_of(shape) > kMostElements) {
    refuse_at(
        file_, at.at,
        fmt::format("{}: an array of shape {} is too large to be read; give fewer rows, since "
                    "the derivatives have the same form",
                    text(at), to_string(shape)));
  }
}

void Interpreter::make_room(const Expression& at, const Shape& shape) {
  check_room(at, shape);
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t n) { return n < 0; })) {
    fail(at, text(at) + ": a shape has no negative extents");
  }
  tape_.charge(room_of(shape), 0);
}

void Interpreter::work(Position at, std::size_t steps) {
  steps_ += steps;
  if (steps_ <= kMostSteps) return;
  refuse_at(file_, at,
            fmt::format("the program takes more than {} steps to be read; put one step of the "
                        "training at top level, with less data and without long loops and "
                        "functions that call themselves",
                        kMostSteps));
}

Object Interpreter::new_list(const Expression& at, std::vector<Object> items) {
  work(at, items.size());
  auto list = std::make_shared<List>();
  list->items = std::move(items);
  return {std::move(list)};
}

void Interpreter::refuse_long_text(const Expression& at) const {
  refuse_at(file_, at.at,
            fmt::format("a string of more than {} characters is not read", kLongestText));
}

Object Interpreter::new_text(const Expression& at, std::string text) {
  if (text.size() > kLongestText) refuse_long_text(at);
  constexpr std::size_t kCharactersOfAStep = 32;
  work(at, text.size() / kCharactersOfAStep);
  return {Text(std::move(text))};
}

void Interpreter::check_holds_itself(const Expression& at, const Object& container,
                                     const Object& item) {
  std::set<const void*> seen;
  std::vector<const Object*> open{&item};
  while (!open.empty()) {
    const Object& object = *open.back();
    open.pop_back();
    List* list = object.list();
    Dict* dict = object.dict();
    if (list == nullptr && dict == nullptr) continue;
    if ((list != nullptr && list == container.list()) ||
        (dict != nullptr && dict == container.dict())) {
      fail(at, fmt::format("{}: {} would hold itself, and that is not read", text(at),
                           describe(container)));
    }
    const void* place = list != nullptr ? static_cast<const void*>(list) : dict;
    if (!seen.insert(place).second) continue;
    work(at, 1 + (list != nullptr ? list->items.size() : dict->items.size()));
    if (list != nullptr) {
      for (const Object& inner : list->items) open.push_back(&inner);
    } else {
      for (const auto& [key, inner] : dict->items) open.push_back(&inner);
    }
  }
}

std::vector<Object> Interpreter::items(const Expression& at, const Object& object) {
  if (const List* l = object.list()) {
    work(at, l->items.size());
    return l->items;
  }
  if (const Range* r = object.as<Range>()) {
    if (static_cast<std::size_t>(r->size()) > kMostSteps) {
      refuse_at(file_, at.at, fmt::format("{}: too many numbers", text(at)));
    }
    work(at, static_cast<std::size_t>(r->size()));
    std::vector<Object> all;
    for (std::int64_t i = 0; i < r->size(); ++i) {
      all.push_back(numpy::integer(r->start + i * r->step));
    }
    return all;
  }
  if (const Dict* d = object.dict()) {
    work(at, d->items.size());
    std::vector<Object> keys;
    for (const auto& [key, value] : d->items) {
      const bool quoted = key.front() == '\'';
      keys.push_back(quoted ? Object{Text(key.substr(1, key.size() - 2))}
                            : numpy::integer(std::stoll(key)));
    }
    return keys;
  }
  if (const ArrayPtr a = object.array(); a && !a->shape.empty()) {
    if (a->shape[0] > kMostRows) {
      fail(at, fmt::format("{}: more than {} rows to go through", text(at), kMostRows));
    }
    std::vector<Object> rows;
    for (std::int64_t i = 0; i < a->shape[0]; ++i) {
      rows.push_back(subscript(at, object, numpy::integer(i)));
    }
    return rows;
  }
  fail(at,
       fmt::format("{}: expected a list, a range or an array, got {}", text(at), describe(object)));
}

Object Interpreter::to_array(const Expression& at, const Object& object) {
  if (object.array()) return object;
  if (const Number* n = object.number()) return {*n};
  const List* list = object.list();
  const Range* range = object.as<Range>();
  if (list == nullptr && range == nullptr) {
    fail(at, fmt::format("{}: expected numbers, got {}", text(at), describe(object)));
  }
  const Depth depth(nesting_);
  if (nesting_ > kMostAxes) {
    fail(at, fmt::format("{}: lists are nested more than {} deep here", text(at), kMostAxes));
  }
  std::vector<Object> parts;
  for (const Object& item : items(at, object)) parts.push_back(to_array(at, item));
  if (parts.empty()) return known_array(Kind::kReal, {0}, {});
  Shape shape;
  Kind kind = Kind::kBool;
  bool known = true;
  std::vector<double> numbers;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const ArrayPtr a = parts[i].array();
    const Shape here = a ? a->shape : Shape{};
    if (i == 0) shape = here;
    if (here != shape) {
      fail(at, fmt::format("{}: the rows differ: the first has shape {}, number {} has {}",
                           text(at), to_string(shape), i + 1, to_string(here)));
    }
    kind = std::max(kind, parts[i].kind());
    known = known && (!a || a->folds());
    if (!known) continue;
    if (a) {
      numbers.insert(numbers.end(), a->known->begin(), a->known->end());
    } else {
      numbers.push_back(parts[i].number()->value);
    }
  }
  Shape whole = shape;
  whole.insert(whole.begin(), static_cast<std::int64_t>(parts.size()));
  make_room(at, whole);
  if (known) return known_array(kind, whole, std::move(numbers));
  shape.insert(shape.begin(), 1);
  std::vector<Operand> operands;
  for (const Object& p : parts) operands.push_back({p});
  return tape_.apply(kind, operands, [&](Graph&, const std::vector<Value>& v) {
    std::vector<Value> rows;
    for (const Value& row : v) rows.push_back(chainrule::reshape(row, shape));
    return chainrule::concatenate(rows, 0);
  });
}

std::string Interpreter::key_of(const Expression& at, const Object& key) {
  if (const std::string* t = key.text()) {
    if (t->size() > kLongestName) {
      fail(at, fmt::format("a key of more than {} characters is not read", kLongestName));
    }
    return "'" + *t + "'";
  }
  return std::to_string(integer(at, key, "a key"));
}

}  // namespace chainrule::numpy
