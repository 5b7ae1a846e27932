// Recurrent layers on the CPU. A step is one job of the thread pool: a chunk of it owns some units
// of the hidden state, so it can multiply their columns of all gates, [xₜ, hₜ₋₁]·[wx; wh], and
// apply the gates while the products are in L1. Backwards a chunk owns units as well: first what
// comes back to them through wh, then their gates' derivatives.
//
// Weights are packed once a run into panels of kPanelColumns columns, in which the walk then reads
// them T times. What products read as rows lies a padded stride apart (see copied_a_stride).
#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels/instruction.h"
#include "backend/cpu/kernels/move.h"
#include "backend/cpu/kernels/pass.h"
#include "backend/cpu/kernels/recurrent_kernels.h"
#include "backend/cpu/kernels/reduce.h"

namespace chainrule::cpu {
namespace {

constexpr std::int64_t kPanel = kPanelColumns;
constexpr std::int64_t kLongestK = 1024;  // as in matmul.cpp
constexpr std::int64_t kMostRows = 48;    // of a chunk: its products then fit into L1
constexpr int kMostGroups = 4;

// ── what tells the cells apart ───────────────────────────────────────────────

// The columns of a group of products: which gate of wx and of wh, −1 for none.
struct Group {
  int of_input;
  int of_state;
};

struct Cell {
  RecurrentKernels (*kernels)();
  std::size_t states;
  std::size_t biases;
  std::int64_t gates;  // of wx and wh
  std::int64_t saved_gates;
  std::size_t saved_states;  // that the step back reads
  std::size_t arguments;     // outputs of the step back
  int groups;
  Group group[kMostGroups];
};

constexpr Cell kRnnTanh{rnn_tanh_kernels, 1, 1, 1, 1, 0, 1, 1, {{0, 0}}};
constexpr Cell kRnnRelu{rnn_relu_kernels, 1, 1, 1, 1, 0, 1, 1, {{0, 0}}};
constexpr Cell kLstm{lstm_kernels, 2, 1, 4, 4, 1, 1, 4, {{0, 0}, {1, 1}, {2, 2}, {3, 3}}};
constexpr Cell kGru{gru_kernels, 1, 2, 3, 4, 1, 2, 4, {{0, 0}, {1, 1}, {2, -1}, {-1, 2}}};

const Cell& rnn_cell(const Node& node) {
  return node.text("activation") == "relu" ? kRnnRelu : kRnnTanh;
}

// ── how a layer is cut ───────────────────────────────────────────────────────

struct Extents {
  std::int64_t rows, steps, features, units;
  bool reverse;

  std::int64_t time(std::int64_t i) const { return reverse ? steps - 1 - i : i; }
  std::int64_t unit_blocks() const { return (units + kPanel - 1) / kPanel; }
  std::int64_t row_blocks() const { return (rows + kMostRows - 1) / kMostRows; }
  std::int64_t chunks() const { return rows == 0 ? 0 : unit_blocks() * row_blocks(); }
  std::int64_t most_rows() const { return row_blocks() == 0 ? 0 : row_begin(row_blocks(), 1); }
  std::int64_t row_begin(std::int64_t all, std::int64_t block) const {
    return (rows * block + all - 1) / all;
  }
};

// Rows by units of a step that one chunk computes.
struct Part {
  std::int64_t block, row, rows, unit, units;
};

Part part_of(const Extents& e, std::int64_t chunk) {
  const std::int64_t block = chunk % e.unit_blocks();
  const std::int64_t row_block = chunk / e.unit_blocks();
  const std::int64_t row = e.row_begin(e.row_blocks(), row_block);
  return {block, row, e.row_begin(e.row_blocks(), row_block + 1) - row, block * kPanel,
          std::min(kPanel, e.units - block * kPanel)};
}

// c (+)= a·panel, for a panel of kPanel columns.
struct PanelProduct {
  MatmulBlockKernel kernel;

  void operator()(const float* a, std::int64_t lda, std::int64_t rows, std::int64_t k,
                  const float* panel, float* c, std::int64_t ldc, bool accumulate) const {
    kernel({.a = a,
            .b = panel,
            .c = c,
            .lda = lda,
            .ldb = kPanel,
            .ldc = ldc,
            .rows = rows,
            .columns = kPanel,
            .k = k,
            .k_block = std::min(k, kLongestK),
            .transpose_a = false,
            .transpose_b = false,
            .copy_a = false,
            .pack_b = false,
            .accumulate = accumulate},
           nullptr);
  }
};

// panel[k, c] = from[k·row_stride + c·column_stride] for c < columns, 0 beyond.
void pack_panel(const float* from, std::int64_t row_stride, std::int64_t column_stride,
                std::int64_t k, std::int64_t columns, float* panel) {
  if (columns < kPanel) std::fill_n(panel, k * kPanel, 0.0F);
  const StridedCopy strided({k, columns}, {row_stride, column_stride}, {kPanel, 1});
  copy(strided, from, panel, 0, strided.size());
}

// ── forwards ─────────────────────────────────────────────────────────────────

class Forward {
 public:
  Forward(const Binding& binding, const Cell& cell)
      : cell_(cell), in_(binding.in), out_(binding.out), kernel_(cell.kernels().forward) {
    const Shape& x = in_[0].shape();
    e_ = {x[0], x[1], x[2], in_[1].shape()[1], binding.node.flag("reverse")};
    for (int g = 0; g < cell.groups; ++g) {
      input_panels_ += cell.group[g].of_input >= 0 ? 1 : 0;
      state_panels_ += cell.group[g].of_state >= 0 ? 1 : 0;
    }
    x_stride_ = copied_a_stride(e_.features);
    h_stride_ = copied_a_stride(e_.units);
    block_floats_ = kPanel * (input_panels_ * e_.features + state_panels_ * e_.units);
    panels_ = pieces_.take(e_.unit_blocks() * block_floats_);
    bias_ = pieces_.take(e_.unit_blocks() * cell.groups * kPanel);
    x_ = pieces_.take(e_.steps * e_.rows * x_stride_);
    h_ = pieces_.take(2 * e_.rows * h_stride_);
  }

  std::size_t shared_bytes() const { return pieces_.bytes(); }
  std::size_t scratch_bytes() const {
    return static_cast<std::size_t>(e_.most_rows() * product_stride()) * sizeof(float);
  }
  double flop() const {
    return 2.0 * static_cast<double>(e_.rows * e_.steps * e_.units) *
           static_cast<double>(input_panels_ * e_.features + state_panels_ * e_.units);
  }

  void operator()(const Machine& machine) const {
    float* const shared = reinterpret_cast<float*>(machine.shared);
    machine.pool->run(e_.unit_blocks(), [&](std::int64_t block, int) { pack(block, shared); });
    machine.pool->run(e_.steps, [&](std::int64_t t, int) { copy_input(t, shared + x_); });
    begin(shared);
    for (std::int64_t i = 0; i < e_.steps; ++i) {
      machine.pool->run(e_.chunks(), [&](std::int64_t chunk, int worker) {
        step(i, part_of(e_, chunk), shared, reinterpret_cast<float*>(machine.scratch_of(worker)));
      });
    }
  }

 private:
  std::int64_t product_stride() const { return cell_.groups * kPanel; }
  const float* weight(std::size_t i) const { return in_[1 + cell_.states + i].f32(); }
  const std::int32_t* lengths() const {
    const std::size_t fixed = 3 + cell_.states + cell_.biases;
    return in_.size() > fixed ? in_[fixed].i32() : nullptr;
  }
  std::int64_t state_floats() const { return e_.rows * e_.units; }
  // The states before each step, as saved for the step back.
  float* before(std::size_t state, std::int64_t t) const {
    return out_[2 + cell_.states + state].f32() + t * state_floats();
  }

  // A block's panels: for each group that of wx, then that of wh; and the sums of the biases.
  void pack(std::int64_t block, float* shared) const {
    const std::int64_t columns = cell_.gates * e_.units;
    const std::int64_t unit = block * kPanel;
    const std::int64_t units = std::min(kPanel, e_.units - unit);
    float* panel = shared + panels_ + block * block_floats_;
    float* const bias = shared + bias_ + block * cell_.groups * kPanel;
    std::fill_n(bias, cell_.groups * kPanel, 0.0F);
    for (int g = 0; g < cell_.groups; ++g) {
      const Group& group = cell_.group[g];
      const auto add_bias = [&](const float* from) {
        for (std::int64_t i = 0; i < units; ++i) bias[g * kPanel + i] += from[i];
      };
      if (group.of_input >= 0) {
        const std::int64_t first = group.of_input * e_.units + unit;
        pack_panel(weight(0) + first, columns, 1, e_.features, units, panel);
        panel += e_.features * kPanel;
        add_bias(weight(2) + first);
      }
      if (group.of_state >= 0) {
        const std::int64_t first = group.of_state * e_.units + unit;
        pack_panel(weight(1) + first, columns, 1, e_.units, units, panel);
        panel += e_.units * kPanel;
        if (cell_.biases > 1) add_bias(weight(3) + first);
      }
    }
  }

  void copy_input(std::int64_t t, float* x) const {
    for (std::int64_t row = 0; row < e_.rows; ++row) {
      std::copy_n(in_[0].f32() + (row * e_.steps + t) * e_.features, e_.features,
                  x + (t * e_.rows + row) * x_stride_);
    }
  }

  void begin(float* shared) const {
    for (std::size_t s = 0; s < cell_.states; ++s) {
      std::copy_n(in_[1 + s].f32(), state_floats(), before(s, e_.time(0)));
    }
    for (std::int64_t row = 0; row < e_.rows; ++row) {
      std::copy_n(in_[1].f32() + row * e_.units, e_.units, shared + h_ + row * h_stride_);
    }
  }

  void step(std::int64_t i, const Part& p, float* shared, float* product) const {
    const std::int64_t t = e_.time(i);
    const float* const x = shared + x_ + (t * e_.rows + p.row) * x_stride_;
    const std::int64_t h_floats = e_.rows * h_stride_;
    const float* const h = shared + h_ + i % 2 * h_floats + p.row * h_stride_;
    float* const next_h = shared + h_ + (i + 1) % 2 * h_floats + p.row * h_stride_;

    const float* panel = shared + panels_ + p.block * block_floats_;
    for (int g = 0; g < cell_.groups; ++g) {
      const Group& group = cell_.group[g];
      float* const c = product + g * kPanel;
      if (group.of_input >= 0) {
        multiply_(x, x_stride_, p.rows, e_.features, panel, c, product_stride(), false);
        panel += e_.features * kPanel;
      }
      if (group.of_state >= 0) {
        multiply_(h, h_stride_, p.rows, e_.units, panel, c, product_stride(), group.of_input >= 0);
        panel += e_.units * kPanel;
      }
    }

    const std::int64_t at = p.row * e_.units + p.unit;
    const std::int64_t gates_stride = cell_.saved_gates * e_.units;
    RecurrentTile tile{};
    tile.rows = p.rows;
    tile.units = p.units;
    tile.stride = e_.units;
    tile.lengths = lengths() == nullptr ? nullptr : lengths() + p.row;
    tile.step = t;
    tile.product = product;
    tile.product_stride = product_stride();
    tile.bias = shared + bias_ + p.block * cell_.groups * kPanel;
    for (std::size_t s = 0; s < cell_.states; ++s) {
      tile.before[s] = before(s, t) + at;
      tile.after[s] = (i + 1 < e_.steps ? before(s, e_.time(i + 1)) : out_[1 + s].f32()) + at;
    }
    tile.gates = out_[1 + cell_.states].f32() + (t * e_.rows + p.row) * gates_stride + p.unit;
    tile.gates_stride = gates_stride;
    tile.y = out_[0].f32() + (p.row * e_.steps + t) * e_.units + p.unit;
    tile.y_stride = e_.steps * e_.units;
    tile.operand = next_h + p.unit;
    tile.operand_stride = h_stride_;
    kernel_(tile);
  }

  const Cell& cell_;
  std::vector<Operand> in_;
  std::vector<Operand> out_;
  RecurrentKernel kernel_;
  PanelProduct multiply_{matmul_block_kernel()};
  Extents e_{};
  std::int64_t input_panels_ = 0;
  std::int64_t state_panels_ = 0;
  std::int64_t x_stride_ = 0;
  std::int64_t h_stride_ = 0;
  std::int64_t block_floats_ = 0;
  Pieces pieces_;
  std::int64_t panels_ = 0;  // offsets in shared memory
  std::int64_t bias_ = 0;
  std::int64_t x_ = 0;
  std::int64_t h_ = 0;
};

// ── backwards ────────────────────────────────────────────────────────────────

class Backward {
 public:
  Backward(const Binding& binding, const Cell& cell)
      : cell_(cell), in_(binding.in), out_(binding.out), kernel_(cell.kernels().backward) {
    const Shape& dy = in_[2 + cell.saved_states].shape();
    e_ = {dy[0], dy[1], 0, dy[2], binding.node.flag("reverse")};
    columns_ = cell.gates * e_.units;
    stride_ = copied_a_stride(columns_);
    panels_ = pieces_.take(e_.unit_blocks() * kPanel * columns_);
    operand_ = pieces_.take(2 * e_.rows * stride_);
    sum_floats_ = static_cast<std::int64_t>(cell.arguments) * cell.gates * kPanel;
    sums_ = pieces_.take(e_.chunks() * sum_floats_);
    lost_ = pieces_.take(e_.chunks() * sum_floats_);
  }

  std::size_t shared_bytes() const { return pieces_.bytes(); }
  std::size_t scratch_bytes() const {
    return static_cast<std::size_t>(e_.most_rows() * kPanel + sum_floats_) * sizeof(float);
  }
  double flop() const {
    return 2.0 * static_cast<double>(e_.rows * e_.steps * e_.units) * static_cast<double>(columns_);
  }

  void operator()(const Machine& machine) const {
    float* const shared = reinterpret_cast<float*>(machine.shared);
    machine.pool->run(e_.unit_blocks(), [&](std::int64_t block, int) { pack(block, shared); });
    for (std::size_t s = 0; s < cell_.states; ++s) {
      std::copy_n(in_[3 + cell_.saved_states + s].f32(), e_.rows * e_.units, carry(s));
    }
    std::fill_n(shared + sums_, e_.chunks() * sum_floats_, 0.0F);
    std::fill_n(shared + lost_, e_.chunks() * sum_floats_, 0.0F);
    // One more than there are steps: the last brings what goes back into h0.
    for (std::int64_t i = 0; i <= e_.steps; ++i) {
      machine.pool->run(e_.chunks(), [&](std::int64_t chunk, int worker) {
        step(i, chunk, shared, reinterpret_cast<float*>(machine.scratch_of(worker)));
      });
    }
    add_up(shared);
  }

 private:
  float* carry(std::size_t state) const { return out_[2 * cell_.arguments + state].f32(); }
  const std::int32_t* lengths() const {
    const std::size_t fixed = 3 + cell_.saved_states + cell_.states;
    return in_.size() > fixed ? in_[fixed].i32() : nullptr;
  }

  // panel[k, c] = wh[unit + c, k].
  void pack(std::int64_t block, float* shared) const {
    const std::int64_t unit = block * kPanel;
    pack_panel(in_[0].f32() + unit * columns_, 1, columns_, columns_,
               std::min(kPanel, e_.units - unit), shared + panels_ + block * kPanel * columns_);
  }

  // The sums over rows and steps, from those of the chunks.
  void add_up(const float* shared) const {
    for (std::size_t a = 0; a < cell_.arguments; ++a) {
      float* const out = out_[cell_.arguments + a].f32();
      std::fill_n(out, columns_, 0.0F);
      for (std::int64_t chunk = 0; chunk < e_.chunks(); ++chunk) {
        const Part p = part_of(e_, chunk);
        const float* from = shared + sums_ + chunk * sum_floats_ +
                            static_cast<std::int64_t>(a) * cell_.gates * kPanel;
        for (std::int64_t g = 0; g < cell_.gates; ++g, from += kPanel) {
          float* const to = out + g * e_.units + p.unit;
          for (std::int64_t c = 0; c < p.units; ++c) to[c] += from[c];
        }
      }
    }
  }

  void step(std::int64_t i, std::int64_t chunk, float* shared, float* product) const {
    const Part p = part_of(e_, chunk);
    const std::int64_t operand_floats = e_.rows * stride_;
    const float* const later = shared + operand_ + (i + 1) % 2 * operand_floats + p.row * stride_;
    float* const now = shared + operand_ + i % 2 * operand_floats + p.row * stride_;
    if (i > 0) {
      multiply_(later, stride_, p.rows, columns_, shared + panels_ + p.block * kPanel * columns_,
                product, kPanel, false);
    }
    const std::int64_t at = p.row * e_.units + p.unit;
    if (i == e_.steps) {
      for (std::int64_t row = 0; row < p.rows; ++row) {
        float* const to = carry(0) + at + row * e_.units;
        for (std::int64_t c = 0; c < p.units; ++c) to[c] += product[row * kPanel + c];
      }
      return;
    }
    const std::int64_t t = e_.time(e_.steps - 1 - i);
    const std::int64_t gates_stride = cell_.saved_gates * e_.units;
    RecurrentTileBackward tile{};
    tile.rows = p.rows;
    tile.units = p.units;
    tile.stride = e_.units;
    tile.lengths = lengths() == nullptr ? nullptr : lengths() + p.row;
    tile.step = t;
    tile.gates = in_[1].f32() + (t * e_.rows + p.row) * gates_stride + p.unit;
    tile.gates_stride = gates_stride;
    if (cell_.saved_states > 0) tile.before = in_[2].f32() + t * e_.rows * e_.units + at;
    tile.dy = in_[2 + cell_.saved_states].f32() + (p.row * e_.steps + t) * e_.units + p.unit;
    tile.dy_stride = e_.steps * e_.units;
    tile.product = i > 0 ? product : nullptr;
    for (std::size_t s = 0; s < cell_.states; ++s) tile.carry[s] = carry(s) + at;
    // A step's sums first, then those over the steps: fewer terms in a row, less rounding.
    float* const step_sums = product + e_.most_rows() * kPanel;
    std::fill_n(step_sums, sum_floats_, 0.0F);
    for (std::size_t a = 0; a < cell_.arguments; ++a) {
      tile.arguments[a] = out_[a].f32() + (t * e_.rows + p.row) * columns_ + p.unit;
      tile.sums[a] = step_sums + static_cast<std::int64_t>(a) * cell_.gates * kPanel;
    }
    tile.arguments_stride = columns_;
    tile.operand = now + p.unit;
    tile.operand_stride = stride_;
    kernel_(tile);
    add_to_sum(step_sums, shared + sums_ + chunk * sum_floats_,
               shared + lost_ + chunk * sum_floats_, sum_floats_);
  }

  const Cell& cell_;
  std::vector<Operand> in_;
  std::vector<Operand> out_;
  RecurrentKernelBackward kernel_;
  PanelProduct multiply_{matmul_block_kernel()};
  Extents e_{};
  std::int64_t columns_ = 0;
  std::int64_t stride_ = 0;
  std::int64_t sum_floats_ = 0;  // of a chunk
  Pieces pieces_;
  std::int64_t panels_ = 0;  // offsets in shared memory
  std::int64_t operand_ = 0;
  std::int64_t sums_ = 0;
  std::int64_t lost_ = 0;  // what each of them rounded off
};

// ── the table ────────────────────────────────────────────────────────────────

constexpr int kGates = 1;  // the input over which a backward op may write its first output

constexpr Kernel kKernels[] = {
    {"rnn", [](const Binding& b) { return lower_pass<Forward>(b, rnn_cell(b.node)); }},
    {"rnn_backward", [](const Binding& b) { return lower_pass<Backward>(b, rnn_cell(b.node)); },
     nullptr, kGates},
    {"lstm", [](const Binding& b) { return lower_pass<Forward>(b, kLstm); }},
    {"lstm_backward", [](const Binding& b) { return lower_pass<Backward>(b, kLstm); }, nullptr,
     kGates},
    {"gru", [](const Binding& b) { return lower_pass<Forward>(b, kGru); }},
    {"gru_backward", [](const Binding& b) { return lower_pass<Backward>(b, kGru); }},
};

}  // namespace

std::span<const Kernel> recurrent_kernels() { return kKernels; }

}  // namespace chainrule::cpu
