// Assignment to elements, as values: dp[range(n), y] -= 1 is dp - one_hot(y), dZ[Z <= 0] = 0 is a
// where.
#include <algorithm>
#include <set>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "numpy/eval/index.h"

namespace chainrule::numpy {
namespace {

using Axes = std::vector<std::int64_t>;

// x in its place in an array of that shape, zeros around it.
Value placed(Value x, const Part& part, const Shape& shape) {
  const Value whole = x.shape() == part.result ? x : broadcast_to(x, part.result);
  const Value kept = whole.shape() == part.kept ? whole : reshape(whole, part.kept);
  if (part.kept == shape) return kept;
  Axes after = shape;
  for (std::size_t i = 0; i < after.size(); ++i) after[i] -= part.stops[i];
  return pad(kept, part.starts, after);
}

Value as_column(Value x) {
  Shape shape = x.shape();
  if (shape.empty()) return x;
  shape.push_back(1);
  return reshape(x, shape);
}

}  // namespace

// a[index] = value, or a[index] op= value.
void Interpreter::set_element(const Expression& target, const Object& value, std::string_view op) {
  const Object object = evaluate(*target.children[0]);
  const ArrayPtr array = object.array();
  if (!array) {
    fail(target,
         fmt::format("{}: {} has no elements to assign to", text(target), describe(object)));
  }
  Object v = value.numeric() ? value : to_array(target, value);
  if (const ArrayPtr part = v.array(); part && !array->value && tape_.is_prepared(*part)) {
    v = known_array(part->kind, part->shape, tape_.numbers(*part));  // data filled in bit by bit
  }
  const Index index = read_index(*this, target, array->shape, *target.children[1]);
  Object next;
  try {
    next = with_element(target, object, index, v, op);
  } catch (const ShapeError& error) {
    fail(target, fmt::format("{} = {}: {}", text(target), text(*statement_->value), error.what()));
  }
  const std::string name = changed_name(*target.children[0], *array);
  change(*target.children[0], array, next, name);
  record(name, {array}, true, statement_->value.get());
}

Object Interpreter::with_element(const Expression& at, const Object& object, const Index& index,
                                 const Object& v, std::string_view op) {
  const ArrayPtr array = object.array();
  const Shape& shape = array->shape;
  const Kind kind = std::max(array->kind, v.kind());
  const auto joined = [&](const Object& place) {
    const Object inside = op.empty() ? v : arithmetic(at, op, object, v);
    return elementwise(at, kind, {place, inside, object},
                       [](Graph&, const std::vector<Value>& x) { return where(x[0], x[1], x[2]); });
  };
  if (index.mask) {
    Shape full = index.mask->shape;
    full.resize(shape.size(), 1);
    if (v.array() && !v.array()->shape.empty()) {
      fail(at, fmt::format("{}: only one number is assigned to masked elements; write np.where",
                           text(at)));
    }
    return joined(reshaped({index.mask}, full));
  }
  const bool adds = op == "+" || op == "-";
  const auto add = [&](Value x, Value y) { return op == "+" ? x + y : x - y; };
  if (index.basic()) {
    const Part part = part_of(index);
    Shape stretched;
    if (v.array() &&
        (!join_shapes(v.array()->shape, part.result, stretched) || stretched != part.result)) {
      throw ShapeError(fmt::format("the value has the shape {}, its place {}",
                                   to_string(v.array()->shape), to_string(part.result)));
    }
    const bool zeros = array->value ? constant_value(array->value) == 0
                                    : is_uniform(*array) && array->known->front() == 0;
    Object inside = v;
    if (!op.empty() && !adds) inside = arithmetic(at, op, take(at, object, index), v);
    return tape_.apply(kind, {{object}, {inside}}, [&](Graph& g, const std::vector<Value>& x) {
      const Value there = placed(x[1], part, shape);
      if (adds) return add(x[0], there);
      if (part.kept == shape || zeros) return there;
      return where(placed(constant(g, 1, part.result), part, shape), there, x[0]);
    });
  }
  if (is_pairs(index, shape)) {
    const ArrayPtr rows = index.axes[0].array;
    const ArrayPtr columns = index.axes[1].array;
    if (rows->shape.size() != 1 || rows->shape[0] != shape[0] || !counts_up(*rows) ||
        columns->shape != rows->shape) {
      fail(at, fmt::format("{}: elements of every row are assigned to, as in dp[range(n), y]; "
                           "write others with np.where",
                           text(at)));
    }
    const double* one = v.number() != nullptr ? &v.number()->value : nullptr;
    const Operand chosen{{columns}, Role::kIndex, shape[1]};
    return tape_.apply(kind, {{object}, chosen, {v}}, [&](Graph&, const std::vector<Value>& x) {
      const Value place = one_hot(x[1], shape[1]);
      if (adds) return add(x[0], one != nullptr && *one == 1 ? place : place * as_column(x[2]));
      Value inside = as_column(x[2]);
      if (op == "*") inside = x[0] * inside;
      if (op == "/") inside = x[0] / inside;
      if (op.empty() && one != nullptr && *one == 1 && constant_value(x[0]) == 0) {
        return place;
      }
      return where(place, inside, x[0]);
    });
  }
  const ArrayPtr rows = index.axes[0].array;
  const bool only_rows =
      rows && std::all_of(index.axes.begin() + 1, index.axes.end(), [&](const AxisIndex& a) {
        const auto axis = static_cast<std::size_t>(&a - index.axes.data());
        return !a.array && !a.drop && a.start == 0 && a.stop == shape[axis];
      });
  if (!only_rows) {
    fail(at, fmt::format("{}: this assignment is not read; write it with np.where or one_hot",
                         text(at)));
  }
  const std::vector<double> all = tape_.numbers(*rows);
  if (std::set<double>(all.begin(), all.end()).size() != all.size()) {
    fail(at,
         fmt::format("{}: an index occurs twice, and NumPy keeps only the last one; to add them "
                     "up write np.add.at({}, {}, …)",
                     text(at), text(*at.children[0]), text(*at.children[1])));
  }
  Shape part = rows->shape;
  part.insert(part.end(), shape.begin() + 1, shape.end());
  const Operand chosen{{rows}, Role::kIndex, shape[0]};
  return tape_.apply(kind, {{object}, chosen, {v}}, [&](Graph& g, const std::vector<Value>& x) {
    const auto spread = [&](Value y) {
      return scatter_add(y.shape() == part ? y : broadcast_to(y, part), x[1], shape[0]);
    };
    if (adds) return add(x[0], spread(x[2]));
    Value inside = x[2];
    if (op == "*") inside = gather(x[0], x[1]) * x[2];
    if (op == "/") inside = gather(x[0], x[1]) / x[2];
    return where(spread(constant(g, 1, part)), spread(inside), x[0]);
  });
}

}  // namespace chainrule::numpy
