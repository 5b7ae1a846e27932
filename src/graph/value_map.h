// Values as the keys of maps and sets.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "chainrule/graph.h"

namespace chainrule {

/// The order in which a graph computes its values, which is no matter of chance as that of pointers is.
///
/// requires  both are values, of one graph.
struct ValueOrder {
  bool operator()(const Value& a, const Value& b) const {
    return std::pair(a.node().id, a.index()) < std::pair(b.node().id, b.index());
  }
};

template <typename T>
using ValueMap = std::map<Value, T, ValueOrder>;
using ValueSet = std::set<Value, ValueOrder>;

}  // namespace chainrule
