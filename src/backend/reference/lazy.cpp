// Evaluation on demand: the nodes that are needed and not known yet, in the order of the graph.
#include "backend/reference/lazy.h"

#include <algorithm>

namespace chainrule {

const Array& LazyEvaluation::value(Value v, const TensorMap& feed) {
  if (is_known(v.node().id)) return known_[static_cast<std::size_t>(v.node().id)][v.index()];
  if (known_.size() < graph_.nodes().size()) known_.resize(graph_.nodes().size());
  std::vector<std::int64_t> needed;
  std::vector<std::int64_t> open{v.node().id};
  std::vector<bool> seen(static_cast<std::size_t>(v.node().id) + 1, false);
  while (!open.empty()) {
    const std::int64_t id = open.back();
    open.pop_back();
    if (seen[static_cast<std::size_t>(id)] || is_known(id)) continue;
    seen[static_cast<std::size_t>(id)] = true;
    needed.push_back(id);
    for (const Value& input : graph_.nodes()[static_cast<std::size_t>(id)].inputs) {
      open.push_back(input.node().id);
    }
  }
  std::sort(needed.begin(), needed.end());
  for (const std::int64_t id : needed) {
    const auto i = static_cast<std::size_t>(id);
    const Node& node = graph_.nodes()[i];
    if (node.op->source) {
      known_[i] = {fed(node, feed)};
      continue;
    }
    std::vector<const Array*> in;
    for (const Value& input : node.inputs) {
      in.push_back(&known_[static_cast<std::size_t>(input.node().id)][input.index()]);
    }
    known_[i] = computed_by(node, in);
  }
  return known_[static_cast<std::size_t>(v.node().id)][v.index()];
}

void LazyEvaluation::forget(std::int64_t first) {
  for (auto i = static_cast<std::size_t>(first); i < known_.size(); ++i) known_[i].clear();
}

}  // namespace chainrule
