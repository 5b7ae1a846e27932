// Python's own functions and methods of its containers, as far as such programs use them.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/format.h"
#include "chainrule/ops.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

Object length(Arguments& a) {
  const Object x = a.need("x");
  if (const List* list = x.list()) return integer(static_cast<std::int64_t>(list->items.size()));
  if (const Dict* dict = x.dict()) return integer(static_cast<std::int64_t>(dict->items.size()));
  if (const Range* range = x.as<Range>()) return integer(range->size());
  if (const std::string* text = x.text()) return integer(static_cast<std::int64_t>(text->size()));
  if (const ArrayPtr array = x.array(); array && !array->shape.empty()) {
    return integer(array->shape[0]);
  }
  a.fail(fmt::format("{} has no length", describe(x)));
}

Object range(Arguments& a) {
  Range r;
  r.stop = a.integer("stop");
  if (a.next < a.positional.size()) {
    r.start = r.stop;
    r.stop = a.integer("stop");
    r.step = a.integer_or("step", 1);
  }
  if (r.step == 0) a.fail("the step cannot be 0");
  return {r};
}

// float(x) of an array of one element stays a value of the graph.
Object to_number(Arguments& a, Kind kind) {
  const Object x = a.need("x");
  if (const std::string* text = x.text()) {
    if (*text == "inf") return real(INFINITY);
    if (*text == "-inf") return real(-INFINITY);
    a.fail("a string is no number here");
  }
  if (const ArrayPtr array = x.array(); array && kind == Kind::kReal) {
    if (element_count(array->shape) != 1) a.fail("expected one number, got " + describe(x));
    return array->shape.empty() ? x : a.in.reshaped(x, {});
  }
  const double value = a.in.real(a.call, x, "x");
  const double result = kind == Kind::kInteger ? std::trunc(value)
                        : kind == Kind::kBool  ? (value != 0 ? 1.0 : 0.0)
                                               : value;
  const Number* given = x.number();
  return {Number{kind, result, {}, given != nullptr ? given->sources : nullptr}};
}

// max(a, b, …) or max(list)
Object extreme(Arguments& a, std::string_view op) {
  std::vector<Object> all = a.rest();
  if (all.size() == 1) all = a.in.items(a.call, Object(all[0]));
  if (all.empty()) a.fail("nothing to compare");
  Object best = all[0];
  for (const Object& x : all) {
    if (!best.numeric() || !x.numeric()) a.fail("expected numbers");
    if (best.number() != nullptr && x.number() != nullptr) {
      if (a.in.truth(a.call, a.in.arithmetic(a.call, op, x, best))) best = x;
    } else {
      best = a.in.elementwise(a.call, std::max(x.kind(), best.kind()), {best, x},
                              [&](Graph&, const std::vector<Value>& v) {
                                return op == ">" ? maximum(v[0], v[1]) : minimum(v[0], v[1]);
                              });
    }
  }
  return best;
}

Object zip(Arguments& a) {
  std::vector<std::vector<Object>> columns;
  std::size_t size = SIZE_MAX;
  for (const Object& x : a.rest()) {
    columns.push_back(a.in.items(a.call, x));
    size = std::min(size, columns.back().size());
  }
  std::vector<Object> rows;
  for (std::size_t i = 0; !columns.empty() && i < size; ++i) {
    std::vector<Object> row;
    for (const std::vector<Object>& column : columns) row.push_back(column[i]);
    rows.push_back(tuple(std::move(row)));
  }
  return a.in.new_list(a.call, std::move(rows));
}

// np.add.at(table, indices, x): table with x added to its rows, repeated indices adding up.
Object add_at(Arguments& a) {
  const Object table = a.need("a");
  const ArrayPtr array = table.array();
  if (!array || array->shape.empty()) a.fail("expected an array to add to");
  const Object given = a.need("indices");
  const Object index = a.in.to_array(a.call, given);
  const Object x = a.array_or_number("b");
  const bool pair = given.list() != nullptr && given.list()->tuple;
  if (!index.array() || index.kind() == Kind::kReal || pair) {
    a.fail("an array of whole numbers that choose rows is read here");
  }
  Shape part = index.array()->shape;
  part.insert(part.end(), array->shape.begin() + 1, array->shape.end());
  const Object next =
      a.in.tape().apply(array->kind, {{table}, {index, Role::kIndex, array->shape[0]}, {x}},
                        [&](Graph&, const std::vector<Value>& v) {
                          const Value rows = v[2].shape() == part ? v[2] : broadcast_to(v[2], part);
                          return v[0] + scatter_add(rows, v[1], array->shape[0]);
                        });
  a.in.change_by_call(a.call, *a.call.children[1], array, next);
  return {};
}

Object sum_of(Arguments& a) {
  const std::vector<Object> all = a.in.items(a.call, a.need("x"));
  Object total = integer(0);
  if (const Object* start = a.take("start")) total = *start;
  bool first = true;
  for (const Object& x : all) {
    const Number* zero = total.number();
    const bool skip = first && zero != nullptr && zero->value == 0 && x.array();
    total = skip ? x : a.in.arithmetic(a.call, "+", total, x);
    first = false;
  }
  return total;
}

Object distinct(Arguments& a) {
  Object x = a.array_or_number("ar");
  if (!x.array()) return x;
  const std::vector<double> numbers = a.in.tape().numbers(*x.array());
  const std::set<double> sorted(numbers.begin(), numbers.end());
  return known_array(x.kind(), {static_cast<std::int64_t>(sorted.size())},
                     {sorted.begin(), sorted.end()});
}

void add_containers(BuiltinTable& t) {
  t["list.append"] = [](Arguments& a) -> Object {
    const Object self = a.need("self");
    a.in.append(a.call, self, Object(a.need("x")));
    return {};
  };
  t["list.insert"] = [](Arguments& a) -> Object {
    const Object self = a.need("self");
    List* list = self.list();
    const auto size = static_cast<std::int64_t>(list->items.size());
    std::int64_t at = a.integer("index");
    at = std::clamp(at < 0 ? at + size : at, std::int64_t{0}, size);
    const Object item = a.need("x");
    a.in.check_holds_itself(a.call, self, item);
    a.in.work(a.call, list->items.size());
    list->items.insert(list->items.begin() + at, item);
    return {};
  };
  t["list.pop"] = [](Arguments& a) -> Object {
    List* list = Object(a.need("self")).list();
    const auto size = static_cast<std::int64_t>(list->items.size());
    std::int64_t at = a.integer_or("index", -1);
    if (at < 0) at += size;
    if (at < 0 || at >= size) a.fail("there is nothing to take off the list");
    Object last = list->items[static_cast<std::size_t>(at)];
    a.in.work(a.call, list->items.size() - static_cast<std::size_t>(at));
    list->items.erase(list->items.begin() + at);
    return last;
  };
  t["list.reverse"] = [](Arguments& a) -> Object {
    List* list = Object(a.need("self")).list();
    a.in.work(a.call, list->items.size());
    std::reverse(list->items.begin(), list->items.end());
    return {};
  };
  t["dict.items"] = [](Arguments& a) {
    const Object self = a.need("self");
    const std::vector<Object> keys = a.in.items(a.call, self);
    std::vector<Object> pairs;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      pairs.push_back(tuple({keys[i], self.dict()->items[i].second}));
    }
    return a.in.new_list(a.call, std::move(pairs));
  };
  t["dict.keys"] = [](Arguments& a) {
    return a.in.new_list(a.call, a.in.items(a.call, Object(a.need("self"))));
  };
  t["dict.values"] = [](Arguments& a) {
    const Object self = a.need("self");
    std::vector<Object> values;
    for (const auto& [key, value] : self.dict()->items) values.push_back(value);
    return a.in.new_list(a.call, std::move(values));
  };
  t["dict.copy"] = [](Arguments& a) -> Object {
    const Object self = a.need("self");
    a.in.work(a.call, self.dict()->items.size());
    return {std::make_shared<Dict>(*self.dict())};
  };
}

}  // namespace

void add_python(BuiltinTable& t) {
  t["len"] = length;
  t["range"] = range;
  t["float"] = [](Arguments& a) { return to_number(a, Kind::kReal); };
  t["int"] = [](Arguments& a) { return to_number(a, Kind::kInteger); };
  t["bool"] = [](Arguments& a) { return to_number(a, Kind::kBool); };
  t[".item"] = [](Arguments& a) { return to_number(a, Kind::kReal); };
  t["str"] = [](Arguments& a) -> Object {
    Object x = a.need("x");
    if (x.text() != nullptr) return x;
    if (x.number() != nullptr && x.number()->kind == Kind::kInteger) {
      return {Text(fmt::format("{:.0f}", x.number()->value))};
    }
    return {Text("…")};
  };
  t["abs"] = t["np.abs"];
  t["round"] = t["np.round"];
  t["pow"] = t["np.power"];
  t["sum"] = sum_of;
  t["max"] = [](Arguments& a) { return extreme(a, ">"); };
  t["min"] = [](Arguments& a) { return extreme(a, "<"); };
  t["zip"] = zip;
  t["enumerate"] = [](Arguments& a) {
    const std::vector<Object> all = a.in.items(a.call, Object(a.need("x")));
    std::vector<Object> pairs;
    const std::int64_t start = a.integer_or("start", 0);
    for (std::size_t i = 0; i < all.size(); ++i) {
      pairs.push_back(tuple({integer(start + static_cast<std::int64_t>(i)), all[i]}));
    }
    return a.in.new_list(a.call, std::move(pairs));
  };
  t["reversed"] = [](Arguments& a) {
    std::vector<Object> all = a.in.items(a.call, Object(a.need("x")));
    std::reverse(all.begin(), all.end());
    return a.in.new_list(a.call, std::move(all));
  };
  t["list"] = [](Arguments& a) {
    const Object* x = a.take("x");
    return a.in.new_list(a.call,
                         x == nullptr ? std::vector<Object>{} : a.in.items(a.call, Object(*x)));
  };
  t["tuple"] = [](Arguments& a) { return tuple(a.in.items(a.call, Object(a.need("x")))); };
  t["dict"] = [](Arguments& a) -> Object {
    auto dict = std::make_shared<Dict>();
    for (const auto& [key, value] : a.keywords) dict->set("'" + key + "'", value);
    a.keywords.clear();
    return {dict};
  };
  t["np.shape"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    std::vector<Object> extents;
    for (const std::int64_t n : x.array() ? x.array()->shape : Shape{})
      extents.push_back(integer(n));
    return tuple(std::move(extents));
  };
  t["np.size"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    return integer(x.array() ? element_count(x.array()->shape) : 1);
  };
  t["np.unique"] = distinct;
  t["np.add.at"] = add_at;
  add_containers(t);
}

}  // namespace chainrule::numpy
