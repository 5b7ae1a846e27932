// Functions that make arrays, from nothing, from lists or from random numbers, and that lay them
// out anew.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

using Axes = std::vector<std::int64_t>;

Object filled(Kind kind, const Shape& shape, double value, const Arguments& a) {
  a.in.make_room(a.call, shape);
  return known_array(kind, shape,
                     std::vector<double>(static_cast<std::size_t>(element_count(shape)), value));
}

// dtype=int makes whole numbers, dtype=bool conditions; every other dtype is taken as real.
Kind kind_of_dtype(Arguments& a, Kind otherwise) {
  const Object* dtype = a.keyword("dtype");
  if (dtype == nullptr) return otherwise;
  if (const Builtin* b = dtype->as<Builtin>()) {
    return b->name == "int" ? Kind::kInteger : b->name == "bool" ? Kind::kBool : Kind::kReal;
  }
  if (const std::string* text = dtype->text()) {
    return text->find("int") != std::string::npos ? Kind::kInteger : Kind::kReal;
  }
  return otherwise;
}

void add_filled(BuiltinTable& t, const std::string& name, double value) {
  t["np." + name] = [value](Arguments& a) {
    const Shape shape = a.shape("shape");
    if (a.next < a.positional.size()) a.take("dtype");
    return filled(kind_of_dtype(a, Kind::kReal), shape, value, a);
  };
  t["np." + name + "_like"] = [value](Arguments& a) {
    const Object x = a.array_or_number("a");
    const Kind kind = kind_of_dtype(a, x.kind());
    return filled(kind, x.array() ? x.array()->shape : Shape{}, value, a);
  };
}

Object to_kind(Arguments& a, const Object& x, Kind kind) {
  if (const Number* n = x.number()) {
    const double v = kind == Kind::kInteger ? std::trunc(n->value)
                     : kind == Kind::kBool  ? (n->value != 0 ? 1.0 : 0.0)
                                            : n->value;
    return {Number{kind, v, {}, nullptr}};
  }
  const ArrayPtr array = x.array();
  auto copy = std::make_shared<Array>();
  copy->shape = array->shape;
  copy->kind = kind;
  if (kind == Kind::kReal || array->kind < kind || array->kind == kind) {
    // The same numbers under another dtype: whole numbers stay a source of whole numbers.
    if (array->kind != Kind::kReal && kind == Kind::kReal && array->known) {
      copy->known = array->known;
      if (array->value) copy->value = a.in.tape().real(array);
      if (array->value) copy->known = nullptr;
      return {copy};
    }
    copy->known = array->known;
    copy->value = array->value;
    copy->source = array->source;
    return {copy};
  }
  std::vector<double> numbers = a.in.tape().numbers(*array);
  for (double& v : numbers) v = kind == Kind::kBool ? (v != 0 ? 1.0 : 0.0) : std::trunc(v);
  return known_array(kind, array->shape, std::move(numbers));
}

Object as_type(Arguments& a) {
  const Object x = a.array_or_number("a");
  const Object dtype = a.need("dtype");
  Kind kind = Kind::kReal;
  const Builtin* builtin = dtype.as<Builtin>();
  if (builtin != nullptr && builtin->name == "int") kind = Kind::kInteger;
  if (builtin != nullptr && builtin->name == "bool") kind = Kind::kBool;
  if (dtype.text() != nullptr && dtype.text()->find("int") != std::string::npos) {
    kind = Kind::kInteger;
  }
  return to_kind(a, x, kind);
}

Object joined(Arguments& a, std::vector<Object> parts, std::int64_t axis) {
  std::vector<Operand> operands;
  Kind kind = Kind::kBool;
  if (parts.empty()) a.fail("nothing to join");
  for (Object& part : parts) {
    part = a.in.to_array(a.call, part);
    if (!part.array() || part.array()->shape.empty()) {
      a.fail("a plain number has no axis to join along");
    }
    kind = std::max(kind, part.kind());
    operands.push_back({part});
  }
  return a.in.tape().apply(
      kind, operands, [&](Graph&, const std::vector<Value>& v) { return concatenate(v, axis); });
}

std::vector<Object> arrays(Arguments& a, std::string_view keyword) {
  std::vector<Object> all;
  for (const Object& part : a.in.items(a.call, a.need(keyword))) {
    all.push_back(a.in.to_array(a.call, part));
  }
  if (all.empty()) a.fail("nothing to join");
  return all;
}

Object with_new_axis(Arguments& a, const Object& x, std::int64_t axis) {
  Shape shape = x.array() ? x.array()->shape : Shape{};
  const auto rank = static_cast<std::int64_t>(shape.size()) + 1;
  if (axis < -rank || axis >= rank) a.fail(fmt::format("there is no place for an axis {}", axis));
  shape.insert(shape.begin() + (axis < 0 ? axis + rank : axis), 1);
  return a.in.reshaped(x, shape);
}

Object squeezed(Arguments& a) {
  Object x = a.array_or_number("a");
  if (!x.array()) return x;
  const std::int64_t axis = a.integer_or("axis", 99);
  const Shape& shape = x.array()->shape;
  Shape left;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto k = static_cast<std::int64_t>(i);
    const bool chosen =
        axis == 99 || axis == k || axis + static_cast<std::int64_t>(shape.size()) == k;
    if (!chosen || shape[i] != 1) left.push_back(shape[i]);
  }
  return a.in.reshaped(x, left);
}

Object transposed(Arguments& a) {
  const Object x = a.array_or_number("a");
  const auto rank = x.array() ? static_cast<std::int64_t>(x.array()->shape.size()) : 0;
  std::vector<Object> axes = a.rest();
  if (axes.empty()) {
    const Object* given = a.keyword("axes");
    if (given != nullptr) axes = {*given};
  }
  if (axes.size() == 1 && axes[0].list() != nullptr)
    axes = std::vector<Object>(axes[0].list()->items);
  Axes permutation;
  for (const Object& axis : axes) {
    const std::int64_t k = a.in.integer(a.call, axis, "an axis");
    permutation.push_back(k < 0 ? k + rank : k);
  }
  if (permutation.empty()) {
    permutation.resize(static_cast<std::size_t>(rank));
    std::iota(permutation.rbegin(), permutation.rend(), 0);
  }
  Axes sorted = permutation;
  std::sort(sorted.begin(), sorted.end());
  for (std::int64_t i = 0; i < rank || i < static_cast<std::int64_t>(sorted.size()); ++i) {
    if (static_cast<std::int64_t>(sorted.size()) != rank ||
        sorted[static_cast<std::size_t>(i)] != i) {
      a.fail(fmt::format("{} is no order of the {} axes", to_string(permutation), rank));
    }
  }
  return a.in.permuted(x, permutation);
}

Object reshape_call(Arguments& a) {
  const Object x = a.array_or_number("a");
  std::vector<Object> extents = a.rest();
  if (extents.empty()) {
    const Object* given = a.keyword("shape");
    if (given == nullptr) given = a.keyword("newshape");
    if (given != nullptr) extents = {*given};
  }
  Shape shape;
  if (extents.size() == 1) {
    shape = a.in.shape(a.call, extents[0], "the shape");
  } else {
    for (const Object& e : extents) shape.push_back(a.in.integer(a.call, e, "the shape"));
    a.in.check_room(a.call, shape);
  }
  std::int64_t open = 0;
  std::int64_t known = 1;
  for (const std::int64_t n : shape) {
    if (n < -1) a.fail("a shape has no negative extents but one -1");
    if (n == -1) {
      ++open;
    } else {
      known *= n;
    }
  }
  const std::int64_t count = x.array() ? element_count(x.array()->shape) : 1;
  const bool fits = open == 0 ? known == count : open == 1 && known > 0 && count % known == 0;
  if (!fits) {
    a.fail(fmt::format("an array of shape {} has {} elements and cannot take the shape {}",
                       to_string(x.array() ? x.array()->shape : Shape{}), count, to_string(shape)));
  }
  for (std::int64_t& n : shape) {
    if (n == -1) n = count / known;
  }
  return a.in.reshaped(x, shape);
}

Object copy_of(const Object& x) {
  if (!x.array()) return x;
  auto copy = std::make_shared<Array>(*x.array());
  copy->base.reset();
  copy->views.clear();
  copy->changed_at = 0;
  if (!copy->value) {
    copy->source.clear();
    copy->pending.clear();
  }
  return {copy};
}

Object copied(Arguments& a) { return copy_of(a.array_or_number("a")); }

Object arange(Arguments& a) {
  const double first = a.real("start");
  const Object* second = a.take("stop");
  double start = 0;
  double stop = first;
  Kind kind = a.positional[0].kind();
  if (second != nullptr && !second->nothing()) {
    start = first;
    stop = a.in.real(a.call, *second, "stop");
    kind = std::max(kind, second->kind());
  }
  const Object* third = a.take("step");
  const double step = third == nullptr ? 1 : a.in.real(a.call, *third, "step");
  if (third != nullptr) kind = std::max(kind, third->kind());
  const double count = std::max(std::ceil((stop - start) / step), 0.0);
  if (!(count <= kMostElements)) a.fail("the range is too long, or its step is 0");
  a.in.make_room(a.call, {static_cast<std::int64_t>(count)});
  std::vector<double> numbers;
  // NumPy's own formula: the first two elements give the step.
  const double delta = (start + step) - start;
  for (std::int64_t i = 0; static_cast<double>(i) < count; ++i) {
    numbers.push_back(start + static_cast<double>(i) * delta);
  }
  const Shape shape{static_cast<std::int64_t>(numbers.size())};
  return known_array(kind_of_dtype(a, std::max(kind, Kind::kInteger)), shape, std::move(numbers));
}

Object linspace(Arguments& a) {
  const double start = a.real("start");
  const double stop = a.real("stop");
  const std::int64_t count = a.integer_or("num", 50);
  if (count < 1) a.fail("expected at least one number");
  a.in.make_room(a.call, {count});
  std::vector<double> numbers;
  const double step = count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0;
  for (std::int64_t i = 0; i < count; ++i) {
    numbers.push_back(static_cast<double>(i) * step + start);
  }
  if (count > 1) numbers.back() = stop;
  return known_array(Kind::kReal, {count}, std::move(numbers));
}

Object eye(Arguments& a) {
  const std::int64_t rows = a.integer("N");
  const std::int64_t columns = a.integer_or("M", rows);
  a.in.make_room(a.call, {rows, columns});
  std::vector<double> numbers(static_cast<std::size_t>(rows * columns), 0.0);
  for (std::int64_t i = 0; i < std::min(rows, columns); ++i) {
    numbers[static_cast<std::size_t>(i * columns + i)] = 1;
  }
  return known_array(kind_of_dtype(a, Kind::kReal), {rows, columns}, std::move(numbers));
}

Object array(Arguments& a) {
  const Object given = a.need("object");
  Object x = given.array() ? copy_of(given) : a.in.to_array(a.call, given);
  if (a.next < a.positional.size()) a.take("dtype");
  const Object* dtype = a.keyword("dtype");
  if (dtype == nullptr || x.number() != nullptr) return x;
  a.keywords["dtype"] = *dtype;
  const Kind kind = kind_of_dtype(a, x.kind());
  return kind == x.kind() ? x : to_kind(a, x, kind);
}

}  // namespace

void add_creation(BuiltinTable& t) {
  add_filled(t, "zeros", 0);
  add_filled(t, "ones", 1);
  add_filled(t, "empty", 0);
  t["np.full"] = [](Arguments& a) {
    const Shape shape = a.shape("shape");
    const Object value = a.need("fill_value");
    return filled(kind_of_dtype(a, value.numeric() ? value.kind() : Kind::kReal), shape,
                  a.in.real(a.call, value, "fill_value"), a);
  };
  t["np.full_like"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    return filled(x.kind(), x.array() ? x.array()->shape : Shape{}, a.real("fill_value"), a);
  };
  t["np.array"] = t["np.asarray"] = array;
  t["np.atleast_2d"] = [](Arguments& a) {
    Object x = a.array_or_number("a");
    const Shape shape = x.array() ? x.array()->shape : Shape{};
    if (shape.size() >= 2) return x;
    return a.in.reshaped(x, {1, element_count(shape)});
  };
  t["np.eye"] = t["np.identity"] = eye;
  t["np.arange"] = arange;
  t["np.linspace"] = linspace;
  t[".copy"] = t["np.copy"] = copied;
  t[".astype"] = as_type;
}

void add_shapes(BuiltinTable& t) {
  t["np.reshape"] = reshape_call;
  t["np.transpose"] = transposed;
  t["np.squeeze"] = squeezed;
  t["np.ravel"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    return a.in.reshaped(x, {x.array() ? element_count(x.array()->shape) : 1});
  };
  t[".flatten"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    const Object flat = a.in.reshaped(x, {x.array() ? element_count(x.array()->shape) : 1});
    return copy_of(flat);
  };
  t["np.swapaxes"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    const auto rank = x.array() ? static_cast<std::int64_t>(x.array()->shape.size()) : 0;
    Axes permutation(static_cast<std::size_t>(rank));
    std::iota(permutation.begin(), permutation.end(), 0);
    std::int64_t axes[2] = {a.integer("axis1"), a.integer("axis2")};
    for (std::int64_t& axis : axes) {
      if (axis < -rank || axis >= rank) a.fail(fmt::format("there is no axis {}", axis));
      if (axis < 0) axis += rank;
    }
    std::swap(permutation[static_cast<std::size_t>(axes[0])],
              permutation[static_cast<std::size_t>(axes[1])]);
    return a.in.permuted(x, permutation);
  };
  t["np.expand_dims"] = [](Arguments& a) {
    const Object x = a.array_or_number("a");
    return with_new_axis(a, x, a.integer("axis"));
  };
  t["np.concatenate"] = [](Arguments& a) {
    std::vector<Object> parts = arrays(a, "arrays");
    return joined(a, std::move(parts), a.integer_or("axis", 0));
  };
  t["np.hstack"] = [](Arguments& a) {
    std::vector<Object> parts = arrays(a, "tup");
    const bool flat = parts[0].array() && parts[0].array()->shape.size() == 1;
    return joined(a, std::move(parts), flat ? 0 : 1);
  };
  t["np.vstack"] = [](Arguments& a) {
    std::vector<Object> parts = arrays(a, "tup");
    for (Object& part : parts) {
      const ArrayPtr p = part.array();
      if (p && p->shape.size() == 1) part = a.in.reshaped(part, {1, p->shape[0]});
    }
    return joined(a, std::move(parts), 0);
  };
  t["np.column_stack"] = [](Arguments& a) {
    std::vector<Object> parts = arrays(a, "tup");
    for (Object& part : parts) {
      const ArrayPtr p = part.array();
      if (p && p->shape.size() == 1) part = a.in.reshaped(part, {p->shape[0], 1});
    }
    return joined(a, std::move(parts), 1);
  };
  t["np.c_"] = [](Arguments& a) -> Object { a.fail("np.c_ is written with [ ]"); };
  t["np.stack"] = [](Arguments& a) {
    std::vector<Object> parts = arrays(a, "arrays");
    const std::int64_t axis = a.integer_or("axis", 0);
    for (Object& part : parts) part = with_new_axis(a, part, axis);
    return joined(a, std::move(parts), axis);
  };
  t["np.broadcast_to"] = [](Arguments& a) {
    const Object x = a.array_or_number("array");
    const Shape shape = a.shape("shape");
    return a.in.map(x.kind(), x, [&](Value v) { return broadcast_to(v, shape); });
  };
}

}  // namespace chainrule::numpy
