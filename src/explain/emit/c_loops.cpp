// The loops of C. Reading a value at an index gives an expression; what it needs first (the loop of
// a sum, a number that is read twice) is put into the block before it.
#include "explain/emit/c_loops.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/format.h"
#include "chainrule/error.h"
#include "explain/emit/c_data.h"
#include "ops/window.h"

namespace chainrule {
namespace {

constexpr std::string_view kLoopNames = "ijklmnpqrs";

std::size_t count_of(std::string_view pattern, std::size_t input) {
  const std::string field = fmt::format("{{{}}}", input);
  std::size_t count = 0;
  for (std::size_t at = pattern.find(field); at != std::string_view::npos;
       at = pattern.find(field, at + 1)) {
    ++count;
  }
  return count;
}

std::string sum_of(const std::string& index, std::int64_t offset) {
  if (offset == 0) return index;
  return index == "0" ? std::to_string(offset) : fmt::format("{} + {}", index, offset);
}

// A number is a number: isnan(0) || 0 > x is 0 > x.
void drop_test_of_number(std::string& pattern, std::size_t input) {
  const std::string test = fmt::format("isnan({{{}}}) || ", input);
  const std::size_t at = pattern.find(test);
  if (at != std::string::npos) pattern.erase(at, test.size());
}

// "(a > b ? a : b)" as a whole right-hand side needs no parentheses.
std::string bare(const std::string& text) {
  if (text.empty() || text[0] != '(') return text;
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    if (depth == 0) return i + 1 == text.size() ? text.substr(1, i - 1) : text;
  }
  return text;
}

bool contains(const std::vector<std::int64_t>& axes, std::size_t axis) {
  return std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(axis)) != axes.end();
}

}  // namespace

std::string c_element(const std::string& array, const std::vector<std::string>& at) {
  std::string text = array;
  for (const std::string& index : at) text += "[" + index + "]";
  return text;
}

std::string c_type(DType dtype) { return dtype == DType::kI32 ? "int32_t" : "real"; }

CLoops::CLoops(const CPlan& plan, const std::vector<std::string>& names,
               std::function<bool(const std::string&)> is_free)
    : plan_(plan), names_(names), is_free_(std::move(is_free)) {}

// ── names, loops and elements ────────────────────────────────────────────────

std::string CLoops::fresh(const std::string& wanted) {
  std::string name = wanted;
  const auto taken = [&] {
    return !is_free_(name) || std::find(in_use_.begin(), in_use_.end(), name) != in_use_.end();
  };
  for (int n = 2; taken(); ++n) name = wanted + std::to_string(n);
  in_use_.push_back(name);
  return name;
}

CLoops::Expression CLoops::local(const std::string& wanted, const std::string& value,
                                 CBlock& block) {
  const std::string name = fresh(wanted);
  block.add(fmt::format("const real {} = {};", name, bare(value)));
  return {name};
}

// An axis of extent 1 needs no loop.
std::string CLoops::open(std::int64_t extent, CBlock*& block) {
  if (extent == 1) return "0";
  for (const char letter : kLoopNames) {
    std::string name(1, letter);
    if (is_free_(name) && std::find(in_use_.begin(), in_use_.end(), name) == in_use_.end()) {
      in_use_.push_back(name);
      block = &block->loop(name, extent);
      return name;
    }
  }
  std::string name = fresh("i");
  block = &block->loop(name, extent);
  return name;
}

CLoops::Index CLoops::open_all(const Shape& shape, CBlock*& block) {
  Index at;
  for (const std::int64_t extent : shape) at.push_back(open(extent, block));
  return at;
}

CLoops::Expression CLoops::element(const Value& v, const Index& at) const {
  return {c_element(names_[static_cast<std::size_t>(v.node().id)], at)};
}

// ── reading one element ──────────────────────────────────────────────────────

CLoops::Expression CLoops::read(const Value& v, const Index& at, CBlock& block) {
  return plan_.place(v) == CPlace::kNone ? meaning(v, at, block) : element(v, at);
}

CLoops::Expression CLoops::meaning(const Value& v, const Index& at, CBlock& block) {
  const Node& node = v.node();
  if (node.op->source) return element(v, at);
  if (is(node, "constant")) {
    const double value = node.real("value");
    return {c_number(value), std::signbit(value) ? Binding::kUnary : Binding::kAtom};
  }
  if (is(node, "arange")) return {fmt::format("(real){}", at[0]), Binding::kUnary};
  if (node.op->elementwise) return elementwise(node, at, block);
  if (is(node, "matmul")) return product(node, at, block);
  if (is(node, "sum") || is(node, "mean") || is(node, "max")) return reduction(node, at, block);
  return view(node, at, block);
}

CLoops::Expression CLoops::view(const Node& node, const Index& at, CBlock& block) {
  const Value x = node.inputs[0];
  const Shape& shape = x.shape();
  if (is(node, "one_hot")) {
    const std::string label = read(x, Index(at.begin(), at.end() - 1), block).text;
    return {fmt::format("(real)({} == {})", label, at.back())};
  }
  Index from(shape.size(), "0");
  if (is(node, "broadcast_to")) {
    const std::size_t leading = at.size() - shape.size();
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] != 1) from[i] = at[i + leading];
    }
  } else if (is(node, "transpose")) {
    const std::vector<std::int64_t>& permutation = node.integers("permutation");
    for (std::size_t i = 0; i < at.size(); ++i) {
      from[static_cast<std::size_t>(permutation[i])] = at[i];
    }
  } else if (is(node, "slice")) {
    for (std::size_t i = 0; i < at.size(); ++i) from[i] = sum_of(at[i], node.integers("starts")[i]);
  } else if (is(node, "reshape") && keeps_axes(node)) {
    std::size_t next = 0;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) continue;
      while (node.types[0].shape[next] == 1) ++next;
      from[i] = at[next++];
    }
  } else if (is(node, "gather")) {
    const auto rank = static_cast<std::ptrdiff_t>(node.inputs[1].shape().size());
    from = {read(node.inputs[1], Index(at.begin(), at.begin() + rank), block).text};
    from.insert(from.end(), at.begin() + rank, at.end());
  } else {
    throw Error(
        fmt::format("{} {} cannot be written in C", node.op->name, text_name(node.output())));
  }
  return read(x, from, block);
}

// Calls, casts and what stands in parentheses are atoms; their arguments need parentheses behind a
// sign or a cast alone.
std::string CLoops::operand(const Expression& e, Binding outer, bool first, char before) {
  const bool binary = outer == Binding::kSum || outer == Binding::kProduct;
  const bool is_bare = outer >= Binding::kPower
                           ? e.binding >= Binding::kPower || (before != '-' && before != ')')
                           : e.binding > outer || (binary && e.binding == outer && first);
  return is_bare && (first || e.text[0] != '-') ? e.text : "(" + e.text + ")";
}

// x * 0.333… is how the compiler likes it; x / 3 is how a person does.
CLoops::Expression CLoops::scaled(const Expression& x, double factor) {
  const double inverse = 1 / factor;
  const bool is_short = fmt::format("{}", factor).size() < 8;
  const std::string text = operand(x, Binding::kProduct, true, ' ');
  if (!is_short && std::abs(inverse - std::round(inverse)) < 1e-9 * std::abs(inverse)) {
    return {fmt::format("{} / {}", text, c_number(std::round(inverse))), Binding::kProduct, false};
  }
  const bool is_product = x.binding == Binding::kProduct;
  return {fmt::format("{} * {}", c_number(factor), is_product ? "(" + text + ")" : text),
          Binding::kProduct, false};
}

CLoops::Expression CLoops::elementwise(const Node& node, const Index& at, CBlock& block) {
  auto [pattern, binding] = node.op->c.of(node);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (is(node.inputs[i], "constant")) drop_test_of_number(pattern, i);
  }
  std::vector<Expression> operands;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const auto first = static_cast<std::size_t>(
        std::find(node.inputs.begin(), node.inputs.end(), node.inputs[i]) - node.inputs.begin());
    if (first < i) {
      operands.push_back(operands[first]);
      continue;
    }
    Expression e = read(node.inputs[i], at, block);
    std::size_t uses = 0;
    for (std::size_t k = i; k < node.inputs.size(); ++k) {
      if (node.inputs[k] == node.inputs[i]) uses += count_of(pattern, k);
    }
    if (uses > 1 && !e.is_simple) e = local("x", e.text, block);
    operands.push_back(std::move(e));
  }
  if (is(node, "mul") && is(node.inputs[1], "constant")) {
    return scaled(operands[0], node.inputs[1].node().real("value"));
  }
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      text += pattern[i];
      continue;
    }
    const auto input = static_cast<std::size_t>(pattern[i + 1] - '0');
    text += operand(operands[input], binding, input == 0, text.empty() ? ' ' : text.back());
    i += 2;
  }
  return {text, binding, false};
}

CLoops::Expression CLoops::product(const Node& node, const Index& at, CBlock& block) {
  const bool transpose_a = node.flag("transpose_a");
  const bool transpose_b = node.flag("transpose_b");
  const std::string& m = at[at.size() - 2];
  const std::string& n = at[at.size() - 1];
  const auto factors = [&](const std::string& k, CBlock& inside) {
    Index a(at.begin(), at.end() - 2);
    Index b = a;
    a.insert(a.end(), {transpose_a ? k : m, transpose_a ? m : k});
    b.insert(b.end(), {transpose_b ? n : k, transpose_b ? k : n});
    return fmt::format("{} * {}", read(node.inputs[0], a, inside).text,
                       read(node.inputs[1], b, inside).text);
  };
  const std::int64_t count = node.inputs[0].extent(transpose_a ? -2 : -1);
  if (count == 1) return {factors("0", block), Binding::kProduct, false};
  const std::string total = fresh("total");
  const std::size_t mark = in_use_.size();
  block.add(fmt::format("real {} = 0;", total));
  CBlock* inside = &block;
  const std::string k = open(count, inside);
  inside->add(fmt::format("{} += {};", total, factors(k, *inside)));
  in_use_.resize(mark);
  return {total};
}

CLoops::Expression CLoops::reduction(const Node& node, const Index& at, CBlock& block) {
  const Value x = node.inputs[0];
  const std::vector<std::int64_t>& axes = node.integers("axes");
  std::int64_t count = 1;
  for (const std::int64_t axis : axes) count *= x.extent(axis);
  const bool is_max = is(node, "max");
  const std::string total = count == 1 ? "" : fresh(is_max ? "top" : "total");
  const std::size_t mark = in_use_.size();
  if (count > 1) block.add(fmt::format("real {} = {};", total, is_max ? "-INFINITY" : "0"));
  CBlock* inside = &block;
  Index from;
  std::size_t next = 0;
  for (std::size_t i = 0; i < x.shape().size(); ++i) {
    const bool is_reduced = contains(axes, i);
    from.push_back(is_reduced ? open(x.shape()[i], inside) : at[next]);
    if (!is_reduced || node.flag("keep_axes")) ++next;
  }
  Expression e = read(x, from, *inside);
  if (count == 1) return e;
  if (!is_max) {
    inside->add(fmt::format("{} += {};", total, e.text));
  } else {
    if (!e.is_simple) e = local("x", e.text, *inside);
    inside->add(fmt::format("{0} = isnan({0}) || {0} > {1} ? {0} : {1};", total, e.text));
  }
  in_use_.resize(mark);
  if (is(node, "mean")) return {fmt::format("{} / {}", total, count), Binding::kProduct, false};
  return {total};
}

// ── whole arrays ─────────────────────────────────────────────────────────────

void CLoops::compute(const Value& v, CBlock& block) {
  in_use_.clear();
  const Node& node = v.node();
  const std::string& target = names_[static_cast<std::size_t>(node.id)];
  if (is(node, "argmax")) return argmax(node, target, block);
  if (is(node, "concatenate")) return concatenate(node, target, block);
  if (is(node, "pad")) return pad(node, target, block);
  if (is(node, "scatter_add")) return scatter_add(node, target, block);
  if (is(node, "unfold") || is(node, "fold")) return windows(node, target, block);
  if (is(node, "reshape") && !keeps_axes(node)) {
    block.add(
        fmt::format("memcpy({0}, {1}, sizeof {0});", target, element(node.inputs[0], {}).text));
    return;
  }
  assign(target, v, block);
}

void CLoops::compute_into(const std::string& target, const Value& v, CBlock& block) {
  in_use_.clear();
  if (plan_.place(v) == CPlace::kNone) return assign(target, v, block);
  const std::string source = element(v, {}).text;
  block.add(v.shape().empty() ? fmt::format("{} = {};", target, source)
                              : fmt::format("memcpy({0}, {1}, sizeof {0});", target, source));
}

void CLoops::assign(const std::string& target, const Value& v, CBlock& block) {
  CBlock* inside = &block;
  const Index at = open_all(v.shape(), inside);
  const Node& node = v.node();
  // w = w - 0.01 * dw is w -= 0.01 * dw.
  const bool is_step = (is(node, "sub") || is(node, "add")) && node.inputs[0].node().op->source &&
                       element(node.inputs[0], {}).text == target;
  const Expression e = is_step ? read(node.inputs[1], at, *inside) : meaning(v, at, *inside);
  inside->add(fmt::format("{} {} {};", c_element(target, at),
                          !is_step          ? "="
                          : is(node, "sub") ? "-="
                                            : "+=",
                          bare(e.text)));
}

void CLoops::argmax(const Node& node, const std::string& target, CBlock& block) {
  const Value x = node.inputs[0];
  CBlock* inside = &block;
  const Index at = open_all(node.types[0].shape, inside);
  const std::string best = fresh("best");
  inside->add(fmt::format("int32_t {} = 0;", best));
  CBlock* row = inside;
  Index from = at;
  from.push_back(open(x.extent(-1), row));
  const std::string candidate = read(x, from, *row).text;
  const std::string index = from.back();
  from.back() = best;
  const std::string top = read(x, from, *row).text;
  // Not a number counts as the largest, as in NumPy.
  row->add(fmt::format("if ({0} > {1} || (isnan({0}) && !isnan({1}))) {2} = {3};", candidate, top,
                       best, index));
  inside->add(fmt::format("{} = {};", c_element(target, at), best));
}

void CLoops::concatenate(const Node& node, const std::string& target, CBlock& block) {
  const auto axis = static_cast<std::size_t>(node.integer("axis"));
  std::int64_t offset = 0;
  for (const Value& x : node.inputs) {
    in_use_.clear();
    CBlock* inside = &block;
    const Index at = open_all(x.shape(), inside);
    Index to = at;
    to[axis] = sum_of(at[axis], offset);
    const std::string text = read(x, at, *inside).text;
    inside->add(fmt::format("{} = {};", c_element(target, to), text));
    offset += x.shape()[axis];
  }
}

void CLoops::pad(const Node& node, const std::string& target, CBlock& block) {
  const Value x = node.inputs[0];
  block.add(fmt::format("memset({0}, 0, sizeof {0});", target));
  CBlock* inside = &block;
  const Index at = open_all(x.shape(), inside);
  Index to;
  for (std::size_t i = 0; i < at.size(); ++i) {
    to.push_back(sum_of(at[i], node.integers("before")[i]));
  }
  const std::string text = read(x, at, *inside).text;
  inside->add(fmt::format("{} = {};", c_element(target, to), text));
}

void CLoops::scatter_add(const Node& node, const std::string& target, CBlock& block) {
  const Value x = node.inputs[0];
  const Value indices = node.inputs[1];
  block.add(fmt::format("memset({0}, 0, sizeof {0});", target));
  CBlock* inside = &block;
  const Index at = open_all(x.shape(), inside);
  const auto rank = static_cast<std::ptrdiff_t>(indices.shape().size());
  Index to = {read(indices, Index(at.begin(), at.begin() + rank), *inside).text};
  to.insert(to.end(), at.begin() + rank, at.end());
  const std::string text = read(x, at, *inside).text;
  inside->add(fmt::format("{} += {};", c_element(target, to), text));
}

// unfold copies the pixels under each window into a row; fold adds such rows up into an image.
void CLoops::windows(const Node& node, const std::string& target, CBlock& block) {
  const Window w = window_of(node);
  const bool folds = is(node, "fold");
  const Shape& image = folds ? node.types[0].shape : node.inputs[0].shape();
  const Shape& rows = folds ? node.inputs[0].shape() : node.types[0].shape;
  if (folds) block.add(fmt::format("memset({0}, 0, sizeof {0});", target));
  CBlock* inside = &block;
  const Index at = open_all({rows[0], rows[1], rows[2], w.kernel[0], w.kernel[1]}, inside);
  const auto pixel = [&](const std::string& wanted, std::size_t axis) {
    std::string name = fresh(wanted);
    inside->add(fmt::format("const int {} = {} * {} + {} * {} - {};", name, at[axis + 1],
                            w.stride[axis], at[axis + 3], w.dilation[axis], w.before[axis]));
    return name;
  };
  const std::string row = pixel("row", 0);
  const std::string column = pixel("column", 1);
  CBlock* channels = inside;
  const std::string c = open(image[3], channels);
  const Index in_image = {at[0], row, column, c};
  const Index in_rows = {
      at[0], at[1], at[2],
      fmt::format("({} * {} + {}) * {} + {}", at[3], w.kernel[1], at[4], image[3], c)};
  const std::string is_inside = fmt::format("{0} >= 0 && {0} < {1} && {2} >= 0 && {2} < {3}", row,
                                            image[1], column, image[2]);
  const std::string x = read(node.inputs[0], folds ? in_rows : in_image, *channels).text;
  channels->add(folds ? fmt::format("if ({}) {} += {};", is_inside, c_element(target, in_image), x)
                      : fmt::format("{} = {} ? {} : {};", c_element(target, in_rows), is_inside, x,
                                    c_number(node.real("outside"))));
}

}  // namespace chainrule
