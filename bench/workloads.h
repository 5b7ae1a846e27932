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
  Tensor x;                      // [batches, B, …] f32 or i32
  Tensor t;                      // [batches, B] or [batches, B, T] i32
};

/// conv3×3 32, ReLU, pool, conv3×3 64, ReLU, pool, linear 128, ReLU, linear 10; 28×28, batch 64,
/// Adam.
Workload make_lenet();
/// CIFAR's ResNet-20 with batch norm on 32×32×3, batch 128, SGD with momentum.
Workload make_resnet20();
/// Vocabulary 65, embedding 64, LSTM 256, 64 steps, batch 32, Adam, gradients clipped to norm 1.
Workload make_char_lstm();
/// GPTs with vocabulary 65, AdamW: 4 layers, 4 heads, 128 wide, 64 steps, batch 12; and 6 layers, 6
/// heads, 384 wide, 256 steps, batch 8.
Workload make_gpt_small();
Workload make_gpt_medium();

/// "notebook", "mlp-small", …
std::vector<std::string> workload_names();

/// throws  UsageError listing the names when there is none of that name.
Workload make_workload(const std::string& name);

}  // namespace chainrule::bench
