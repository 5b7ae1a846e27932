// Reading elements and parts of arrays.
#include "numpy/eval/index.h"

#include <algorithm>
#include <numeric>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

using Axes = std::vector<std::int64_t>;

bool is_identity(const Array& array) {
  const Shape& s = array.shape;
  if (!array.known || array.value || s.size() != 2 || s[0] != s[1]) return false;
  for (std::size_t i = 0; i < array.known->size(); ++i) {
    const bool diagonal = i % static_cast<std::size_t>(s[0] + 1) == 0;
    if ((*array.known)[i] != (diagonal ? 1 : 0)) return false;
  }
  return s[0] > 0;
}

void mark_view(const Object& view, const ArrayPtr& base) {
  const ArrayPtr v = view.array();
  if (!v || v == base) return;
  const ArrayPtr root = base->base.lock();
  const ArrayPtr& owner = root ? root : base;
  v->base = owner;
  owner->views.push_back(v);
}

}  // namespace

Object Interpreter::permuted(const Object& x, std::vector<std::int64_t> permutation) {
  if (x.number() != nullptr || std::is_sorted(permutation.begin(), permutation.end())) return x;
  Object y = tape_.move(
      x, [&](Graph&, const std::vector<Value>& v) { return transpose(v[0], permutation); });
  mark_view(y, x.array());
  return y;
}

Object Interpreter::reshaped(const Object& x, const Shape& shape) {
  const ArrayPtr array = x.array();
  if (array && array->shape == shape) return x;
  Object y =
      tape_.move(x, [&](Graph&, const std::vector<Value>& v) { return reshape(v[0], shape); });
  if (array) mark_view(y, array);
  return y;
}

Object Interpreter::subscript_expression(const Expression& e) {
  const Object object = evaluate(*e.children[0]);
  if (object.array()) {
    const ArrayPtr array = object.array();
    return take(e, object, read_index(*this, e, array->shape, *e.children[1]));
  }
  if (e.children[1]->kind == ExpressionKind::kSlice && object.list() != nullptr) {
    return list_slice(e, *object.list());
  }
  if (const Opaque* opaque = object.as<Opaque>()) return {Opaque(opaque->what + "[…]")};
  if (const Builtin* builtin = object.as<Builtin>(); builtin && builtin->name == "np.c_") {
    return call_object(e, {Builtin{"np.column_stack", nullptr}}, {evaluate(*e.children[1])}, {""});
  }
  return subscript(e, object, evaluate(*e.children[1]));
}

Object Interpreter::list_slice(const Expression& e, const List& all) {
  const Expression& s = *e.children[1];
  const auto size = static_cast<std::int64_t>(all.items.size());
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    if (!s.children[i]) return otherwise;
    const std::int64_t b = integer(s, evaluate(*s.children[i]), "a slice");
    return i == 2 ? b : std::clamp(b < 0 ? b + size : b, std::int64_t{0}, size);
  };
  const std::int64_t step = bound(2, 1);
  if (step != 1 && step != -1) fail(e, "a slice of a list is read with the steps 1 and -1 only");
  work(e, all.items.size());
  auto list = std::make_shared<List>();
  list->tuple = all.tuple;
  const std::int64_t start = bound(0, step > 0 ? 0 : size - 1);
  const std::int64_t stop = bound(1, step > 0 ? size : -1);
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (i < size) list->items.push_back(all.items[static_cast<std::size_t>(i)]);
  }
  return {list};
}

Object Interpreter::subscript(const Expression& at, const Object& object, const Object& index) {
  if (const ArrayPtr array = object.array()) {
    return take(at, object, read_index(*this, at, array->shape, index));
  }
  if (Dict* dict = object.dict()) {
    const std::string key = key_of(at, index);
    if (const Object* value = dict->find(key)) return *value;
    fail(at, fmt::format("{}: there is no key {}", text(at), shown(key)));
  }
  const List* list = object.list();
  const Range* range = object.as<Range>();
  if (list != nullptr || range != nullptr) {
    const std::int64_t size =
        list != nullptr ? static_cast<std::int64_t>(list->items.size()) : range->size();
    std::int64_t i = integer(at, index, "an index");
    if (i < 0) i += size;
    if (i < 0 || i >= size) fail(at, fmt::format("{}: there are {} items", text(at), size));
    if (range != nullptr) return numpy::integer(range->start + i * range->step);
    return list->items[static_cast<std::size_t>(i)];
  }
  fail(at, fmt::format("{}: {} has no elements", text(at), describe(object)));
}

Object Interpreter::take(const Expression& at, const Object& object, const Index& index) {
  const ArrayPtr array = object.array();
  const Kind kind = array->kind;
  if (index.mask) return take_masked(object, index.mask);
  const Part part = part_of(index);
  if (index.basic()) {
    if (part.result == array->shape && part.kept == array->shape) return object;
    Object y =
        tape_.move(object, [&](Graph&, const std::vector<Value>& x) { return cut(x[0], part); });
    mark_view(y, array);
    return y;
  }
  if (is_pairs(index, array->shape)) return take_pairs(at, object, index);
  std::size_t arrays = 0;
  std::size_t position = 0;  // of the array's axis in the result of the basic part
  ArrayPtr chosen;
  std::size_t axis = 0;
  std::size_t result_axis = 0;
  for (const bool added : index.added) {
    if (!added) {
      if (index.axes[axis].array) {
        ++arrays;
        chosen = index.axes[axis].array;
        position = result_axis;
      }
      if (index.axes[axis++].drop) continue;
    }
    ++result_axis;
  }
  if (arrays > 1) {
    fail(at, fmt::format("{}: two index arrays are read for a matrix only, as in p[range(n), y]",
                         text(at)));
  }
  if (position == 0 && is_identity(*array) && chosen->value) {
    return tape_.apply(
        kind, {{{chosen}, Role::kIndex, array->shape[0]}},
        [&](Graph&, const std::vector<Value>& x) { return one_hot(x[0], array->shape[0]); });
  }
  const auto rank = static_cast<std::int64_t>(part.result.size());
  const auto p = static_cast<std::int64_t>(position);
  return tape_.apply(kind, {{object}, {{chosen}, Role::kIndex, part.result[position]}},
                     [&](Graph&, const std::vector<Value>& x) {
                       const Value table = cut(x[0], part);
                       if (p == 0) return gather(table, x[1]);
                       Axes to_front{p};
                       for (std::int64_t i = 0; i < rank; ++i) {
                         if (i != p) to_front.push_back(i);
                       }
                       const Value rows = gather(transpose(table, to_front), x[1]);
                       const auto k = static_cast<std::int64_t>(x[1].shape().size());
                       Axes back;
                       for (std::int64_t i = 0; i < p; ++i) back.push_back(k + i);
                       for (std::int64_t i = 0; i < k; ++i) back.push_back(i);
                       for (std::int64_t i = p; i < rank - 1; ++i) back.push_back(k + i);
                       return transpose(rows, back);
                     });
}

Object Interpreter::take_pairs(const Expression& at, const Object& object, const Index& index) {
  const ArrayPtr i = index.axes[0].array;
  const ArrayPtr j = index.axes[1].array;
  if (i->shape != j->shape || i->shape.size() != 1) {
    fail(at,
         fmt::format("{}: the index arrays have the shapes {} and {}; expected two lists of one "
                     "length",
                     text(at), to_string(i->shape), to_string(j->shape)));
  }
  const Shape& shape = object.array()->shape;
  const bool every_row = i->shape[0] == shape[0] && counts_up(*i);
  std::vector<Operand> operands = {{object}, {{j}, Role::kIndex, shape[1]}};
  if (!every_row) operands.push_back({{i}, Role::kIndex, shape[0]});
  return tape_.apply(object.kind(), operands, [&](Graph&, const std::vector<Value>& x) {
    const Value rows = every_row ? x[0] : gather(x[0], x[2]);
    return sum(rows * one_hot(x[1], shape[1]), {-1});
  });
}

// The chosen elements one after another; which they are is taken from the numbers.
Object Interpreter::take_masked(const Object& object, const ArrayPtr& mask) {
  const std::vector<double> chosen = tape_.numbers(*mask);
  std::vector<double> positions;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i] != 0) positions.push_back(static_cast<double>(i));
  }
  const Shape& shape = object.array()->shape;
  Shape rows{element_count(mask->shape)};
  rows.insert(rows.end(), shape.begin() + static_cast<std::ptrdiff_t>(mask->shape.size()),
              shape.end());
  const auto count = static_cast<std::int64_t>(positions.size());
  const Object index = known_array(Kind::kInteger, {count}, std::move(positions));
  return tape_.apply(object.kind(), {{object}, {index, Role::kIndex, rows[0]}},
                     [&](Graph&, const std::vector<Value>& x) {
                       return gather(x[0].shape() == rows ? x[0] : reshape(x[0], rows), x[1]);
                     });
}

Object Interpreter::array_attribute(const Expression& e, const Object& object) {
  const ArrayPtr array = object.array();
  const Shape shape = array ? array->shape : Shape{};
  if (e.text == "T") {
    if (shape.size() < 2) return object;
    Axes reversed(shape.size());
    std::iota(reversed.rbegin(), reversed.rend(), 0);
    return permuted(object, reversed);
  }
  if (e.text == "shape") {
    std::vector<Object> extents;
    for (const std::int64_t extent : shape) extents.push_back(numpy::integer(extent));
    return tuple(std::move(extents));
  }
  if (e.text == "size") return numpy::integer(element_count(shape));
  if (e.text == "ndim") return numpy::integer(static_cast<std::int64_t>(shape.size()));
  if (e.text == "dtype") return {Opaque("dtype")};
  for (const std::string& name : {"." + e.text, "np." + e.text}) {
    const bool method = name[0] == '.' || is_method(e.text);
    if (method && builtins().contains(name)) {
      return {Builtin{name, std::make_shared<Object>(object)}};
    }
  }
  fail(e, fmt::format("{}: arrays have no .{} that is read", text(e), e.text));
}

}  // namespace chainrule::numpy
