// Attention backwards on the CPU: the strips of attention.cpp with keys as rows, so that the
// gradients of keys and values are sums over a strip's whole length; that of the queries is added
// up group of keys by group.
#include "backend/cpu/kernels/attention.h"
#include "backend/cpu/kernels/attention_kernels.h"

namespace chainrule::cpu {
namespace {

using namespace attention_parts;

class Backward {
 public:
  explicit Backward(const Binding& binding)
      : e_(extents_of(binding.node)),
        in_(binding.in),
        out_(binding.out),
        cut_(e_, e_.keys, 3 * e_.depth + 2 * e_.width),
        stride_(stride_of(e_.queries)) {
    if (in_.size() > kMask) mask_ = mask_of(in_[kMask], in_[0].shape());
    queries_ = pieces_.take(e_.depth * stride_);
    dy_ = pieces_.take(e_.width * stride_);
    power_ = pieces_.take(stride_);
    power_rest_ = pieces_.take(stride_);
    delta_ = pieces_.take(stride_);
    weights_ = pieces_.take(kStripRows * stride_);
    dscores_ = pieces_.take(kGroup * stride_);
    if (mask_.row > 0) mask_strip_ = pieces_.take(kStripRows * stride_);
    kernel_ =
        pieces_.take(std::max({e_.depth, e_.width, chunk_of(e_.queries), kGroup}) * kPanelColumns);
  }

  // With several ranges of keys each has a dq of its own.
  std::size_t shared_bytes() const {
    return cut_.parts == 1
               ? 0
               : static_cast<std::size_t>(cut_.units * e_.queries * e_.depth) * sizeof(float);
  }
  std::size_t scratch_bytes() const { return pieces_.bytes(); }
  double flop() const {
    return 2.0 * static_cast<double>(e_.lanes() * e_.pairs()) *
           static_cast<double>(3 * e_.depth + 2 * e_.width);
  }

  void operator()(const Machine& machine) const {
    float* const shared = reinterpret_cast<float*>(machine.shared);
    cut_.run(machine, [&](std::int64_t unit, float* scratch) {
      const std::int64_t lane = unit / cut_.parts;
      const std::int64_t part = unit % cut_.parts;
      const bool alone = cut_.parts == 1;
      float* const dq =
          alone ? out_[0].f32() + e_.q_at(lane, 0) : shared + unit * e_.queries * e_.depth;
      walk({lane, cut_.begin(part), cut_.begin(part + 1), dq, alone ? e_.q_stride() : e_.depth,
            scratch});
    });
    if (cut_.parts == 1) return;
    const std::int64_t blocks = divide_up(e_.queries, kChunk);
    machine.pool->run(e_.lanes() * blocks, [&](std::int64_t job, int) {
      const std::int64_t row = job % blocks * kChunk;
      add_up(job / blocks, row, std::min(row + kChunk, e_.queries), shared);
    });
  }

 private:
  static constexpr std::size_t kMask = 7;

  // A range of one head's keys.
  struct Range {
    std::int64_t lane, begin, end;
    float* dq;  // of the head's first query
    std::int64_t dq_stride;
    float* scratch;
  };
  // Some queries, those that are transposed.
  struct Chunk {
    std::int64_t begin, columns;
  };

  Matrix rows_of(std::size_t input, std::int64_t offset, std::int64_t stride) const {
    return {in_[input].f32() + offset, stride};
  }
  Matrix q(std::int64_t lane, std::int64_t row) const {
    return rows_of(0, e_.q_at(lane, row), e_.q_stride());
  }
  Matrix k(std::int64_t lane, std::int64_t row) const {
    return rows_of(1, e_.k_at(lane, row), e_.q_stride());
  }
  Matrix v(std::int64_t lane, std::int64_t row) const {
    return rows_of(2, e_.v_at(lane, row), e_.v_stride());
  }
  Matrix y(std::int64_t lane, std::int64_t row) const {
    return rows_of(3, e_.y_at(lane, row), e_.v_stride());
  }
  Matrix dy(std::int64_t lane, std::int64_t row) const {
    return rows_of(6, e_.y_at(lane, row), e_.v_stride());
  }

  void walk(const Range& range) const {
    for (std::int64_t begin = 0; begin < e_.queries; begin += kChunk) {
      const Chunk chunk{begin, std::min(kChunk, e_.queries - begin)};
      if (first_column(range.begin, chunk) == chunk.columns) continue;
      load(range, chunk);
      for (std::int64_t key = range.begin; key < range.end; key += kGroup) {
        group(range, chunk, key, std::min(kGroup, range.end - key));
      }
    }
    if (!e_.causal || range.end <= e_.queries) return;
    // No query reads these.
    for (std::int64_t key = std::max(range.begin, e_.queries); key < range.end; ++key) {
      std::fill_n(out_[1].f32() + e_.k_at(range.lane, key), e_.depth, 0.0F);
      std::fill_n(out_[2].f32() + e_.v_at(range.lane, key), e_.width, 0.0F);
    }
  }

  // The first query of the chunk that reads a key: queries before it do not.
  std::int64_t first_column(std::int64_t key, const Chunk& chunk) const {
    return e_.causal ? std::clamp<std::int64_t>(key - chunk.begin, 0, chunk.columns) : 0;
  }

  void load(const Range& range, const Chunk& chunk) const {
    float* const scratch = range.scratch;
    for (std::int64_t column = 0; column < chunk.columns; column += e_.block()) {
      const std::int64_t query = chunk.begin + column;
      const std::int64_t rows = std::min(e_.block(), chunk.columns - column);
      if (e_.far()) {
        const std::int64_t later =
            std::clamp<std::int64_t>(chunk.columns - column - kFetchAhead, 0, rows);
        fetch(q(range.lane, query + kFetchAhead), later, e_.depth);
        fetch(dy(range.lane, query + kFetchAhead), later, e_.width);
        fetch(y(range.lane, query + kFetchAhead), later, e_.width);
        fetch({range.dq + query * range.dq_stride, range.dq_stride}, rows, e_.depth);
      }
      transpose(q(range.lane, query), rows, e_.depth, scratch + queries_ + column, stride_);
      transpose(dy(range.lane, query), rows, e_.width, scratch + dy_ + column, stride_);
      attention_sums({.y = y(range.lane, query).data,
                      .dy = dy(range.lane, query).data,
                      .stride = e_.v_stride(),
                      .rows = rows,
                      .columns = e_.width,
                      .lse = in_[4].f32() + range.lane * e_.queries + query,
                      .lse_rest = in_[5].f32() + range.lane * e_.queries + query,
                      .delta = scratch + delta_ + column,
                      .power = scratch + power_ + column,
                      .power_rest = scratch + power_rest_ + column});
    }
    const std::int64_t padding = whole_vectors(chunk.columns) - chunk.columns;
    std::fill_n(scratch + delta_ + chunk.columns, padding, 0.0F);
    std::fill_n(scratch + power_ + chunk.columns, padding, 0.0F);
    std::fill_n(scratch + power_rest_ + chunk.columns, padding, 0.0F);
  }

  void group(const Range& range, const Chunk& chunk, std::int64_t key, std::int64_t keys) const {
    std::int64_t read = 0;  // keys of the group that the chunk's queries read
    for (; read < keys; read += kStripRows) {
      if (first_column(key + read, chunk) == chunk.columns) break;
      if (e_.far()) fetch_next(range, key + read + kStripRows);
      strip(range, chunk, key + read, std::min(kStripRows, keys - read),
            range.scratch + dscores_ + read * stride_);
    }
    read = std::min(read, keys);
    if (read == 0) return;
    // dq, row by row where the later keys of the group are not read yet.
    std::int64_t column = first_column(key, chunk);
    while (column < chunk.columns) {
      const std::int64_t query = chunk.begin + column;
      const bool rising = e_.causal && query < key + read - 1;
      const std::int64_t rows =
          rising ? std::min(kStripRows, chunk.columns - column) : chunk.columns - column;
      const std::int64_t count = rising ? std::min(read, query + rows - key) : read;
      multiply_({range.scratch + dscores_ + column, stride_}, true, k(range.lane, key),
                range.dq + query * range.dq_stride, range.dq_stride, rows, e_.depth, count,
                key > range.begin, range.scratch + kernel_);
      column += rows;
    }
  }

  void fetch_next(const Range& range, std::int64_t key) const {
    const std::int64_t rows = std::clamp<std::int64_t>(range.end - key, 0, kStripRows);
    fetch(k(range.lane, key), rows, e_.depth);
    fetch(v(range.lane, key), rows, e_.width);
    fetch({out_[1].f32() + e_.k_at(range.lane, key), e_.q_stride()}, rows, e_.depth);
    fetch({out_[2].f32() + e_.v_at(range.lane, key), e_.v_stride()}, rows, e_.width);
  }

  void strip(const Range& range, const Chunk& chunk, std::int64_t key, std::int64_t rows,
             float* dscores) const {
    float* const scratch = range.scratch;
    const std::int64_t first = first_column(key, chunk);
    const std::int64_t column = first / kVector * kVector;
    const std::int64_t columns = whole_vectors(chunk.columns) - column;
    float* const weights = scratch + weights_ + column;
    dscores += column;
    multiply_(k(range.lane, key), false, {scratch + queries_ + column, stride_}, weights, stride_,
              rows, columns, e_.depth, false, scratch + kernel_);
    multiply_(v(range.lane, key), false, {scratch + dy_ + column, stride_}, dscores, stride_, rows,
              columns, e_.width, false, scratch + kernel_);
    const double scale = 1 / std::sqrt(static_cast<double>(e_.depth));
    AttentionStripBackward tile{.weights = weights,
                                .dscores = dscores,
                                .stride = stride_,
                                .rows = rows,
                                .columns = columns,
                                .begin = e_.causal ? key - chunk.begin - column : 0,
                                .begin_step = e_.causal ? 1 : 0,
                                .mask = nullptr,
                                .mask_row = 1,
                                .mask_column = 0,
                                .power = scratch + power_ + column,
                                .power_rest = scratch + power_rest_ + column,
                                .delta = scratch + delta_ + column,
                                .scale = static_cast<float>(kLog2e * scale),
                                .inverse = static_cast<float>(scale)};
    if (in_.size() > kMask) choose(range, chunk, key, rows, column, tile);
    attention_weights_backward(tile);

    const std::int64_t query = chunk.begin + column;
    const std::int64_t count = chunk.columns - column;
    const bool accumulate = e_.causal ? chunk.begin > key : chunk.begin > 0;
    multiply_({weights, stride_}, false, dy(range.lane, query),
              out_[2].f32() + e_.v_at(range.lane, key), e_.v_stride(), rows, e_.width, count,
              accumulate, scratch + kernel_);
    multiply_({dscores, stride_}, false, q(range.lane, query),
              out_[1].f32() + e_.k_at(range.lane, key), e_.q_stride(), rows, e_.depth, count,
              accumulate, scratch + kernel_);
  }

  // The mask of a strip: one number a key where all queries share it, else transposed.
  void choose(const Range& range, const Chunk& chunk, std::int64_t key, std::int64_t rows,
              std::int64_t column, AttentionStripBackward& tile) const {
    const float* const mask =
        in_[kMask].f32() + mask_.begins[static_cast<std::size_t>(range.lane / e_.heads)] + key;
    if (mask_.row == 0) {
      tile.mask = mask;
      return;
    }
    float* const strip = range.scratch + mask_strip_;
    transpose({mask + (chunk.begin + column) * mask_.row, mask_.row}, chunk.columns - column, rows,
              strip, stride_);
    tile.mask = strip;
    tile.mask_row = stride_;
    tile.mask_column = 1;
  }

  void add_up(std::int64_t lane, std::int64_t row, std::int64_t end, const float* shared) const {
    for (; row < end; ++row) {
      float* const dq = out_[0].f32() + e_.q_at(lane, row);
      for (std::int64_t part = 0; part < cut_.parts; ++part) {
        if (e_.causal && cut_.begin(part) > row) break;
        const float* const from =
            shared + ((lane * cut_.parts + part) * e_.queries + row) * e_.depth;
        if (part == 0) {
          std::copy_n(from, e_.depth, dq);
        } else {
          for (std::int64_t i = 0; i < e_.depth; ++i) dq[i] += from[i];
        }
      }
    }
  }

  Extents e_;
  std::vector<Operand> in_;
  std::vector<Operand> out_;
  Mask mask_;
  Cut cut_;
  Multiply multiply_;
  std::int64_t stride_;
  Pieces pieces_;
  std::int64_t queries_ = 0;  // offsets in scratch memory
  std::int64_t dy_ = 0;
  std::int64_t power_ = 0;
  std::int64_t power_rest_ = 0;
  std::int64_t delta_ = 0;
  std::int64_t weights_ = 0;
  std::int64_t dscores_ = 0;
  std::int64_t mask_strip_ = 0;
  std::int64_t kernel_ = 0;
};

}  // namespace

InstructionPtr lower_attention_backward(const Binding& binding) {
  return lower_pass<Backward>(binding);
}

}  // namespace chainrule::cpu
