// Where each value of a graph lives in a C program: in an array of its own, or nowhere, as part of
// the expression that reads it.
#pragma once

#include <string>
#include <vector>

#include "chainrule/graph.h"

namespace chainrule {

enum class CPlace {
  kNone,    // a number, or an expression inside the one loop that reads it
  kSource,  // an input's or parameter's array
  kArray,   // computed into an array
};

enum class CPhase { kForward, kBackward, kUpdate };

struct CPlan {
  std::vector<CPlace> places;  // by node
  std::vector<CPhase> phases;  // by node
  /// For each update of the graph: the parameter can be overwritten element by element.
  std::vector<bool> in_place;

  CPlace place(const Value& v) const { return places[static_cast<std::size_t>(v.node().id)]; }
  CPhase phase(const Value& v) const { return phases[static_cast<std::size_t>(v.node().id)]; }
};

/// requires  macro ops expanded; every node has one output.
CPlan plan_c(const Graph& graph);

/// True when a reshape only adds or drops axes of extent 1.
bool keeps_axes(const Node& reshape);

}  // namespace chainrule
