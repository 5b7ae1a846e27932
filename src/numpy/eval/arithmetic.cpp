// Operators on numbers and arrays, matrix products among them.
#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

Kind promoted(Kind a, Kind b) { return std::max(a, b); }

bool is_comparison(std::string_view op) {
  return op == "==" || op == "!=" || op == "<" || op == ">" || op == "<=" || op == ">=";
}

bool compared(std::string_view op, double a, double b) {
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == ">") return a > b;
  if (op == "<=") return a <= b;
  return a >= b;
}

// a and b have one shape, or are stretched to one.
Value operation(std::string_view op, Value a, Value b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*" || op == "&") return a * b;
  if (op == "/") return a / b;
  if (op == "**") return pow(a, b);
  if (op == "==") return equal(a, b);
  if (op == "!=" || op == "^") return not_equal(a, b);
  if (op == "<") return less(a, b);
  if (op == ">") return greater(a, b);
  if (op == "<=") return less_equal(a, b);
  if (op == ">=") return greater_equal(a, b);
  return maximum(a, b);  // |
}

// x ** 2 is a square, as in NumPy.
Value power(Value x, double exponent) {
  if (exponent == 2) return square(x);
  if (exponent == 1) return x;
  if (exponent == 0.5) return sqrt(x);
  if (exponent == -1) return 1.0 / x;
  return pow(x, exponent);
}

Kind result_kind(std::string_view op, Kind a, Kind b) {
  if (is_comparison(op)) return Kind::kBool;
  if (op == "/") return Kind::kReal;
  if (op == "&" || op == "|" || op == "^") return promoted(a, b);
  return std::max(promoted(a, b), Kind::kInteger);
}

Value as_matrix(Value x, const Shape& shape) { return x.shape() == shape ? x : reshape(x, shape); }

// Leading axes stretched to one shape, as np.matmul does.
Value matrix_product(Value a, Value b) {
  Shape batch_a(a.shape().begin(), a.shape().end() - 2);
  Shape batch_b(b.shape().begin(), b.shape().end() - 2);
  if (batch_a == batch_b) return matmul(a, b);
  Shape batch;
  if (!join_shapes(batch_a, batch_b, batch)) {
    throw ShapeError("the leading axes " + to_string(batch_a) + " and " + to_string(batch_b) +
                     " cannot be joined");
  }
  const auto stretched = [&](Value x) {
    Shape shape = batch;
    shape.insert(shape.end(), x.shape().end() - 2, x.shape().end());
    return x.shape() == shape ? x : broadcast_to(x, shape);
  };
  return matmul(stretched(a), stretched(b));
}

}  // namespace

bool join_shapes(const Shape& a, const Shape& b, Shape& joined) {
  joined = a.size() >= b.size() ? a : b;
  const Shape& other = a.size() >= b.size() ? b : a;
  for (std::size_t i = 1; i <= other.size(); ++i) {
    std::int64_t& extent = joined[joined.size() - i];
    const std::int64_t o = other[other.size() - i];
    if (extent != o && extent != 1 && o != 1) return false;
    if (extent == 1) extent = o;
  }
  return true;
}

Object Interpreter::elementwise(const Expression& at, Kind kind,
                                const std::vector<Object>& operands, const Formula& formula) {
  Shape shape;
  std::vector<Operand> all;
  for (const Object& o : operands) {
    if (!o.numeric()) fail(at, fmt::format("{}: {} is no number or array", text(at), describe(o)));
    if (const ArrayPtr array = o.array()) {
      Shape joined;
      if (!join_shapes(shape, array->shape, joined)) {
        throw ShapeError(fmt::format(
            "shapes {} and {} cannot be joined: every axis, counted from the right, must be equal "
            "or 1",
            to_string(shape), to_string(array->shape)));
      }
      shape = joined;
    }
    all.push_back({o});
  }
  return tape_.apply(kind, all, formula, shape);
}

Object Interpreter::map(Kind kind, const Object& x, const std::function<Value(Value)>& function) {
  return tape_.apply(kind, {{x}},
                     [&](Graph&, const std::vector<Value>& v) { return function(v[0]); });
}

Object Interpreter::numbers_only(const Expression& at, std::string_view op, const Number& a,
                                 const Number& b) {
  const double x = a.value;
  const double y = b.value;
  if (is_comparison(op)) return boolean(compared(op, x, y));
  Kind kind = std::max(promoted(a.kind, b.kind), Kind::kInteger);
  const bool whole = kind == Kind::kInteger;
  double z = 0;
  if ((op == "/" || op == "//" || op == "%") && y == 0) {
    if (op != "/" || whole) fail(at, fmt::format("{}: division by zero", text(at)));
  }
  if (op == "+") {
    z = x + y;
  } else if (op == "-") {
    z = x - y;
  } else if (op == "*") {
    z = x * y;
  } else if (op == "/") {
    z = x / y;
    kind = Kind::kReal;
  } else if (op == "//") {
    z = std::floor(x / y);
  } else if (op == "%") {
    z = x - y * std::floor(x / y);
  } else if (op == "**") {
    z = std::pow(x, y);
    if (y < 0) kind = Kind::kReal;
  } else if (op == "&" || op == "|" || op == "^") {
    if (a.kind != Kind::kBool || b.kind != Kind::kBool) {
      fail(at, fmt::format("{} is read for comparisons only", op));
    }
    return boolean(op == "&" ? x * y != 0 : op == "|" ? x + y != 0 : x != y);
  } else {
    fail(at, fmt::format("{} is not read for plain numbers", op));
  }
  if (kind == Kind::kInteger && std::abs(z) > 9007199254740992.0) {
    fail(at, fmt::format("{}: whole numbers beyond 2^53 are not read", text(at)));
  }
  Number result{kind, z, {}, a.sources};
  if (!a.sources || a.sources->size() < 100) result.add_sources(b);
  return {result};
}

// [1, 2] + [3] and [0] * 3.
std::optional<Object> Interpreter::joined_lists(const Expression& at, std::string_view op,
                                                const Object& a, const Object& b) {
  const List& left = *a.list();
  std::int64_t times = 1;
  if (op == "*" && b.number() != nullptr) {
    times = std::max<std::int64_t>(integer(at, b, "the factor of a list"), 0);
  } else if (op != "+" || b.list() == nullptr) {
    return std::nullopt;
  }
  const List* right = b.list();
  const double size = static_cast<double>(left.items.size()) * static_cast<double>(times) +
                      (right != nullptr ? static_cast<double>(right->items.size()) : 0);
  if (size > static_cast<double>(kMostSteps)) refuse_at(file_, at.at, "the list becomes too long");
  work(at, static_cast<std::size_t>(size));
  auto list = std::make_shared<List>();
  list->tuple = left.tuple;
  for (std::int64_t i = 0; i < times && !left.items.empty(); ++i) {
    list->items.insert(list->items.end(), left.items.begin(), left.items.end());
  }
  if (right != nullptr) {
    list->items.insert(list->items.end(), right->items.begin(), right->items.end());
  }
  return Object{std::move(list)};
}

// "W" + "1", "-" * 40, and formatting, of which only the pattern is kept.
std::optional<Object> Interpreter::of_texts(const Expression& at, std::string_view op,
                                            const Object& a, const Object& b) {
  const std::string& text = *a.text();
  if (op == "%") return a;
  if (op == "+" && b.text() != nullptr) return new_text(at, text + *b.text());
  if (op != "*" || b.number() == nullptr) return std::nullopt;
  const std::int64_t times = std::max<std::int64_t>(integer(at, b, "the factor of a string"), 0);
  if (static_cast<double>(text.size()) * static_cast<double>(times) >
      static_cast<double>(kLongestText)) {
    refuse_long_text(at);
  }
  std::string repeated;
  for (std::int64_t i = 0; i < times && !text.empty(); ++i) repeated += text;
  return new_text(at, std::move(repeated));
}

// Shapes are compared so: X.shape == (3, 2).
bool Interpreter::lists_equal(const Expression& at, const List& a, const List& b) {
  const Depth depth(nesting_);
  if (nesting_ > kDeepestNesting) fail(at, "these lists are nested too deeply to be compared");
  if (a.items.size() != b.items.size()) return false;
  work(at, a.items.size());
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!truth(at, arithmetic(at, "==", a.items[i], b.items[i]))) return false;
  }
  return true;
}

Object Interpreter::arithmetic(const Expression& at, std::string_view op, const Object& a,
                               const Object& b) {
  if (op == "@") return product(at, a, b, false);
  const auto as_operand = [&](const Object& o) {
    return o.list() != nullptr || o.as<Range>() != nullptr ? to_array(at, o) : o;
  };
  if (a.list() != nullptr && !b.array()) {
    if (std::optional<Object> joined = joined_lists(at, op, a, b)) return *joined;
  }
  if (a.text() != nullptr) {
    if (std::optional<Object> text = of_texts(at, op, a, b)) return *text;
  }
  if (op == "==" || op == "!=") {
    if (a.text() != nullptr && b.text() != nullptr) {
      return boolean((*a.text() == *b.text()) == (op == "=="));
    }
    if (a.nothing() || b.nothing()) return boolean((a.nothing() && b.nothing()) == (op == "=="));
    if (a.list() != nullptr && b.list() != nullptr) {
      return boolean(lists_equal(at, *a.list(), *b.list()) == (op == "=="));
    }
  }
  const Object x = as_operand(a);
  const Object y = as_operand(b);
  for (const Object* o : {&x, &y}) {
    if (o->numeric()) continue;
    if (const Opaque* opaque = o->as<Opaque>()) {
      fail(at,
           fmt::format("{} is not read, so {} has no value here; give such data by shape, as in "
                       "--shape X=3,2",
                       opaque->what, text(at)));
    }
    fail(at, fmt::format("{}: {} is no number or array", text(at), describe(*o)));
  }
  if (x.number() != nullptr && y.number() != nullptr) {
    return numbers_only(at, op, *x.number(), *y.number());
  }
  if (op == "**" && y.number() != nullptr) {
    const double exponent = y.number()->value;
    return map(result_kind(op, x.kind(), y.kind()), x, [&](Value v) { return power(v, exponent); });
  }
  if (op == "//" || op == "%") {  // done on the numbers: the graph has no rounding
    if (x.array() && !x.array()->known) {
      fail(at, fmt::format("{} is read for whole numbers and known arrays only", op));
    }
    std::vector<double> n =
        x.array() ? tape_.numbers(*x.array()) : std::vector<double>(1, x.number()->value);
    if (y.number() == nullptr || !x.array()) {
      fail(at, fmt::format("{} is read with a plain number on the right only", op));
    }
    for (double& v : n)
      v = numbers_only(at, op, {Kind::kReal, v, {}, nullptr},
                       {Kind::kReal, y.number()->value, {}, nullptr})
              .number()
              ->value;
    return known_array(promoted(x.kind(), y.kind()), x.array()->shape, std::move(n));
  }
  if (op == "<<" || op == ">>") fail(at, fmt::format("{} is not read", op));
  if ((op == "&" || op == "|" || op == "^") &&
      (x.kind() != Kind::kBool || y.kind() != Kind::kBool)) {
    fail(at, fmt::format("{} is read for comparisons only", op));
  }
  return elementwise(
      at, result_kind(op, x.kind(), y.kind()), {x, y},
      [&](Graph&, const std::vector<Value>& v) { return operation(op, v[0], v[1]); });
}

Object Interpreter::product(const Expression& at, const Object& left, const Object& right,
                            bool dot) {
  const Object a = left.list() != nullptr ? to_array(at, left) : left;
  const Object b = right.list() != nullptr ? to_array(at, right) : right;
  const bool scalar = (a.array() ? a.array()->shape.empty() : true) ||
                      (b.array() ? b.array()->shape.empty() : true);
  if (scalar) {
    if (dot || !a.numeric() || !b.numeric()) return arithmetic(at, "*", a, b);
    fail(at, fmt::format("{}: @ needs arrays on both sides; write * for a number", text(at)));
  }
  const Shape& p = a.array()->shape;
  const Shape& q = b.array()->shape;
  const std::int64_t inner = q.size() == 1 ? q[0] : q[q.size() - 2];
  if (p.back() != inner) {
    throw ShapeError(
        fmt::format("the {} {} of the left operand {} must equal the {} {} of the right operand {}",
                    p.back(), p.size() == 1 ? "elements" : "columns", to_string(p), inner,
                    q.size() == 1 ? "elements" : "rows", to_string(q)));
  }
  if (dot && p.size() >= 2 && q.size() > 2) {
    fail(at, fmt::format("{}: np.dot of {} and {} is not read; write @", text(at), to_string(p),
                         to_string(q)));
  }
  const Kind kind = std::max(promoted(a.kind(), b.kind()), Kind::kInteger);
  return tape_.apply(kind, {{a}, {b}}, [&](Graph&, const std::vector<Value>& v) {
    if (p.size() == 1 && q.size() == 1) return sum(v[0] * v[1]);
    const Value x = p.size() == 1 ? as_matrix(v[0], {1, p[0]}) : v[0];
    const Value y = q.size() == 1 ? as_matrix(v[1], {q[0], 1}) : v[1];
    const Value z = matrix_product(x, y);
    if (p.size() > 1 && q.size() > 1) return z;
    Shape shape = z.shape();
    if (q.size() == 1) {
      shape.pop_back();
    } else {
      shape.erase(shape.end() - 2);
    }
    return reshape(z, shape);
  });
}

Object Interpreter::unary(const Expression& e) {
  Object x = evaluate(*e.children[0]);
  if (e.text == "not") return boolean(!truth(e, x));
  if (const Number* n = x.number()) {
    if (e.text == "~") {
      if (n->kind == Kind::kBool) return boolean(n->value == 0);
      return numpy::integer(-integer(e, x, "the operand of ~") - 1);
    }
    return {Number{
        std::max(n->kind, Kind::kInteger), e.text == "-" ? -n->value : n->value, {}, nullptr}};
  }
  if (!x.array()) fail(e, fmt::format("{}: {} is no number or array", text(e), describe(x)));
  if (e.text == "+") return x;
  if (e.text == "~") {
    if (x.kind() != Kind::kBool) fail(e, "~ is read for comparisons only");
    return map(Kind::kBool, x, [](Value v) { return 1.0 - v; });
  }
  return map(std::max(x.kind(), Kind::kInteger), x, [](Value v) { return -v; });
}

Object Interpreter::binary(const Expression& e) {
  const Object a = evaluate(*e.children[0]);
  if (e.text == "and" || e.text == "or") {
    return truth(e, a) == (e.text == "or") ? a : evaluate(*e.children[1]);
  }
  const Object b = evaluate(*e.children[1]);
  try {
    return arithmetic(e, e.text, a, b);
  } catch (const ShapeError& error) {
    fail(e, fmt::format("{}: {}{}", text(e), error.what(),
                        shapes_text(*e.children[0], a, *e.children[1], b)));
  }
}

// "; X @ W is [3, 4], b is [5]"
std::string Interpreter::shapes_text(const Expression& left, const Object& a,
                                     const Expression& right, const Object& b) const {
  if (!a.array() || !b.array()) return {};
  std::string result = fmt::format("; {} is {}", text(left), to_string(a.array()->shape));
  if (text(left) == text(right)) return result;
  return result + fmt::format(", {} is {}", text(right), to_string(b.array()->shape));
}

Object Interpreter::compare(const Expression& e) {
  Object left = evaluate(*e.children[0]);
  Object result = boolean(true);
  for (std::size_t i = 0; i < e.operators.size(); ++i) {
    const std::string& op = e.operators[i];
    const Object right = evaluate(*e.children[i + 1]);
    Object one;
    if (op == "is" || op == "is not") {
      if (!left.nothing() && !right.nothing())
        one = arithmetic(e, "==", left, right);
      else
        one = boolean(left.nothing() && right.nothing());
      if (op == "is not") one = boolean(!truth(e, one));
    } else if (op == "in" || op == "not in") {
      bool found = false;
      if (Dict* dict = right.dict()) {
        found = dict->find(key_of(e, left)) != nullptr;
      } else {
        for (const Object& item : items(e, right)) {
          const bool comparable = (left.text() != nullptr) == (item.text() != nullptr);
          found = found || (comparable && truth(e, arithmetic(e, "==", left, item)));
        }
      }
      one = boolean(found == (op == "in"));
    } else {
      try {
        one = arithmetic(e, op, left, right);
      } catch (const ShapeError& error) {
        fail(e, fmt::format("{}: {}{}", text(e), error.what(),
                            shapes_text(*e.children[i], left, *e.children[i + 1], right)));
      }
    }
    result = i == 0 ? one : boolean(truth(e, result) && truth(e, one));
    left = right;
  }
  return result;
}

}  // namespace chainrule::numpy
