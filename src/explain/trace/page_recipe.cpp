// Recognises in the graph how a single number of a value is computed from numbers of named values,
// so that the page can put them into the formula.
#include <optional>
#include <set>
#include <string>

#include "explain/trace/page.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// Stretching and casting leave each number as it is.
Value seen_through(Value v) {
  while (v.name().empty() && v.node().op->formula.of(v.node()).text == "{0}")
    v = v.node().inputs[0];
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

// One part of a sum: a product of named matrices, a sum over rows, a bias, or a value as it is.
Json unnamed_part(const Value& v, const Shape& shape) {
  if (is(v, "matmul") && shape.size() == 2) {
    const std::optional<Factor> a = factor(v.node().inputs[0]);
    const std::optional<Factor> b = factor(v.node().inputs[1]);
    if (!a || !b) return nullptr;
    return {{"kind", "product"},
            {"a", a->name},
            {"at", a->transposed},
            {"b", b->name},
            {"bt", b->transposed}};
  }
  if (is(v, "sum") && v.node().integers("axes") == std::vector<std::int64_t>{0}) {
    const Value rows = seen_through(v.node().inputs[0]);
    if (!rows.name().empty()) return {{"kind", "rows"}, {"of", rows.name()}};
  }
  return nullptr;
}

Json part(const Value& given, const Shape& shape) {
  const Value v = seen_through(given);
  if (v.name().empty()) return unnamed_part(v, shape);
  if (v.shape() == shape) return {{"kind", "same"}, {"of", v.name()}};
  if (v.shape().size() == 1 && v.shape()[0] == shape.back()) {
    return {{"kind", "bias"}, {"of", v.name()}};
  }
  return nullptr;
}

// Collects the parts of nested sums; false when one of them is something else.
bool parts_of(const Value& given, const Shape& shape, bool top, Json& parts) {
  const Value v = top ? given : seen_through(given);
  if (is(v, "add") && (top || v.name().empty())) {
    return parts_of(v.node().inputs[0], shape, false, parts) &&
           parts_of(v.node().inputs[1], shape, false, parts);
  }
  // The value itself has a name, but is looked into.
  const Json found = top ? unnamed_part(v, shape) : part(v, shape);
  if (found.is_null()) return false;
  parts.push_back(found);
  return true;
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

Json elementwise(const Value& value) {
  std::set<std::string> names;
  if (!elementwise_leaves(value, value.shape(), true, names)) return nullptr;
  return {{"op", "elementwise"}, {"of", names}};
}

Json of_one(const char* op, const Value& input) {
  const Value v = seen_through(input);
  if (v.name().empty()) return nullptr;
  return {{"op", op}, {"of", v.name()}};
}

}  // namespace

Json page_recipe(const TraceValue& traced) {
  const Value& value = traced.value;
  const Node& node = value.node();
  if (node.op->source || traced.name != value.name()) return nullptr;
  if (is(node, "softmax")) return of_one("softmax", node.inputs[0]);
  if (Json found = elementwise(value); !found.is_null()) return found;
  Json parts = Json::array();
  if (!value.shape().empty() && parts_of(value, value.shape(), true, parts)) {
    return {{"op", "terms"}, {"parts", parts}};
  }
  return nullptr;
}

}  // namespace chainrule
