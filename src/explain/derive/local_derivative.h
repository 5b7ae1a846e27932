// The derivative of one named value by another that it is made of, in pieces that a person can
// follow.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "chainrule/derivation.h"
#include "chainrule/graph.h"
#include "graph/value_map.h"
#include "notation/notation.h"

namespace chainrule {

/// A value in a notation: by its name, unless that is `own` or there is none, and else its formula.
std::string written(const Value& v, Notation notation, const std::string& own);
/// The same as mathematics.
MathText in_mathematics(const Value& v, const std::string& own);

/// "∂above/∂below".
std::string fraction(const std::string& above, const std::string& below);

/// Adds to `term` the local derivatives between `v` and `reader`, from the reader inwards, and the
/// reasons that the ops in between give.
///
/// requires  no named values lie between the two.
void add_local(const Value& v, const Value& reader, ChainTerm& term);

}  // namespace chainrule
