// One step of a recurrent cell on one tile, some rows by at most 32 units: what comes between the
// matrix products. recurrent.cpp walks along the sequence.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/matmul_kernels.h"

namespace chainrule::cpu {

/// A step forwards. Pointers are at the tile's first element; rows of states lie `stride` apart, as
/// do the gates of one row. A product has a group of kPanelColumns columns for each gate.
struct RecurrentTile {
  std::int64_t rows, units, stride;
  const std::int32_t* lengths;  // of the tile's rows; null: all steps count
  std::int64_t step;
  const float* product;
  std::int64_t product_stride;
  const float* bias;       // a group of kPanelColumns for each of the product's
  const float* before[2];  // the states before the step: h, and c of an lstm
  float* after[2];
  float* gates;  // what the step back will need
  std::int64_t gates_stride;
  float* y;
  std::int64_t y_stride;
  float* operand;  // h after the step once more, as the next product reads it
  std::int64_t operand_stride;
};

/// A step back.
struct RecurrentTileBackward {
  std::int64_t rows, units, stride;
  const std::int32_t* lengths;
  std::int64_t step;
  const float* gates;
  std::int64_t gates_stride;
  const float* before;  // the saved state that the cell needs, or null
  const float* dy;
  std::int64_t dy_stride;
  const float* product;  // what comes back through wh, kPanelColumns wide; null at the last step
  /// In: the rest of the cotangents of the states after the step; out: of those before it, but for
  /// what the next product brings.
  float* carry[2];
  float* arguments[2];  // cotangents of the gates' arguments, `stride` apart; may lie over gates
  std::int64_t arguments_stride;
  float* sums[2];  // of the arguments over rows: groups of kPanelColumns, to which it adds
  float* operand;  // those that the next product reads, once more
  std::int64_t operand_stride;
};

using RecurrentKernel = void (*)(const RecurrentTile& tile);
using RecurrentKernelBackward = void (*)(const RecurrentTileBackward& tile);

/// The formulas stand with the ops.
struct RecurrentKernels {
  RecurrentKernel forward;
  RecurrentKernelBackward backward;
};
RecurrentKernels rnn_tanh_kernels();
RecurrentKernels rnn_relu_kernels();
RecurrentKernels lstm_kernels();
RecurrentKernels gru_kernels();

}  // namespace chainrule::cpu
