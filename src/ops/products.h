// The transposed form of the matrix product, which only the compiler writes.
#pragma once

#include "chainrule/graph.h"

namespace chainrule {

/// y = op(a)·op(b), where op transposes the last two axes when its flag is set.
Value matmul_transposed(Value a, bool transpose_a, Value b, bool transpose_b);

}  // namespace chainrule
