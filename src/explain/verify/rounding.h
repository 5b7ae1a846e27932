// How far rounding may take one computation off. No single number says it: a sum that cancels loses
// all its digits, a saturated softmax none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "chainrule/graph.h"
#include "chainrule/reference.h"

namespace chainrule {

/// What rounding may do to the results of a graph, element by element.
struct Rounding {
  std::map<std::string, std::vector<double>> outputs;  // by the output's name
  std::map<std::string, std::vector<double>> updates;  // by the parameter's name
};

/// Runs the graph, its macro ops expanded, several times in float64 with an error planted behind
/// every operation that the precision would round, each time with other signs. The errors are some
/// times as large as the roundings themselves, so that one that tips a relu over tips it over here
/// too. What a result moves by is what rounding can make of it: it comes out of the computation's
/// own condition.
///
/// feed: as for Evaluation.
Rounding rounding_of(const Graph& graph, const TensorMap& feed, Precision precision);

}  // namespace chainrule
