// The workloads of chainrule-bench: a training step as a graph, its first weights, and its batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chainrule/graph.h"
#include "chainrule/reference.h"

namespace chainrule::bench {

struct Workload {
  std::unique_ptr<Graph> graph;  // inputs x, t, step; output loss
  TensorMap parameters;          // w1, b1, …, and the optimiser's states
  Tensor x;                      // [batches, B, …] f32
  Tensor t;                      // [batches, B] i32
};

/// "notebook", "mlp-small", …
std::vector<std::string> workload_names();

/// throws  UsageError listing the names when there is none of that name.
Workload make_workload(const std::string& name);

}  // namespace chainrule::bench
