// A graph as lines of Python, each with a name that says what it is for.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "chainrule/graph.h"
#include "notation/notation.h"

namespace chainrule {

struct CodeLine {
  std::string name;  // "dZ1"
  std::string text;  // "dZ1 = dA1 * (Z1 > 0)"
  Shape shape;
  bool backward = false;  // part of a gradient
};

struct CodeStyle {
  Notation notation = Notation::kNumpy;
  std::function<Pattern(const Node&)> respell = nullptr;  // see Writer
  std::set<std::string> taken = {};                       // no new name may be one of these
};

/// The lines that compute all named values and outputs of the graph, in an order in which they can
/// be run. A value that several lines mention and that has no name gets one, such as dZ2_sum, and
/// its line stands before the first that mentions it.
///
/// requires  the graph is spelled out in that notation.
std::vector<CodeLine> code_lines(Graph& graph, CodeStyle style);

}  // namespace chainrule
