// The recurrent layers as macro ops, a pair of blocks each: what the cell does in one step, and
// what one step back does with the cotangents. The walk along the sequence stands in recurrent.cpp.
#include "chainrule/ops.h"
#include "ops/recurrent.h"

namespace chainrule {
namespace {

using Values = std::vector<Value>;

// ── rnn ──────────────────────────────────────────────────────────────────────
constexpr RecurrentLayout kRnnLayout{.states = 1, .biases = 1, .gates = 1, .saved_gates = 1};
constexpr BackwardLayout kRnnBackwardLayout{
    .saved = 1, .states = 1, .gates = 1, .saved_gates = 1, .arguments = 1};

const Op kRnnBackward{checked({
    .name = "rnn_backward",
    .formula = "rnn_backward({*})",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) { return infer_recurrent_backward(n, kRnnBackwardLayout); },
    .expand = [](const Node& n) -> Values {
      const Value wh = n.inputs[0];
      const bool is_relu = n.text("activation") == "relu";
      return unrolled_backward(n, kRnnBackwardLayout, [&](const Values& saved, const Values& d) {
        const Value h = saved[0];  // after the step
        const Value dz = d[0] * (is_relu ? greater(h, 0.0) : 1 - square(h));
        return BackwardStep{{dz}, {matmul(dz, transpose(wh))}};
      });
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          for (const char* activation : {"tanh", "relu"}) {
            sample_recurrent_backward(s, kRnnBackwardLayout, kRnnBackward,
                                      {{"activation", std::string(activation)}});
          }
        },
})};

const Op kRnn{checked({
    .name = "rnn",
    .formula = "rnn({*})",
    .inputs = kAnyInputs,
    .gates = "H",
    .infer = [](const Node& n) { return infer_recurrent(n, kRnnLayout); },
    .expand = [](const Node& n) -> Values {
      const Value wx = n.inputs[2];
      const Value wh = n.inputs[3];
      const Value b = n.inputs[4];
      const bool is_relu = n.text("activation") == "relu";
      return unrolled(n, kRnnLayout, [&](Value x, const Values& state) {
        const Value z = matmul(x, wx) + matmul(state[0], wh) + b;
        const Value h = is_relu ? relu(z) : tanh(z);
        return RecurrentStep{{h}, h};
      });
    },
    .joint_grad = [](const Node& n, std::span<const Value> dy) -> Grads {
      return recurrent_gradient(n, kRnnLayout, kRnnBackward, 0, dy);
    },
    .samples =
        [](Sampler& s) {
          for (const RnnActivation activation : {RnnActivation::kTanh, RnnActivation::kRelu}) {
            sample_recurrent(s, kRnnLayout,
                             [&](Value x, const Values& states, const Values& w,
                                 const RecurrentOptions& options) {
                               return rnn(x, states[0], w[0], w[1], w[2], activation, options);
                             });
          }
        },
})};

// ── lstm ─────────────────────────────────────────────────────────────────────
constexpr RecurrentLayout kLstmLayout{.states = 2, .biases = 1, .gates = 4, .saved_gates = 4};
constexpr BackwardLayout kLstmBackwardLayout{
    .saved = 2, .states = 2, .gates = 4, .saved_gates = 4, .arguments = 1};

const Op kLstmBackward{checked({
    .name = "lstm_backward",
    .formula = "lstm_backward({*})",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) { return infer_recurrent_backward(n, kLstmBackwardLayout); },
    .expand = [](const Node& n) -> Values {
      const Value wh = n.inputs[0];
      const std::int64_t units = wh.extent(0);
      return unrolled_backward(n, kLstmBackwardLayout, [&](const Values& saved, const Values& d) {
        const Value i = gate(saved[0], 0, units);
        const Value f = gate(saved[0], 1, units);
        const Value g = gate(saved[0], 2, units);
        const Value o = gate(saved[0], 3, units);
        const Value before = saved[1];  // c before the step
        const Value squashed = tanh(f * before + i * g);
        const Value dc = d[1] + d[0] * o * (1 - square(squashed));
        const Value di = dc * g * i * (1 - i);
        const Value df = dc * before * f * (1 - f);
        const Value dg = dc * i * (1 - square(g));
        const Value dzo = d[0] * squashed * o * (1 - o);
        const Value dz = concatenate({di, df, dg, dzo}, 1);  // [B, 4H]
        return BackwardStep{{dz}, {matmul(dz, transpose(wh)), dc * f}};
      });
    },
    .grad = gradient_of_expansion,
    .samples = [](Sampler& s) { sample_recurrent_backward(s, kLstmBackwardLayout, kLstmBackward); },
})};

const Op kLstm{checked({
    .name = "lstm",
    .formula = "lstm({*})",
    .inputs = kAnyInputs,
    .gates = "IFGO",
    .infer = [](const Node& n) { return infer_recurrent(n, kLstmLayout); },
    .expand = [](const Node& n) -> Values {
      const Value wx = n.inputs[3];
      const Value wh = n.inputs[4];
      const Value b = n.inputs[5];
      const std::int64_t units = wh.extent(0);
      return unrolled(n, kLstmLayout, [&](Value x, const Values& state) {
        const Value z = matmul(x, wx) + matmul(state[0], wh) + b;  // [B, 4H]
        const Value i = sigmoid(gate(z, 0, units));
        const Value f = sigmoid(gate(z, 1, units));
        const Value g = tanh(gate(z, 2, units));
        const Value o = sigmoid(gate(z, 3, units));
        const Value c = f * state[1] + i * g;
        return RecurrentStep{{o * tanh(c), c}, concatenate({i, f, g, o}, 1)};
      });
    },
    .joint_grad = [](const Node& n, std::span<const Value> dy) -> Grads {
      return recurrent_gradient(n, kLstmLayout, kLstmBackward, 1, dy);
    },
    .samples =
        [](Sampler& s) {
          sample_recurrent(
              s, kLstmLayout,
              [](Value x, const Values& states, const Values& w, const RecurrentOptions& options) {
                return lstm(x, states[0], states[1], w[0], w[1], w[2], options);
              });
        },
})};

// ── gru ──────────────────────────────────────────────────────────────────────
constexpr RecurrentLayout kGruLayout{.states = 1, .biases = 2, .gates = 3, .saved_gates = 4};
constexpr BackwardLayout kGruBackwardLayout{
    .saved = 2, .states = 1, .gates = 3, .saved_gates = 4, .arguments = 2};

// Saved: r, u, the candidate tanh(…), and n', what the reset gate acts on.
const Op kGruBackward{checked({
    .name = "gru_backward",
    .formula = "gru_backward({*})",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) { return infer_recurrent_backward(n, kGruBackwardLayout); },
    .expand = [](const Node& n) -> Values {
      const Value wh = n.inputs[0];
      const std::int64_t units = wh.extent(0);
      return unrolled_backward(n, kGruBackwardLayout, [&](const Values& saved, const Values& d) {
        const Value r = gate(saved[0], 0, units);
        const Value u = gate(saved[0], 1, units);
        const Value candidate = gate(saved[0], 2, units);
        const Value inner = gate(saved[0], 3, units);
        const Value before = saved[1];  // h before the step
        const Value dn = d[0] * (1 - u) * (1 - square(candidate));
        const Value dr = dn * inner * r * (1 - r);
        const Value du = d[0] * (before - candidate) * u * (1 - u);
        const Value dzx = concatenate({dr, du, dn}, 1);      // [B, 3H]
        const Value dzh = concatenate({dr, du, dn * r}, 1);  // [B, 3H]
        return BackwardStep{{dzx, dzh}, {d[0] * u + matmul(dzh, transpose(wh))}};
      });
    },
    .grad = gradient_of_expansion,
    .samples = [](Sampler& s) { sample_recurrent_backward(s, kGruBackwardLayout, kGruBackward); },
})};

const Op kGru{checked({
    .name = "gru",
    .formula = "gru({*})",
    .inputs = kAnyInputs,
    .gates = "RZNM",
    .infer = [](const Node& n) { return infer_recurrent(n, kGruLayout); },
    .expand = [](const Node& n) -> Values {
      const Value wx = n.inputs[2];
      const Value wh = n.inputs[3];
      const Value b = n.inputs[4];
      const Value bh = n.inputs[5];
      const std::int64_t units = wh.extent(0);
      return unrolled(n, kGruLayout, [&](Value x, const Values& state) {
        const Value h = state[0];
        const Value zx = matmul(x, wx) + b;   // [B, 3H]
        const Value zh = matmul(h, wh) + bh;  // [B, 3H]
        const Value r = sigmoid(gate(zx, 0, units) + gate(zh, 0, units));
        const Value u = sigmoid(gate(zx, 1, units) + gate(zh, 1, units));
        const Value inner = gate(zh, 2, units);
        const Value candidate = tanh(gate(zx, 2, units) + r * inner);
        return RecurrentStep{{(1 - u) * candidate + u * h},
                             concatenate({r, u, candidate, inner}, 1)};
      });
    },
    .joint_grad = [](const Node& n, std::span<const Value> dy) -> Grads {
      return recurrent_gradient(n, kGruLayout, kGruBackward, 1, dy);
    },
    .samples =
        [](Sampler& s) {
          sample_recurrent(
              s, kGruLayout,
              [](Value x, const Values& states, const Values& w, const RecurrentOptions& options) {
                return gru(x, states[0], w[0], w[1], w[2], w[3], options);
              });
        },
})};

}  // namespace

Recurrence rnn(Value x, Value h0, Value wx, Value wh, Value b, RnnActivation activation,
               RecurrentOptions options) {
  const std::string name = activation == RnnActivation::kRelu ? "relu" : "tanh";
  return emit_recurrent(kRnn, kRnnLayout, {x, h0, wx, wh, b}, {{"activation", name}}, options);
}

Recurrence lstm(Value x, Value h0, Value c0, Value wx, Value wh, Value b,
                RecurrentOptions options) {
  return emit_recurrent(kLstm, kLstmLayout, {x, h0, c0, wx, wh, b}, {}, options);
}

Recurrence gru(Value x, Value h0, Value wx, Value wh, Value b, Value bh, RecurrentOptions options) {
  return emit_recurrent(kGru, kGruLayout, {x, h0, wx, wh, b, bh}, {}, options);
}

}  // namespace chainrule
