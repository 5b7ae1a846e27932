// Recognises in the graph how a single number of a value is computed from numbers of named values,
// so that the page can put them into the formula.
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "explain/page.h"
#include "graph/op.h"

namespace chainrule {
namespace {

using nlohmann::json;

// Stretching and casting leave each number as it is.
Value seen_through(Value v) {
  while (v.name().empty() && v.node().op->formula == "{0}") v = v.node().inputs[0];
  return v;
}

struct Factor {
  std::string name;
  bool transposed = false;
};

// A named matrix, or its transpose.
std::optional<Factor> factor(const Value& given) {
  const Value v = seen_through(given);
  if (!v.name().empty()) return Factor{v.name(), false};
  if (!is(v, "transpose") || v.shape().size() != 2) return std::nullopt;
  const Value inner = seen_through(v.node().inputs[0]);
  if (inner.name().empty()) return std::nullopt;
  return Factor{inner.name(), true};
}

json product(const Node& node) {
  const std::optional<Factor> a = factor(node.inputs[0]);
  const std::optional<Factor> b = factor(node.inputs[1]);
  if (!a || !b || node.types[0].shape.size() != 2) return nullptr;
  return {{"op", "product"},
          {"a", a->name},
          {"at", a->transposed},
          {"b", b->name},
          {"bt", b->transposed}};
}

json affine(const Node& node) {
  const Value product = seen_through(node.inputs[0]);
  const Value bias = seen_through(node.inputs[1]);
  if (!product.name().empty() || !is(product, "matmul")) return nullptr;
  if (bias.name().empty() || bias.shape().size() != 1) return nullptr;
  const std::optional<Factor> x = factor(product.node().inputs[0]);
  const std::optional<Factor> w = factor(product.node().inputs[1]);
  if (!x || !w || x->transposed || w->transposed) return nullptr;
  return {{"op", "affine"}, {"x", x->name}, {"w", w->name}, {"b", bias.name()}};
}

// Collects the named values under `v`; false where some number depends on more than its
// counterparts.
bool elementwise_leaves(const Value& given, const Shape& shape, bool top,
                        std::set<std::string>& names) {
  const Value v = top ? given : seen_through(given);
  if (is(v, "constant")) return true;
  if (!top && !v.name().empty()) {
    names.insert(v.name());
    const Shape& own = v.shape();
    return own.size() <= shape.size() && std::equal(own.rbegin(), own.rend(), shape.rbegin());
  }
  if (!v.node().op->elementwise) return false;
  for (const Value& input : v.node().inputs) {
    if (!elementwise_leaves(input, shape, false, names)) return false;
  }
  return true;
}

json elementwise(const Value& value) {
  std::set<std::string> names;
  if (!elementwise_leaves(value, value.shape(), true, names)) return nullptr;
  return {{"op", "elementwise"}, {"of", names}};
}

json of_one(const char* op, const Value& input) {
  const Value v = seen_through(input);
  if (v.name().empty()) return nullptr;
  return {{"op", op}, {"of", v.name()}};
}

}  // namespace

json page_recipe(const TraceValue& traced) {
  const Value& value = traced.value;
  const Node& node = value.node();
  if (node.op->source || traced.name != value.name()) return nullptr;
  if (is(node, "matmul")) return product(node);
  if (is(node, "softmax")) return of_one("softmax", node.inputs[0]);
  if (is(node, "sum") && node.integers("axes") == std::vector<std::int64_t>{0}) {
    return of_one("sum", node.inputs[0]);
  }
  if (is(node, "add")) {
    if (json found = affine(node); !found.is_null()) return found;
  }
  return elementwise(value);
}

}  // namespace chainrule
