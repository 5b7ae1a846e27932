// Attention on the CPU, forwards and backwards, after FlashAttention (Dao et al., 2022): no T × S
// matrix is ever stored, and with `causal` its upper half is not computed.
//
// The work is strips of kStripRows rows of scores, the rows of a register tile, against up to
// kChunk columns: a strip stays in L1 from its product through its softmax to the product that
// reads it. Forwards a row is a query and a column a key; backwards the other way round, since the
// gradients of keys and values are then long sums that stay in registers too. What the columns
// stand for is transposed once a chunk, as the products want it; all else is read and written in
// place, heads by their stride.
//
// A job is the whole of one head where there are enough heads, else a range of its queries, or
// backwards of its keys; then each range has a dq of its own, and these are summed in their order.
#include <algorithm>
#include <cmath>

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/instruction.h"
#include "backend/cpu/matmul_kernels.h"
#include "backend/cpu/move.h"

namespace chainrule::cpu {
namespace {

constexpr std::int64_t kStripRows = 12;
constexpr std::int64_t kChunk = 256;
constexpr std::int64_t kGroup = 4 * kStripRows;  // keys whose part of dq is added at once
constexpr std::int64_t kVector = 16;
constexpr std::int64_t kFetchAhead = 2 * kVector;  // rows
constexpr std::int64_t kNearFloats = std::int64_t{1} << 17;
constexpr std::int64_t kJobsWanted = 16;
constexpr std::int64_t kSmallestRange = 128;  // rows: a range transposes what it reads anew
constexpr std::int64_t kSmallestJob = std::int64_t{1} << 18;  // multiplications: some µs
constexpr double kLog2e = 1.44269504088896341;

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t whole_vectors(std::int64_t columns) { return divide_up(columns, kVector) * kVector; }

// ── what both directions share ───────────────────────────────────────────────

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

Extents extents_of(const Node& node) {
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

Mask mask_of(const Operand& mask, const Shape& q) {
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

// Memory handed out piece by piece, each on a cache line.
class Pieces {
 public:
  std::int64_t take(std::int64_t floats) {
    const std::int64_t at = used_;
    used_ += whole_vectors(floats);
    return at;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(used_) * sizeof(float); }

 private:
  std::int64_t used_ = 0;
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
void transpose(Matrix from, std::int64_t rows, std::int64_t columns, float* to,
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
void fetch(Matrix from, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* const row = from.data + r * from.stride;
    for (std::int64_t c = 0; c < columns; c += kVector) __builtin_prefetch(row + c);
  }
}

// Columns of a chunk's arrays, and floats between their rows.
std::int64_t chunk_of(std::int64_t columns) { return std::min(columns, kChunk); }
std::int64_t stride_of(std::int64_t columns) { return copied_a_stride(chunk_of(columns)); }

// ── forwards ─────────────────────────────────────────────────────────────────

class Forward {
 public:
  explicit Forward(const Binding& binding)
      : e_(extents_of(binding.node)),
        in_(binding.in),
        out_(binding.out),
        cut_(e_, e_.queries, e_.depth + e_.width),
        stride_(stride_of(e_.keys)) {
    if (in_.size() > 3) mask_ = mask_of(in_[3], in_[0].shape());
    const std::int64_t rows = divide_up(e_.queries, cut_.parts);
    keys_ = pieces_.take(e_.depth * stride_);
    scores_ = pieces_.take(kStripRows * stride_);
    largest_ = pieces_.take(rows);
    total_ = pieces_.take(rows);
    kernel_ = pieces_.take(std::max(e_.depth, chunk_of(e_.keys)) * kPanelColumns);
  }

  std::size_t shared_bytes() const { return 0; }
  std::size_t scratch_bytes() const { return pieces_.bytes(); }
  double flop() const {
    return 2.0 * static_cast<double>(e_.lanes() * e_.pairs()) *
           static_cast<double>(e_.depth + e_.width);
  }

  void operator()(const Machine& machine) const {
    cut_.run(machine, [&](std::int64_t unit, float* scratch) {
      const std::int64_t part = unit % cut_.parts;
      walk(unit / cut_.parts, cut_.begin(part), cut_.begin(part + 1), scratch);
    });
  }

 private:
  // How many keys the queries before `end` read.
  std::int64_t keys_read(std::int64_t end) const {
    return e_.causal ? std::min(e_.keys, end) : e_.keys;
  }

  void walk(std::int64_t lane, std::int64_t begin, std::int64_t end, float* scratch) const {
    for (std::int64_t chunk = 0; chunk < keys_read(end); chunk += kChunk) {
      const std::int64_t columns = std::min(kChunk, keys_read(end) - chunk);
      std::int64_t ready = 0;  // keys of the chunk that are transposed
      for (std::int64_t row = begin; row < end; row += kStripRows) {
        const std::int64_t rows = std::min(kStripRows, end - row);
        const std::int64_t last = keys_read(row + rows);
        if (last <= chunk) continue;
        const std::int64_t count = std::min(columns, last - chunk);
        if (e_.far()) fetch_next(lane, row + rows, std::min(kStripRows, end - row - rows));
        while (ready < count) {
          const std::int64_t more = std::min(e_.block(), columns - ready);
          prepare(lane, chunk + ready, more, chunk + columns, scratch + keys_ + ready);
          ready += more;
        }
        strip(lane, row, rows, chunk, count, scratch, row - begin);
        if (last <= chunk + count) finish(lane, row, rows, scratch, row - begin);
      }
    }
  }

  void fetch_next(std::int64_t lane, std::int64_t row, std::int64_t rows) const {
    fetch({in_[0].f32() + e_.q_at(lane, row), e_.q_stride()}, rows, e_.depth);
    fetch({out_[0].f32() + e_.y_at(lane, row), e_.v_stride()}, rows, e_.width);
  }

  // Transposes some keys, and calls for those after them and for the values.
  void prepare(std::int64_t lane, std::int64_t key, std::int64_t rows, std::int64_t end,
               float* to) const {
    const Matrix keys{in_[1].f32() + e_.k_at(lane, key), e_.q_stride()};
    if (e_.far()) {
      const std::int64_t later = std::clamp<std::int64_t>(end - key - kFetchAhead, 0, rows);
      fetch({keys.data + kFetchAhead * keys.stride, keys.stride}, later, e_.depth);
      fetch({in_[2].f32() + e_.v_at(lane, key), e_.v_stride()}, rows, e_.width);
    }
    transpose(keys, rows, e_.depth, to, stride_);
  }

  void strip(std::int64_t lane, std::int64_t row, std::int64_t rows, std::int64_t chunk,
             std::int64_t count, float* scratch, std::int64_t place) const {
    float* const scores = scratch + scores_;
    float* const y = out_[0].f32() + e_.y_at(lane, row);
    multiply_({in_[0].f32() + e_.q_at(lane, row), e_.q_stride()}, false, {scratch + keys_, stride_},
              scores, stride_, rows, whole_vectors(count), e_.depth, false, scratch + kernel_);
    const float* const mask = in_.size() > 3 ? in_[3].f32() + mask_of_entry(lane) : nullptr;
    attention_weights(
        {.scores = scores,
         .stride = stride_,
         .rows = rows,
         .columns = count,
         .limit = e_.causal ? row + 1 - chunk : count,
         .limit_step = e_.causal ? 1 : 0,
         .mask = mask == nullptr ? nullptr : mask + row * mask_.row + chunk,
         .mask_stride = mask_.row,
         .scale = static_cast<float>(kLog2e / std::sqrt(static_cast<double>(e_.depth))),
         .first = chunk == 0,
         .largest = scratch + largest_ + place,
         .total = scratch + total_ + place,
         .y = y,
         .y_stride = e_.v_stride(),
         .y_columns = e_.width});
    multiply_({scores, stride_}, false, {in_[2].f32() + e_.v_at(lane, chunk), e_.v_stride()}, y,
              e_.v_stride(), rows, e_.width, count, chunk > 0, scratch + kernel_);
  }

  void finish(std::int64_t lane, std::int64_t row, std::int64_t rows, float* scratch,
              std::int64_t place) const {
    finish_attention({.rows = rows,
                      .largest = scratch + largest_ + place,
                      .total = scratch + total_ + place,
                      .masked = in_.size() > 3,
                      .y = out_[0].f32() + e_.y_at(lane, row),
                      .y_stride = e_.v_stride(),
                      .y_columns = e_.width,
                      .lse = out_[1].f32() + lane * e_.queries + row});
  }

  std::int64_t mask_of_entry(std::int64_t lane) const {
    return mask_.begins[static_cast<std::size_t>(lane / e_.heads)];
  }

  Extents e_;
  std::vector<Operand> in_;
  std::vector<Operand> out_;
  Mask mask_;
  Cut cut_;
  Multiply multiply_;
  std::int64_t stride_;
  Pieces pieces_;
  std::int64_t keys_ = 0;  // offsets in scratch memory
  std::int64_t scores_ = 0;
  std::int64_t largest_ = 0;
  std::int64_t total_ = 0;
  std::int64_t kernel_ = 0;
};

// ── backwards ────────────────────────────────────────────────────────────────

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
  static constexpr std::size_t kMask = 6;

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
    return rows_of(5, e_.y_at(lane, row), e_.v_stride());
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
                      .delta = scratch + delta_ + column,
                      .power = scratch + power_ + column});
    }
    const std::int64_t padding = whole_vectors(chunk.columns) - chunk.columns;
    std::fill_n(scratch + delta_ + chunk.columns, padding, 0.0F);
    std::fill_n(scratch + power_ + chunk.columns, padding, 0.0F);
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
  std::int64_t delta_ = 0;
  std::int64_t weights_ = 0;
  std::int64_t dscores_ = 0;
  std::int64_t mask_strip_ = 0;
  std::int64_t kernel_ = 0;
};

// ── the table ────────────────────────────────────────────────────────────────

template <typename Pass>
InstructionPtr lower_pass(const Binding& binding) {
  Pass pass(binding);
  const std::size_t shared = pass.shared_bytes();
  const std::size_t scratch = pass.scratch_bytes();
  const double flop = pass.flop();
  InstructionPtr made = instruction(std::move(pass));
  made->shared_bytes = shared;
  made->scratch_bytes = scratch;
  made->flop = flop;
  return made;
}

bool has_numbers(const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [](const Value& v) { return element_count(v.shape()) > 0; });
}

constexpr Kernel kKernels[] = {
    {"attention", lower_pass<Forward>, has_numbers},
    {"attention_backward", lower_pass<Backward>, has_numbers},
};

}  // namespace

std::span<const Kernel> attention_kernels() { return kKernels; }

}  // namespace chainrule::cpu
