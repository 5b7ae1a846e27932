// The plan of a C program. An elementwise value with a single reader and no name becomes part of
// its reader's loop, and so does a sum or a product; transposes, broadcasts and slices are ways of
// indexing. What would be computed more than once, and what the user named, gets an array.
#include "explain/emit/c_plan.h"

#include <algorithm>
#include <set>

#include "graph/op.h"

namespace chainrule {
namespace {

// Several reads of one element, as in a product of matrices.
constexpr int kMany = 2;

bool is_one_of(const Node& node, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](auto name) { return is(node, name); });
}

// Only another way to index.
bool is_view(const Node& node) {
  return is_one_of(node, {"broadcast_to", "transpose", "slice", "gather", "one_hot"}) ||
         (is(node, "reshape") && keeps_axes(node));
}

// One element is an expression, perhaps after a loop of its own.
bool is_expression(const Node& node) {
  return node.op->elementwise || is_one_of(node, {"matmul", "sum", "mean", "max"});
}

// How often `node` reads each element of its input i while it makes each of its own once.
int reads_of_input(const Node& node, std::size_t i) {
  const bool repeats = is_one_of(node, {"matmul", "argmax", "gather", "one_hot", "unfold"}) ||
                       (is(node, "scatter_add") && i == 1) ||
                       (is(node, "broadcast_to") &&
                        element_count(node.types[0].shape) > element_count(node.inputs[i].shape()));
  return repeats ? kMany : 1;
}

// memcpy wants an array, and so does whatever is not read by index.
bool wants_array(const Node& reader) { return is(reader, "reshape") && !keeps_axes(reader); }

class Planner {
 public:
  explicit Planner(const Graph& graph) : graph_(graph) {
    const std::size_t count = graph.nodes().size();
    plan_.places.assign(count, CPlace::kNone);
    plan_.phases.assign(count, CPhase::kForward);
    reads_.assign(count, 0);
    kept_.assign(count, false);
  }

  CPlan plan() {
    set_phases();
    for (const auto& [name, value] : graph_.outputs()) kept_[id(value)] = true;
    for (const auto& [parameter, next] : graph_.updates()) ++reads_[id(next)];
    keep_deep_ones();
    for (std::size_t i = graph_.nodes().size(); i-- > 0;) place(graph_.nodes()[i]);
    for (const auto& [parameter, next] : graph_.updates()) {
      const bool in_place = can_be_in_place(parameter, next);
      plan_.in_place.push_back(in_place);
      if (!in_place && plan_.place(next) == CPlace::kNone) plan_.places[id(next)] = CPlace::kArray;
    }
    return std::move(plan_);
  }

 private:
  static std::size_t id(const Value& v) { return static_cast<std::size_t>(v.node().id); }

  // What gradient() made carries a note. What stands on that without a note belongs to the update,
  // and so does what only the update needs.
  void set_phases() {
    std::vector<bool> needed(graph_.nodes().size(), false);
    for (const auto& [name, value] : graph_.outputs()) needed[id(value)] = true;
    for (std::size_t i = graph_.nodes().size(); i-- > 0;) {
      const Node& node = graph_.nodes()[i];
      if (!node.note.empty()) needed[i] = true;
      if (!needed[i]) continue;
      for (const Value& input : node.inputs) needed[id(input)] = true;
    }
    for (const Node& node : graph_.nodes()) {
      const auto i = static_cast<std::size_t>(node.id);
      CPhase& phase = plan_.phases[i];
      if (!node.note.empty()) {
        phase = CPhase::kBackward;
      } else if (!needed[i] && !node.op->source) {
        phase = CPhase::kUpdate;
      } else {
        for (const Value& input : node.inputs) phase = std::max(phase, plan_.phase(input));
      }
    }
  }

  // A long chain of expressions in each other would be hard to read, and to write.
  void keep_deep_ones() {
    constexpr std::size_t kDeepest = 50;
    std::vector<std::size_t> depths;
    for (const Node& node : graph_.nodes()) {
      std::size_t depth = 0;
      for (const Value& input : node.inputs) depth = std::max(depth, depths[id(input)] + 1);
      const auto i = static_cast<std::size_t>(node.id);
      const bool is_constant = node.inputs.empty() && !node.op->source;
      if (depth >= kDeepest && !is_constant) kept_[i] = true;
      depths.push_back(kept_[i] || !node.names[0].empty() ? 0 : depth);
    }
  }

  void place(const Node& node) {
    const auto i = static_cast<std::size_t>(node.id);
    CPlace& place = plan_.places[i];
    if (node.op->source) {
      place = CPlace::kSource;
      return;
    }
    const bool named = kept_[i] || !node.names[0].empty();
    if (is(node, "constant") || is_view(node)) {
      place = named ? CPlace::kArray : CPlace::kNone;
    } else {
      place = named || !is_expression(node) || reads_[i] > 1 ? CPlace::kArray : CPlace::kNone;
    }
    const int own = place == CPlace::kArray ? 1 : reads_[i];
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      // x * x reads x once, into a local.
      const auto first = std::find(node.inputs.begin(), node.inputs.end(), node.inputs[k]);
      if (node.op->elementwise && first != node.inputs.begin() + static_cast<std::ptrdiff_t>(k)) {
        continue;
      }
      reads_[id(node.inputs[k])] += own * reads_of_input(node, k);
      if (wants_array(node)) kept_[id(node.inputs[k])] = true;
    }
  }

  // p[i] = f(p[i], …) may overwrite p when f reads p at i alone, and no parameter that another
  // update may have overwritten.
  bool can_be_in_place(const Value& parameter, const Value& next) const {
    if (plan_.place(next) != CPlace::kNone) return false;
    return reads_only(next, parameter, true);
  }

  bool reads_only(const Value& v, const Value& parameter, bool same_index) const {
    if (plan_.place(v) == CPlace::kArray) return true;
    if (plan_.place(v) == CPlace::kSource) {
      if (v == parameter) return same_index;
      return std::none_of(graph_.updates().begin(), graph_.updates().end(),
                          [&](const auto& update) { return update.first == v; });
    }
    const std::vector<Value>& inputs = v.node().inputs;
    return std::all_of(inputs.begin(), inputs.end(), [&](const Value& input) {
      return reads_only(input, parameter, same_index && v.node().op->elementwise);
    });
  }

  const Graph& graph_;
  CPlan plan_;
  std::vector<int> reads_;
  std::vector<bool> kept_;  // has an array whatever it is
};

}  // namespace

bool keeps_axes(const Node& reshape) {
  const auto longer_axes = [](Shape shape) {
    shape.erase(std::remove(shape.begin(), shape.end(), 1), shape.end());
    return shape;
  };
  return longer_axes(reshape.inputs[0].shape()) == longer_axes(reshape.types[0].shape);
}

CPlan plan_c(const Graph& graph) { return Planner(graph).plan(); }

}  // namespace chainrule
