// Which plan computes which product op.
#pragma once

#include <memory>

#include "backend/cpu/kernels/matmul.h"
#include "chainrule/graph.h"

namespace chainrule::cpu {

/// The rows and columns of a matmul node as the product sees them; leading batch axes are left out.
MatmulShape matmul_shape(const Node& node);

/// The plan for a node whose op is a product.
///
/// throws  Error when the CPU has none.
std::shared_ptr<const ProductPlan> make_product_plan(const Node& node);

}  // namespace chainrule::cpu
