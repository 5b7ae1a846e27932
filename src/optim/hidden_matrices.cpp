// A matrix is followed through ops of one input, such as a transpose, to the products it is part
// of; from each of those the walk goes back from the loss and asks what multiplies later.
#include "optim/hidden_matrices.h"

#include <algorithm>

#include "graph/op.h"

namespace chainrule {
namespace {

constexpr std::int64_t kNone = -1;

std::size_t id_of(const Node& node) { return static_cast<std::size_t>(node.id); }

// The forward pass as far as weights are concerned.
class Products {
 public:
  Products(Value loss, const std::vector<Value>& parameters)
      : nodes_(loss.graph().nodes()), count_(id_of(loss.node()) + 1), weight_(count_, kNone) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::size_t id = id_of(parameters[i].node());
      if (parameters[i].shape().size() >= 2 && id < count_) {
        weight_[id] = static_cast<std::int64_t>(i);
      }
    }
    for (std::size_t id = 0; id < count_; ++id) {
      if (nodes_[id].inputs.size() != 1) continue;
      weight_[id] = weight_[id_of(nodes_[id].inputs[0].node())];
    }
  }

  bool is_hidden(std::int64_t weight) const {
    std::vector<bool> followed(count_, false);  // by a product with another weight
    bool used = false;
    for (std::size_t id = count_; id-- > 0;) {
      const Node& node = nodes_[id];
      const bool multiplies = multiplies_by(node, [&](std::int64_t w) { return w == weight; });
      if (multiplies && !followed[id]) return false;
      used = used || multiplies;
      const bool leads_on = followed[id] || multiplies_by(node, [&](std::int64_t w) {
                              return w != weight && w != kNone;
                            });
      if (!leads_on) continue;
      for (const Value& input : node.inputs) followed[id_of(input.node())] = true;
    }
    return used;
  }

 private:
  // A recurrent op multiplies too, at each of its steps.
  template <typename F>
  bool multiplies_by(const Node& node, F is_wanted) const {
    if (!node.op->product && node.op->gates.empty()) return false;
    return std::any_of(node.inputs.begin(), node.inputs.end(),
                       [&](const Value& input) { return is_wanted(weight_[id_of(input.node())]); });
  }

  const std::deque<Node>& nodes_;
  std::size_t count_;
  std::vector<std::int64_t> weight_;  // of each node: which weight it is, in some other form
};

}  // namespace

std::vector<bool> hidden_matrices(Value loss, const std::vector<Value>& parameters) {
  const Products products(loss, parameters);
  std::vector<bool> hidden;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    hidden.push_back(products.is_hidden(static_cast<std::int64_t>(i)));
  }
  return hidden;
}

}  // namespace chainrule
