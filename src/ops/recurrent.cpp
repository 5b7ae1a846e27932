// Recurrent layers as macro ops. What they have in common, the walk along the sequence, stands
// first; a block below says what its cell does in one step.
#include "chainrule/ops_recurrent.h"

#include "chainrule/ops.h"
#include "graph/op.h"

namespace chainrule {
namespace {

// ── what the three have in common ────────────────────────────────────────────

// The inputs of a recurrent node: x, the initial states, wx, wh, the biases, then perhaps lengths.
struct Layout {
  std::size_t states;
  std::size_t biases;
  std::int64_t gates;

  std::size_t wx() const { return 1 + states; }
  std::size_t wh() const { return 2 + states; }
  std::size_t bias() const { return 3 + states; }
  std::size_t count() const { return 3 + states + biases; }
};

constexpr Layout kRnnLayout{.states = 1, .biases = 1, .gates = 1};
constexpr Layout kLstmLayout{.states = 2, .biases = 1, .gates = 4};
constexpr Layout kGruLayout{.states = 1, .biases = 2, .gates = 3};

void expect(const Node& n, std::size_t input, const std::string& name, const Type& type) {
  if (n.inputs[input].type() == type) return;
  bad_shape(
      n, "expected " + name + " " + to_string(type) + ", got " + to_string(n.inputs[input].type()));
}

// Checks all inputs; gives y and the final states.
Types infer_recurrent(const Node& n, const Layout& layout) {
  if (n.inputs.size() != layout.count() && n.inputs.size() != layout.count() + 1) {
    bad_shape(n, "expected " + std::to_string(layout.count()) +
                     " inputs and perhaps lengths, got " + std::to_string(n.inputs.size()));
  }
  const Type& x = n.inputs[0].type();
  const Type& h = n.inputs[1].type();
  if (x.dtype != DType::kF32 || x.shape.size() != 3 || x.shape[1] < 1) {
    bad_shape(n, "expected x f32[B, T, F] with at least one step, got " + to_string(x));
  }
  if (h.dtype != DType::kF32 || h.shape.size() != 2 || h.shape[0] != x.shape[0]) {
    bad_shape(n, "expected h0 f32[" + std::to_string(x.shape[0]) + ", H], got " + to_string(h));
  }
  const std::int64_t units = h.shape[1];
  const std::int64_t columns = layout.gates * units;
  for (std::size_t i = 1; i < layout.states; ++i) expect(n, 1 + i, "c0", h);
  expect(n, layout.wx(), "wx", {DType::kF32, {x.shape[2], columns}});
  expect(n, layout.wh(), "wh", {DType::kF32, {units, columns}});
  for (std::size_t i = 0; i < layout.biases; ++i) {
    expect(n, layout.bias() + i, i == 0 ? "b" : "bh", {DType::kF32, {columns}});
  }
  if (n.inputs.size() > layout.count()) {
    expect(n, layout.count(), "lengths", {DType::kI32, {x.shape[0]}});
  }
  Types types(1 + layout.states, h);
  types[0] = {DType::kF32, {x.shape[0], x.shape[1], units}};
  return types;
}

// The unrolled layer: cell(xₜ, states) gives the states after a step, the hidden one first.
template <typename Cell>
std::vector<Value> unrolled(const Node& n, const Layout& layout, Cell cell) {
  const Value x = n.inputs[0];  // [B, T, F]
  const std::int64_t rows = x.extent(0);
  const std::int64_t steps = x.extent(1);
  const std::int64_t features = x.extent(2);
  std::vector<Value> states(n.inputs.begin() + 1,
                            n.inputs.begin() + 1 + static_cast<std::ptrdiff_t>(layout.states));
  const std::int64_t units = states[0].extent(1);
  const bool has_lengths = n.inputs.size() > layout.count();
  const Value lengths =  // [B, 1]
      has_lengths ? reshape(to_float(n.inputs[layout.count()]), {rows, 1}) : Value();

  std::vector<Value> y(static_cast<std::size_t>(steps));  // each [B, 1, H]
  for (std::int64_t i = 0; i < steps; ++i) {
    const std::int64_t t = n.flag("reverse") ? steps - 1 - i : i;
    const Value xt = reshape(slice(x, {0, t, 0}, {rows, t + 1, features}), {rows, features});
    std::vector<Value> next = cell(xt, states);
    Value yt = next[0];
    if (has_lengths) {
      const Value valid = greater(lengths, static_cast<double>(t));
      yt = where(valid, next[0], constant(x.graph(), 0.0));
      for (std::size_t s = 0; s < next.size(); ++s) next[s] = where(valid, next[s], states[s]);
    }
    y[static_cast<std::size_t>(t)] = reshape(yt, {rows, 1, units});
    states = std::move(next);
  }
  std::vector<Value> outputs{steps == 1 ? y[0] : concatenate(y, 1)};
  outputs.insert(outputs.end(), states.begin(), states.end());
  return outputs;
}

// Part `index` of H columns of z: [B, gates·H].
Value gate(Value z, std::int64_t index, std::int64_t units) {
  return slice(z, {0, index * units}, {z.extent(0), (index + 1) * units});
}

// Small cases of an op: plain, backwards, with lengths. make(x, states, weights, options) emits it.
template <typename Make>
void sample_recurrent(Sampler& s, const Layout& layout, Make make) {
  const auto sample = [&](std::int64_t rows, std::int64_t steps, RecurrentOptions options) {
    constexpr std::int64_t kFeatures = 2;
    constexpr std::int64_t kUnits = 2;
    const std::int64_t columns = layout.gates * kUnits;
    const Value x = s.uniform({rows, steps, kFeatures}, -1, 1);
    std::vector<Value> states;
    for (std::size_t i = 0; i < layout.states; ++i) {
      states.push_back(s.uniform({rows, kUnits}, -1, 1));
    }
    std::vector<Value> weights{s.uniform({kFeatures, columns}, -1, 1),
                               s.uniform({kUnits, columns}, -1, 1)};
    for (std::size_t i = 0; i < layout.biases; ++i) {
      weights.push_back(s.uniform({columns}, -1, 1));
    }
    return make(x, states, weights, options);
  };
  s.check(sample(2, 3, {}).y);
  s.check(sample(1, 2, {.lengths = {}, .reverse = true}).h);
  const Recurrence masked = sample(3, 2, {.lengths = s.integers({3}, 3), .reverse = false});
  s.check(masked.y);
  s.check(masked.h);
  if (masked.c) s.check(masked.c);
}

Recurrence emit_recurrent(const Op& op, const Layout& layout, std::vector<Value> inputs,
                          Attributes attributes, const RecurrentOptions& options) {
  if (options.reverse) attributes.push_back({"reverse", std::int64_t{1}});
  if (options.lengths) inputs.push_back(options.lengths);
  const Node& node = emit_node(op, std::move(inputs), std::move(attributes));
  return {node.output(0), node.output(1), layout.states > 1 ? node.output(2) : Value()};
}

// ── rnn ──────────────────────────────────────────────────────────────────────
const Op kRnn{checked({
    .name = "rnn",
    .formula = "rnn({*})",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) -> Types { return infer_recurrent(n, kRnnLayout); },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value wx = n.inputs[2];
      const Value wh = n.inputs[3];
      const Value b = n.inputs[4];
      const bool is_relu = n.text("activation") == "relu";
      return unrolled(n, kRnnLayout, [&](Value x, const std::vector<Value>& state) {
        const Value z = matmul(x, wx) + matmul(state[0], wh) + b;
        return std::vector<Value>{is_relu ? relu(z) : tanh(z)};
      });
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          for (const RnnActivation activation : {RnnActivation::kTanh, RnnActivation::kRelu}) {
            sample_recurrent(s, kRnnLayout,
                             [&](Value x, const auto& states, const auto& w, const auto& options) {
                               return rnn(x, states[0], w[0], w[1], w[2], activation, options);
                             });
          }
        },
})};

// ── lstm ─────────────────────────────────────────────────────────────────────
const Op kLstm{checked({
    .name = "lstm",
    .formula = "lstm({*})",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) -> Types { return infer_recurrent(n, kLstmLayout); },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value wx = n.inputs[3];
      const Value wh = n.inputs[4];
      const Value b = n.inputs[5];
      const std::int64_t units = n.inputs[1].extent(1);
      return unrolled(n, kLstmLayout, [&](Value x, const std::vector<Value>& state) {
        const Value z = matmul(x, wx) + matmul(state[0], wh) + b;  // [B, 4H]
        const Value i = sigmoid(gate(z, 0, units));
        const Value f = sigmoid(gate(z, 1, units));
        const Value g = tanh(gate(z, 2, units));
        const Value o = sigmoid(gate(z, 3, units));
        const Value c = f * state[1] + i * g;
        return std::vector<Value>{o * tanh(c), c};
      });
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          sample_recurrent(s, kLstmLayout,
                           [](Value x, const auto& states, const auto& w, const auto& options) {
                             return lstm(x, states[0], states[1], w[0], w[1], w[2], options);
                           });
        },
})};

// ── gru ──────────────────────────────────────────────────────────────────────
const Op kGru{checked({
    .name = "gru",
    .formula = "gru({*})",
    .inputs = kAnyInputs,
    .infer = [](const Node& n) -> Types { return infer_recurrent(n, kGruLayout); },
    .expand = [](const Node& n) -> std::vector<Value> {
      const Value wx = n.inputs[2];
      const Value wh = n.inputs[3];
      const Value b = n.inputs[4];
      const Value bh = n.inputs[5];
      const std::int64_t units = n.inputs[1].extent(1);
      return unrolled(n, kGruLayout, [&](Value x, const std::vector<Value>& state) {
        const Value h = state[0];
        const Value zx = matmul(x, wx) + b;   // [B, 3H]
        const Value zh = matmul(h, wh) + bh;  // [B, 3H]
        const Value r = sigmoid(gate(zx, 0, units) + gate(zh, 0, units));
        const Value u = sigmoid(gate(zx, 1, units) + gate(zh, 1, units));
        const Value candidate = tanh(gate(zx, 2, units) + r * gate(zh, 2, units));
        return std::vector<Value>{(1 - u) * candidate + u * h};
      });
    },
    .grad = gradient_of_expansion,
    .samples =
        [](Sampler& s) {
          sample_recurrent(s, kGruLayout,
                           [](Value x, const auto& states, const auto& w, const auto& options) {
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
