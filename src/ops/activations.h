// Functions of one number that networks use between their layers. A row of this table is all that
// an activation without options needs: the layer of its name, NumPy programs, initial weights and
// the page follow from it.
#pragma once

#include <span>
#include <string_view>

#include "chainrule/ops.h"

namespace chainrule {

struct Activation {
  std::string_view name;  // of the layer, and of the function in NumPy programs
  Value (*function)(Value);
  std::string_view meaning;  // "y = max(x, 0)"
  // For someone who is learning: what happens on the way there and on the way back. {in} and {out}
  // stand for the names of its input and output.
  std::string_view forward;
  std::string_view backward;
  // Of the weights before it: √2 where half of the numbers are cut off (He et al., 2015), 1 for
  // selu; 0 where Glorot's initialisation suits.
  double gain = 0;
  std::string_view also = {};       // another name in NumPy programs
  Value (*slope)(Value) = nullptr;  // its derivative as people write it; by default as derived
};

std::span<const Activation> activations();

/// throws  UsageError with the names that there are, for a name that is none of them.
const Activation& find_activation(std::string_view name);

}  // namespace chainrule
