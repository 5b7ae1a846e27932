// The walk along a sequence and back, which all recurrent ops share, in the primitives that their
// expansions are made of.
#include "ops/recurrent.h"

#include "chainrule/ops.h"

namespace chainrule {
namespace {

void expect(const Node& n, std::size_t input, const std::string& name, const Type& type) {
  if (n.inputs[input].type() == type) return;
  bad_shape(
      n, "expected " + name + " " + to_string(type) + ", got " + to_string(n.inputs[input].type()));
}

void expect_count(const Node& n, std::size_t count) {
  if (n.inputs.size() == count || n.inputs.size() == count + 1) return;
  bad_shape(n, "expected " + std::to_string(count) + " inputs and perhaps lengths, got " +
                   std::to_string(n.inputs.size()));
}

Type f32(Shape shape) { return {DType::kF32, std::move(shape)}; }

// Row t of x: [T, B, N] as [B, N].
Value step_of(Value x, std::int64_t t) {
  const std::int64_t rows = x.extent(1);
  const std::int64_t columns = x.extent(2);
  return reshape(slice(x, {t, 0, 0}, {t + 1, rows, columns}), {rows, columns});
}

// Column t of x: [B, T, N] as [B, N].
Value column_of(Value x, std::int64_t t) {
  const std::int64_t rows = x.extent(0);
  const std::int64_t columns = x.extent(2);
  return reshape(slice(x, {0, t, 0}, {rows, t + 1, columns}), {rows, columns});
}

// Arrays [B, N], one a step, as [T, B, N] or, along axis 1, [B, T, N].
Value stacked(const std::vector<Value>& steps, std::int64_t axis) {
  std::vector<Value> parts;
  for (const Value& step : steps) {
    Shape shape = step.shape();
    shape.insert(shape.begin() + axis, 1);
    parts.push_back(reshape(step, std::move(shape)));
  }
  return parts.size() == 1 ? parts[0] : concatenate(parts, axis);
}

// Whether step t counts, by row, [B, 1]; the empty Value without lengths.
Value valid_at(Value lengths, std::int64_t t) {
  if (!lengths) return {};
  return greater(reshape(to_float(lengths), {lengths.extent(0), 1}), static_cast<double>(t));
}

Value choose(Value valid, Value a, Value b) { return valid ? where(valid, a, b) : a; }

Value zeros_like(Value x) { return constant(x.graph(), 0.0, x.shape()); }

}  // namespace

Value gate(Value z, std::int64_t index, std::int64_t units) {
  return slice(z, {0, index * units}, {z.extent(0), (index + 1) * units});
}

Value lengths_of(const Node& node, std::size_t inputs_without) {
  return node.inputs.size() > inputs_without ? node.inputs[inputs_without] : Value();
}

// ── forwards ─────────────────────────────────────────────────────────────────

Types infer_recurrent(const Node& n, const RecurrentLayout& layout) {
  expect_count(n, layout.inputs());
  const Type& x = n.inputs[0].type();
  const Type& h = n.inputs[1].type();
  if (x.dtype != DType::kF32 || x.shape.size() != 3 || x.shape[1] < 1) {
    bad_shape(n, "expected x f32[B, T, F] with at least one step, got " + to_string(x));
  }
  const std::int64_t rows = x.shape[0];
  if (h.dtype != DType::kF32 || h.shape.size() != 2 || h.shape[0] != rows) {
    bad_shape(n, "expected h0 f32[" + std::to_string(rows) + ", H], got " + to_string(h));
  }
  const std::int64_t units = h.shape[1];
  const std::int64_t columns = layout.gates * units;
  for (std::size_t i = 1; i < layout.states; ++i) expect(n, 1 + i, "c0", h);
  expect(n, layout.wx(), "wx", f32({x.shape[2], columns}));
  expect(n, layout.wh(), "wh", f32({units, columns}));
  for (std::size_t i = 0; i < layout.biases; ++i) {
    expect(n, layout.bias() + i, i == 0 ? "b" : "bh", f32({columns}));
  }
  if (lengths_of(n, layout.inputs())) expect(n, layout.inputs(), "lengths", {DType::kI32, {rows}});
  const std::int64_t steps = x.shape[1];
  Types types{f32({rows, steps, units})};
  types.insert(types.end(), layout.states, h);
  types.push_back(f32({steps, rows, layout.saved_gates * units}));
  types.insert(types.end(), layout.states, f32({steps, rows, units}));
  return types;
}

std::vector<Value> unrolled(const Node& n, const RecurrentLayout& layout,
                            const RecurrentCell& cell) {
  const Value x = n.inputs[0];  // [B, T, F]
  const std::int64_t steps = x.extent(1);
  const Value lengths = lengths_of(n, layout.inputs());
  const auto first_state = n.inputs.begin() + 1;
  std::vector<Value> states(first_state, first_state + static_cast<std::ptrdiff_t>(layout.states));

  const auto count = static_cast<std::size_t>(steps);
  std::vector<Value> y(count);
  std::vector<Value> gates(count);
  std::vector<std::vector<Value>> before(layout.states, std::vector<Value>(count));
  for (std::int64_t i = 0; i < steps; ++i) {
    const std::int64_t t = n.flag("reverse") ? steps - 1 - i : i;
    const auto at = static_cast<std::size_t>(t);
    for (std::size_t s = 0; s < states.size(); ++s) before[s][at] = states[s];
    RecurrentStep next = cell(column_of(x, t), states);
    const Value valid = valid_at(lengths, t);
    y[at] = choose(valid, next.states[0], constant(x.graph(), 0.0));
    gates[at] = next.gates;
    for (std::size_t s = 0; s < states.size(); ++s) {
      states[s] = choose(valid, next.states[s], states[s]);
    }
  }
  std::vector<Value> outputs{stacked(y, 1)};
  outputs.insert(outputs.end(), states.begin(), states.end());
  outputs.push_back(stacked(gates, 0));
  for (const std::vector<Value>& state : before) outputs.push_back(stacked(state, 0));
  return outputs;
}

Recurrence emit_recurrent(const Op& op, const RecurrentLayout& layout, std::vector<Value> inputs,
                          Attributes attributes, const RecurrentOptions& options) {
  if (options.reverse) attributes.push_back({"reverse", std::int64_t{1}});
  if (options.lengths) inputs.push_back(options.lengths);
  const Node& node = emit_node(op, std::move(inputs), std::move(attributes));
  return {node.output(0), node.output(1), layout.states > 1 ? node.output(2) : Value()};
}

// ── backwards ────────────────────────────────────────────────────────────────

Types infer_recurrent_backward(const Node& n, const BackwardLayout& layout) {
  expect_count(n, layout.inputs());
  const Shape& wh = n.inputs[0].shape();
  const Shape& gates = n.inputs[1].shape();
  if (wh.size() != 2 || gates.size() != 3) {
    bad_shape(n, "expected wh [H, gates·H] and gates [T, B, …], got " + to_string(wh) + " and " +
                     to_string(gates));
  }
  const std::int64_t units = wh[0];
  const std::int64_t steps = gates[0];
  const std::int64_t rows = gates[1];
  expect(n, 0, "wh", f32({units, layout.gates * units}));
  expect(n, 1, "gates", f32({steps, rows, layout.saved_gates * units}));
  for (std::size_t i = 2; i <= layout.saved; ++i) {
    expect(n, i, "states", f32({steps, rows, units}));
  }
  expect(n, layout.dy(), "dy", f32({rows, steps, units}));
  const Type state = f32({rows, units});
  for (std::size_t i = 0; i < layout.states; ++i) expect(n, layout.dy() + 1 + i, "dh", state);
  if (lengths_of(n, layout.inputs())) expect(n, layout.inputs(), "lengths", {DType::kI32, {rows}});
  Types types(layout.arguments, f32({steps, rows, layout.gates * units}));
  types.insert(types.end(), layout.arguments, f32({layout.gates * units}));
  types.insert(types.end(), layout.states, state);
  return types;
}

std::vector<Value> unrolled_backward(const Node& n, const BackwardLayout& layout,
                                     const BackwardCell& cell) {
  const std::int64_t steps = n.inputs[1].extent(0);
  const Value dy = n.inputs[layout.dy()];
  const Value lengths = lengths_of(n, layout.inputs());
  const auto first_state = n.inputs.begin() + static_cast<std::ptrdiff_t>(layout.dy()) + 1;
  std::vector<Value> dstates(first_state, first_state + static_cast<std::ptrdiff_t>(layout.states));

  const auto count = static_cast<std::size_t>(steps);
  std::vector<std::vector<Value>> arguments(layout.arguments, std::vector<Value>(count));
  for (std::int64_t i = steps - 1; i >= 0; --i) {
    const std::int64_t t = n.flag("reverse") ? steps - 1 - i : i;
    std::vector<Value> saved;
    for (std::size_t k = 0; k < layout.saved; ++k) saved.push_back(step_of(n.inputs[1 + k], t));
    std::vector<Value> after = dstates;
    after[0] = after[0] + column_of(dy, t);
    const BackwardStep step = cell(saved, after);
    const Value valid = valid_at(lengths, t);
    for (std::size_t k = 0; k < layout.arguments; ++k) {
      arguments[k][static_cast<std::size_t>(t)] =
          choose(valid, step.arguments[k], constant(dy.graph(), 0.0));
    }
    for (std::size_t s = 0; s < dstates.size(); ++s) {
      dstates[s] = choose(valid, step.states[s], dstates[s]);
    }
  }
  std::vector<Value> outputs;
  for (const std::vector<Value>& argument : arguments) outputs.push_back(stacked(argument, 0));
  for (std::size_t k = 0; k < layout.arguments; ++k) outputs.push_back(sum(outputs[k], {0, 1}));
  outputs.insert(outputs.end(), dstates.begin(), dstates.end());
  return outputs;
}

Grads recurrent_gradient(const Node& n, const RecurrentLayout& layout, const Op& backward,
                         std::size_t saved_states, std::span<const Value> dy) {
  for (std::size_t i = layout.saved(); i < dy.size(); ++i) {
    if (dy[i]) return {};
  }
  const Value x = n.inputs[0];
  const Value wx = n.inputs[layout.wx()];
  const Value wh = n.inputs[layout.wh()];
  const std::int64_t rows = x.extent(0);
  const std::int64_t steps = x.extent(1);
  const std::int64_t features = x.extent(2);
  const std::int64_t columns = wx.extent(1);

  std::vector<Value> inputs{wh, n.output(layout.saved())};
  for (std::size_t s = layout.states - saved_states; s < layout.states; ++s) {
    inputs.push_back(n.output(layout.saved() + 1 + s));
  }
  for (std::size_t i = 0; i <= layout.states; ++i) {
    inputs.push_back(dy[i] ? dy[i] : zeros_like(n.output(i)));
  }
  if (const Value lengths = lengths_of(n, layout.inputs())) inputs.push_back(lengths);
  const Node& node = emit_node(backward, std::move(inputs), n.attributes);

  // With one bias the arguments of both products have one cotangent.
  const Value dzx = reshape(node.output(0), {-1, columns});                   // [T·B, gates·H]
  const Value dzh = reshape(node.output(layout.biases - 1), {-1, columns});   // [T·B, gates·H]
  const Value by_step = reshape(transpose(x, {1, 0, 2}), {-1, features});     // [T·B, F]
  const Value h = reshape(n.output(layout.saved() + 1), {-1, wh.extent(0)});  // [T·B, H]
  Grads grads{transpose(reshape(matmul(dzx, transpose(wx)), {steps, rows, features}), {1, 0, 2})};
  for (std::size_t s = 0; s < layout.states; ++s)
    grads.push_back(node.output(2 * layout.biases + s));
  grads.push_back(matmul(transpose(by_step), dzx));
  grads.push_back(matmul(transpose(h), dzh));
  for (std::size_t i = 0; i < layout.biases; ++i) grads.push_back(node.output(layout.biases + i));
  if (lengths_of(n, layout.inputs())) grads.emplace_back();
  return grads;
}

// ── samples ──────────────────────────────────────────────────────────────────

void sample_recurrent(Sampler& s, const RecurrentLayout& layout, const RecurrentMaker& make) {
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
  s.check(masked.c ? masked.c : masked.h);
}

void sample_recurrent_backward(Sampler& s, const BackwardLayout& layout, const Op& op,
                               const Attributes& attributes) {
  const auto sample = [&](std::int64_t rows, bool reverse, Value lengths) -> const Node& {
    constexpr std::int64_t kSteps = 2;
    constexpr std::int64_t kUnits = 2;
    std::vector<Value> inputs{s.uniform({kUnits, layout.gates * kUnits}, -1, 1),
                              s.uniform({kSteps, rows, layout.saved_gates * kUnits}, 0.1, 0.9)};
    for (std::size_t i = 1; i < layout.saved; ++i) {
      inputs.push_back(s.uniform({kSteps, rows, kUnits}, -1, 1));
    }
    inputs.push_back(s.uniform({rows, kSteps, kUnits}, -1, 1));
    for (std::size_t i = 0; i < layout.states; ++i) {
      inputs.push_back(s.uniform({rows, kUnits}, -1, 1));
    }
    if (lengths) inputs.push_back(lengths);
    Attributes all = attributes;
    if (reverse) all.push_back({"reverse", std::int64_t{1}});
    return emit_node(op, std::move(inputs), std::move(all));
  };
  const Node& plain = sample(2, false, {});
  for (std::size_t i = 0; i < layout.state(); ++i) s.check(plain.output(i));
  s.check(sample(1, true, {}).output(layout.state()));
  const Node& masked = sample(3, false, s.integers({3}, 3));
  for (std::size_t i = 0; i < masked.types.size(); ++i) s.check(masked.output(i));
}

}  // namespace chainrule
