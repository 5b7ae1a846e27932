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
#include "backend/cpu/kernels/attention.h"

#include "backend/cpu/kernels/attention_kernels.h"

namespace chainrule::cpu {
namespace {

using namespace attention_parts;

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
                      .lse = out_[1].f32() + lane * e_.queries + row,
                      .lse_rest = out_[2].f32() + lane * e_.queries + row});
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

// ── the table ────────────────────────────────────────────────────────────────

bool has_numbers(const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [](const Value& v) { return element_count(v.shape()) > 0; });
}

constexpr Kernel kKernels[] = {
    {"attention", lower_pass<Forward, Binding>, has_numbers},
    {"attention_backward", lower_attention_backward, has_numbers},
};

}  // namespace

std::span<const Kernel> attention_kernels() { return kKernels; }

}  // namespace chainrule::cpu
