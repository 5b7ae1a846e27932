// The elementwise part of a recurrent step, for each instruction set. A row whose step does not
// count keeps its states and hands cotangents on unchanged.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/recurrent_kernels.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/kernels/recurrent_kernels.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/instruction_set.h"
#include "backend/cpu/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

// What a cell makes of vector i of a row.
struct RowStep {
  const RecurrentTile& t;
  std::int64_t row;

  template <class Access>
  HWY_INLINE V product(std::int64_t group, std::size_t i, Access access) const {
    const float* const at = t.product + row * t.product_stride + group * kPanelColumns;
    const float* const bias = t.bias + group * kPanelColumns;
    return hn::Add(access.load(at + i), access.load(bias + i));
  }
  template <class Access>
  HWY_INLINE V before(int state, std::size_t i, Access access) const {
    return access.load(t.before[state] + row * t.stride + i);
  }
  template <class Access>
  HWY_INLINE void save(std::int64_t gate, V v, std::size_t i, Access access) const {
    access.store(v, t.gates + row * t.gates_stride + gate * t.stride + i);
  }
};

struct NewStates {
  V h;
  V c;
};

struct RnnTanh {
  static constexpr int kStates = 1;
  template <class Access>
  HWY_INLINE static NewStates forward(const RowStep& s, std::size_t i, Access access) {
    const V h = vector_tanh(s.product(0, i, access));
    s.save(0, h, i, access);
    return {h, h};
  }
};

struct RnnRelu {
  static constexpr int kStates = 1;
  template <class Access>
  HWY_INLINE static NewStates forward(const RowStep& s, std::size_t i, Access access) {
    const V h = relu(s.product(0, i, access));
    s.save(0, h, i, access);
    return {h, h};
  }
};

struct Lstm {
  static constexpr int kStates = 2;
  template <class Access>
  HWY_INLINE static NewStates forward(const RowStep& s, std::size_t i, Access access) {
    const V in = vector_sigmoid(s.product(0, i, access));
    const V forget = vector_sigmoid(s.product(1, i, access));
    const V g = vector_tanh(s.product(2, i, access));
    const V out = vector_sigmoid(s.product(3, i, access));
    s.save(0, in, i, access);
    s.save(1, forget, i, access);
    s.save(2, g, i, access);
    s.save(3, out, i, access);
    const V c = hn::MulAdd(forget, s.before(1, i, access), hn::Mul(in, g));
    return {hn::Mul(out, vector_tanh(c)), c};
  }
};

struct Gru {
  static constexpr int kStates = 1;
  template <class Access>
  HWY_INLINE static NewStates forward(const RowStep& s, std::size_t i, Access access) {
    const V reset = vector_sigmoid(s.product(0, i, access));
    const V keep = vector_sigmoid(s.product(1, i, access));
    const V inner = s.product(3, i, access);
    const V candidate = vector_tanh(hn::MulAdd(reset, inner, s.product(2, i, access)));
    s.save(0, reset, i, access);
    s.save(1, keep, i, access);
    s.save(2, candidate, i, access);
    s.save(3, inner, i, access);
    const V h = hn::MulAdd(keep, hn::Sub(s.before(0, i, access), candidate), candidate);
    return {h, h};
  }
};

template <class Cell>
HWY_INLINE void forward_rows(const RecurrentTile& t) {
  for (std::int64_t row = 0; row < t.rows; ++row) {
    const bool counts = t.lengths == nullptr || t.step < t.lengths[row];
    const RowStep step{t, row};
    sweep(static_cast<std::size_t>(t.units), [&](std::size_t i, auto access) HWY_ATTR {
      const NewStates next = Cell::forward(step, i, access);
      const V h = counts ? next.h : step.before(0, i, access);
      access.store(h, t.after[0] + row * t.stride + i);
      access.store(h, t.operand + row * t.operand_stride + i);
      access.store(counts ? h : zero(), t.y + row * t.y_stride + i);
      if constexpr (Cell::kStates > 1) {
        const V c = counts ? next.c : step.before(1, i, access);
        access.store(c, t.after[1] + row * t.stride + i);
      }
    });
  }
}

void rnn_tanh_forward(const RecurrentTile& t) { forward_rows<RnnTanh>(t); }
void rnn_relu_forward(const RecurrentTile& t) { forward_rows<RnnRelu>(t); }
void lstm_forward(const RecurrentTile& t) { forward_rows<Lstm>(t); }
void gru_forward(const RecurrentTile& t) { forward_rows<Gru>(t); }

// ── backwards ──

struct RowBack {
  const RecurrentTileBackward& t;
  std::int64_t row;

  template <class Access>
  HWY_INLINE V gate(std::int64_t index, std::size_t i, Access access) const {
    return access.load(t.gates + row * t.gates_stride + index * t.stride + i);
  }
  template <class Access>
  HWY_INLINE V before(std::size_t i, Access access) const {
    return access.load(t.before + row * t.stride + i);
  }
  template <class Access>
  HWY_INLINE V carry(int state, std::size_t i, Access access) const {
    return access.load(t.carry[state] + row * t.stride + i);
  }
  template <class Access>
  HWY_INLINE void carry_on(int state, V v, std::size_t i, Access access) const {
    access.store(v, t.carry[state] + row * t.stride + i);
  }
  template <class Access>
  HWY_INLINE void argument(int which, std::int64_t index, V v, std::size_t i, Access access) const {
    access.store(v, t.arguments[which] + row * t.arguments_stride + index * t.stride + i);
    float* const sum = t.sums[which] + index * kPanelColumns + i;
    access.store(hn::Add(access.load(sum), v), sum);
  }
  template <class Access>
  HWY_INLINE void operand(std::int64_t index, V v, std::size_t i, Access access) const {
    access.store(v, t.operand + row * t.operand_stride + index * t.stride + i);
  }
};

/// y·(1 − y), the derivative of a sigmoid in terms of its value.
HWY_INLINE V sigmoid_slope(V y) { return hn::NegMulAdd(y, y, y); }
/// 1 − y², that of a hyperbolic tangent.
HWY_INLINE V tanh_slope(V y) { return hn::NegMulAdd(y, y, set(1.0F)); }

struct RnnTanhBack {
  static constexpr int kGates = 1;
  static constexpr int kArguments = 1;
  template <class Access>
  HWY_INLINE static void step(const RowBack& s, V dh, std::size_t i, Access access) {
    const V dz = hn::Mul(dh, tanh_slope(s.gate(0, i, access)));
    s.argument(0, 0, dz, i, access);
    s.operand(0, dz, i, access);
    s.carry_on(0, zero(), i, access);
  }
};

struct RnnReluBack {
  static constexpr int kGates = 1;
  static constexpr int kArguments = 1;
  template <class Access>
  HWY_INLINE static void step(const RowBack& s, V dh, std::size_t i, Access access) {
    const V dz = hn::IfThenElseZero(hn::Gt(s.gate(0, i, access), zero()), dh);
    s.argument(0, 0, dz, i, access);
    s.operand(0, dz, i, access);
    s.carry_on(0, zero(), i, access);
  }
};

struct LstmBack {
  static constexpr int kGates = 4;
  static constexpr int kArguments = 1;
  template <class Access>
  HWY_INLINE static void step(const RowBack& s, V dh, std::size_t i, Access access) {
    const V in = s.gate(0, i, access);
    const V forget = s.gate(1, i, access);
    const V g = s.gate(2, i, access);
    const V out = s.gate(3, i, access);
    const V before = s.before(i, access);
    const V squashed = vector_tanh(hn::MulAdd(forget, before, hn::Mul(in, g)));
    const V dc = hn::MulAdd(hn::Mul(dh, out), tanh_slope(squashed), s.carry(1, i, access));
    const V dz[kGates] = {hn::Mul(hn::Mul(dc, g), sigmoid_slope(in)),
                          hn::Mul(hn::Mul(dc, before), sigmoid_slope(forget)),
                          hn::Mul(hn::Mul(dc, in), tanh_slope(g)),
                          hn::Mul(hn::Mul(dh, squashed), sigmoid_slope(out))};
    for (int k = 0; k < kGates; ++k) {
      s.argument(0, k, dz[k], i, access);
      s.operand(k, dz[k], i, access);
    }
    s.carry_on(0, zero(), i, access);
    s.carry_on(1, hn::Mul(dc, forget), i, access);
  }
};

struct GruBack {
  static constexpr int kGates = 3;
  static constexpr int kArguments = 2;
  template <class Access>
  HWY_INLINE static void step(const RowBack& s, V dh, std::size_t i, Access access) {
    const V reset = s.gate(0, i, access);
    const V keep = s.gate(1, i, access);
    const V candidate = s.gate(2, i, access);
    const V inner = s.gate(3, i, access);
    const V difference = hn::Sub(s.before(i, access), candidate);
    const V dn = hn::Mul(hn::NegMulAdd(dh, keep, dh), tanh_slope(candidate));
    const V dr = hn::Mul(hn::Mul(dn, inner), sigmoid_slope(reset));
    const V du = hn::Mul(hn::Mul(dh, difference), sigmoid_slope(keep));
    const V of_input[kGates] = {dr, du, dn};
    const V of_state[kGates] = {dr, du, hn::Mul(dn, reset)};
    for (int k = 0; k < kGates; ++k) {
      s.argument(0, k, of_input[k], i, access);
      s.argument(1, k, of_state[k], i, access);
      s.operand(k, of_state[k], i, access);
    }
    s.carry_on(0, hn::Mul(dh, keep), i, access);
  }
};

template <class Cell>
HWY_INLINE void backward_rows(const RecurrentTileBackward& t) {
  for (std::int64_t row = 0; row < t.rows; ++row) {
    const bool counts = t.lengths == nullptr || t.step < t.lengths[row];
    const RowBack back{t, row};
    sweep(static_cast<std::size_t>(t.units), [&](std::size_t i, auto access) HWY_ATTR {
      V dh = back.carry(0, i, access);
      if (t.product != nullptr) {
        dh = hn::Add(dh, access.load(t.product + row * kPanelColumns + i));
      }
      if (counts) {
        dh = hn::Add(dh, access.load(t.dy + row * t.dy_stride + i));
        Cell::step(back, dh, i, access);
        return;
      }
      back.carry_on(0, dh, i, access);
      for (int k = 0; k < Cell::kGates; ++k) {
        for (int a = 0; a < Cell::kArguments; ++a) back.argument(a, k, zero(), i, access);
        back.operand(k, zero(), i, access);
      }
    });
  }
}

void rnn_tanh_backward(const RecurrentTileBackward& t) { backward_rows<RnnTanhBack>(t); }
void rnn_relu_backward(const RecurrentTileBackward& t) { backward_rows<RnnReluBack>(t); }
void lstm_backward(const RecurrentTileBackward& t) { backward_rows<LstmBack>(t); }
void gru_backward(const RecurrentTileBackward& t) { backward_rows<GruBack>(t); }

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(rnn_tanh_forward);
HWY_EXPORT(rnn_relu_forward);
HWY_EXPORT(lstm_forward);
HWY_EXPORT(gru_forward);
HWY_EXPORT(rnn_tanh_backward);
HWY_EXPORT(rnn_relu_backward);
HWY_EXPORT(lstm_backward);
HWY_EXPORT(gru_backward);

RecurrentKernels rnn_tanh_kernels() {
  choose_instruction_set();
  return {chosen(HWY_DISPATCH_TABLE(rnn_tanh_forward)),
          chosen(HWY_DISPATCH_TABLE(rnn_tanh_backward))};
}
RecurrentKernels rnn_relu_kernels() {
  choose_instruction_set();
  return {chosen(HWY_DISPATCH_TABLE(rnn_relu_forward)),
          chosen(HWY_DISPATCH_TABLE(rnn_relu_backward))};
}
RecurrentKernels lstm_kernels() {
  choose_instruction_set();
  return {chosen(HWY_DISPATCH_TABLE(lstm_forward)), chosen(HWY_DISPATCH_TABLE(lstm_backward))};
}
RecurrentKernels gru_kernels() {
  choose_instruction_set();
  return {chosen(HWY_DISPATCH_TABLE(gru_forward)), chosen(HWY_DISPATCH_TABLE(gru_backward))};
}

}  // namespace chainrule::cpu
#endif
