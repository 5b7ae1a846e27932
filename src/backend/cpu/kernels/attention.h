// What attention's two directions share on the CPU: the shapes and strides of its arrays, how its
// work is cut into jobs, and the products of its strips. attention.cpp says how it works.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/kernels/instruction.h"
#include "backend/cpu/kernels/matmul_kernels.h"
#include "backend/cpu/kernels/move.h"
#include "backend/cpu/kernels/pass.h"

namespace chainrule::cpu {

/// The instruction for a node attention_backward.
InstructionPtr lower_attention_backward(const Binding& binding);

namespace attention_parts {

inline constexpr std::int64_t kStripRows = 12;
inline constexpr std::int64_t kChunk = 256;
inline constexpr std::int64_t kGroup = 4 * kStripRows;  // keys whose part of dq is added at once
inline constexpr std::int64_t kVector = 16;
inline constexpr std::int64_t kFetchAhead = 2 * kVector;  // rows
inline constexpr std::int64_t kNearFloats = std::int64_t{1} << 17;
inline constexpr std::int64_t kJobsWanted = 16;
inline constexpr std::int64_t kSmallestRange = 128;  // rows: a range transposes what it reads anew
inline constexpr std::int64_t kSmallestJob = std::int64_t{1} << 18;  // multiplications: some µs
inline constexpr double kLog2e = 1.44269504088896341;

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t whole_vectors(std::int64_t columns) {
  return divide_up(columns, kVector) * kVector;
}

struct Extents {
  std::int64_t batch, queries, keys, heads, depth, width;  // depth of q and k, width of v and y
  bool causal;

  std::int64_t lanes() const { return batch * heads; }
  // Whether an array is too large to be in L2 still: its rows are then called for beforehand, some
  // at a time.
  bool far() const { return lanes() * queries * depth > kNearFloats; }
  std::int64_t block() const { return far() ? kVector : kChunk; }
  std::int64_t q_stride() const { return heads * depth; }
  std::int64_t v_stride() const { return heads * width; }
  // Pairs of a query and a key that it reads.
  std::int64_t pairs() const {
    if (!causal) return queries * keys;
    const std::int64_t rising = std::min(queries, keys);
    return rising * (rising + 1) / 2 + (queries - rising) * keys;
  }
  std::int64_t q_at(std::int64_t lane, std::int64_t row) const {
    return (lane / heads * queries + row) * q_stride() + lane % heads * depth;
  }
  std::int64_t k_at(std::int64_t lane, std::int64_t row) const {
    return (lane / heads * keys + row) * q_stride() + lane % heads * depth;
  }
  std::int64_t v_at(std::int64_t lane, std::int64_t row) const {
    return (lane / heads * keys + row) * v_stride() + lane % heads * width;
  }
  std::int64_t y_at(std::int64_t lane, std::int64_t row) const {
    return (lane / heads * queries + row) * v_stride() + lane % heads * width;
  }
};

inline Extents extents_of(const Node& node) {
  const Shape& q = node.inputs[0].shape();
  const Shape& v = node.inputs[2].shape();
  const std::int64_t heads = node.integer("heads");
  std::int64_t batch = 1;
  for (std::size_t i = 0; i + 2 < q.size(); ++i) batch *= q[i];
  return {batch,
          q[q.size() - 2],
          v[v.size() - 2],
          heads,
          q.back() / heads,
          v.back() / heads,
          node.flag("causal")};
}

// Where each batch entry's mask begins, and the stride of its rows: 0 where all queries share one.
struct Mask {
  std::vector<std::int64_t> begins;
  std::int64_t row = 0;
};

inline Mask mask_of(const Operand& mask, const Shape& q) {
  const Shape& shape = mask.shape();
  const std::size_t leading = shape.size() - 2;
  const std::int64_t matrix = shape[leading] * shape[leading + 1];
  Mask made{{0}, shape[leading] == 1 ? 0 : shape[leading + 1]};
  for (std::size_t axis = 0; axis < leading; ++axis) {
    std::vector<std::int64_t> next;
    for (const std::int64_t begin : made.begins) {
      for (std::int64_t i = 0; i < q[axis]; ++i) {
        next.push_back(begin * shape[axis] + (shape[axis] == 1 ? 0 : i));
      }
    }
    made.begins = std::move(next);
  }
  for (std::int64_t& begin : made.begins) begin *= matrix;
  return made;
}

// The cut of all heads' rows, queries or keys, into jobs.
struct Cut {
  std::int64_t units, parts, rows, per_job;

  Cut(const Extents& e, std::int64_t rows_of_head, std::int64_t depth_of_pair)
      : rows(rows_of_head) {
    parts = std::clamp<std::int64_t>(rows / kSmallestRange, 1, divide_up(kJobsWanted, e.lanes()));
    units = e.lanes() * parts;
    const std::int64_t work = e.pairs() / parts * depth_of_pair;
    per_job = std::clamp<std::int64_t>(kSmallestJob / std::max<std::int64_t>(work, 1), 1,
                                       std::max<std::int64_t>(1, units / kJobsWanted));
  }
  std::int64_t begin(std::int64_t part) const { return part * rows / parts; }

  template <typename F>
  void run(const Machine& machine, F f) const {
    machine.pool->run(divide_up(units, per_job), [&](std::int64_t job, int worker) {
      float* const scratch = reinterpret_cast<float*>(machine.scratch_of(worker));
      const std::int64_t end = std::min(units, (job + 1) * per_job);
      for (std::int64_t unit = job * per_job; unit < end; ++unit) f(unit, scratch);
    });
  }
};

struct Matrix {
  const float* data;
  std::int64_t stride;
};

// c (+)= op(a)·b.
struct Multiply {
  MatmulBlockKernel kernel = matmul_block_kernel();

  void operator()(Matrix a, bool transpose_a, Matrix b, float* c, std::int64_t c_stride,
                  std::int64_t rows, std::int64_t columns, std::int64_t k, bool accumulate,
                  float* scratch) const {
    kernel({.a = a.data,
            .b = b.data,
            .c = c,
            .lda = a.stride,
            .ldb = b.stride,
            .ldc = c_stride,
            .rows = rows,
            .columns = columns,
            .k = k,
            .k_block = k,
            .transpose_a = transpose_a,
            .transpose_b = false,
            .copy_a = false,
            .pack_b = false,
            .accumulate = accumulate},
           scratch);
  }
};

// to[c, r] = from[r, c], with zeros up to a whole vector of r.
inline void transpose(Matrix from, std::int64_t rows, std::int64_t columns, float* to,
                      std::int64_t to_stride) {
  const StridedCopy strided({columns, rows}, {1, from.stride}, {to_stride, 1});
  copy(strided, from.data, to, 0, strided.size());
  const std::int64_t padded = whole_vectors(rows);
  if (padded == rows) return;
  for (std::int64_t c = 0; c < columns; ++c) {
    std::fill(to + c * to_stride + rows, to + c * to_stride + padded, 0.0F);
  }
}

// Rows of one head lie too far apart for the hardware to see them coming: without this a head of
// 256 × 64 numbers takes 1.4 times as long.
inline void fetch(Matrix from, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* const row = from.data + r * from.stride;
    for (std::int64_t c = 0; c < columns; c += kVector) __builtin_prefetch(row + c);
  }
}

// Columns of a chunk's arrays, and floats between their rows.
inline std::int64_t chunk_of(std::int64_t columns) { return std::min(columns, kChunk); }
inline std::int64_t stride_of(std::int64_t columns) { return copied_a_stride(chunk_of(columns)); }

}  // namespace attention_parts
}  // namespace chainrule::cpu
