// The ops: functions that append a node to the graph of their inputs and return its value. All take
// and give f32 unless they say otherwise. In contracts, `gradient` gives the derivative of a scalar
// with respect to an input in terms of dy, its derivative with respect to the output.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "chainrule/graph.h"

namespace chainrule {

// ── constants ────────────────────────────────────────────────────────────────

/// A value of that shape with every element equal to `value`.
Value constant(Graph& graph, double value, Shape shape = {});

// ── arithmetic, elementwise ──────────────────────────────────────────────────
// Operands of different shapes are joined by NumPy's rule: axes align at the right and an extent of
// 1 stretches. The stretching is a broadcast_to node of its own, so the graph stays explicit.
//
// throws  ShapeError naming both shapes when they cannot be joined.
// Example:  Value z = matmul(x, w) + b;   // [32,10] + [10]

/// y = a + b.  gradient da = dy, db = dy.
Value operator+(Value a, Value b);
Value operator+(Value a, double b);
Value operator+(double a, Value b);
/// y = a − b.  gradient da = dy, db = −dy.
Value operator-(Value a, Value b);
Value operator-(Value a, double b);
Value operator-(double a, Value b);
/// y = a ⊙ b.  gradient da = dy ⊙ b, db = dy ⊙ a.
Value operator*(Value a, Value b);
Value operator*(Value a, double b);
Value operator*(double a, Value b);
/// y = a / b.  gradient da = dy / b, db = −dy ⊙ y / b.
Value operator/(Value a, Value b);
Value operator/(Value a, double b);
Value operator/(double a, Value b);
/// y = −x.  gradient dx = −dy.
Value operator-(Value x);
/// y = aᵇ.  gradient da = dy ⊙ b ⊙ aᵇ⁻¹, db = dy ⊙ y ⊙ log a; where a = 0, da = 0 for b = 0 and
/// db = 0 for b ≥ 0.
Value pow(Value a, Value b);
Value pow(Value a, double b);
/// y = max(a, b) elementwise.  gradient dy to the larger, half of it to each where a = b; for
/// max(x, c) with a number c, dx = dy ⊙ [x > c].
Value maximum(Value a, Value b);
Value maximum(Value a, double b);
/// y = min(a, b) elementwise.  gradient dy to the smaller, half of it to each where a = b; for
/// min(x, c) with a number c, dx = dy ⊙ [x ≤ c].
Value minimum(Value a, Value b);
Value minimum(Value a, double b);

/// 1 where the comparison holds, else 0 (Iverson's bracket).  gradient 0.
Value less(Value a, Value b);
Value less_equal(Value a, Value b);
Value greater(Value a, Value b);
Value greater_equal(Value a, Value b);
Value equal(Value a, Value b);
Value not_equal(Value a, Value b);
Value less(Value a, double b);
Value less_equal(Value a, double b);
Value greater(Value a, double b);
Value greater_equal(Value a, double b);

/// y = a where condition ≠ 0, else b.  gradient da = dy ⊙ [c ≠ 0], db = dy ⊙ [c = 0].
Value where(Value condition, Value a, Value b);

// ── functions, elementwise ───────────────────────────────────────────────────

/// y = eˣ.  gradient dx = dy ⊙ y.
Value exp(Value x);
/// y = eˣ − 1, exact to the last digits near 0 too.  gradient dx = dy ⊙ eˣ.
Value expm1(Value x);
/// y = ln x; −∞ at 0, NaN below.  gradient dx = dy / x.
Value log(Value x);
/// y = ln(1 + x), exact to the last digits near 0 too; −∞ at −1, NaN below.
/// gradient  dx = dy / (1 + x).
Value log1p(Value x);
/// y = √x; NaN below 0.  gradient dx = dy / 2y.
Value sqrt(Value x);
/// y = |x|.  gradient dx = dy ⊙ sign x.
Value abs(Value x);
/// y = −1, 0 or 1.  gradient 0.
Value sign(Value x);
/// y = sin x.  gradient dx = dy ⊙ cos x.
Value sin(Value x);
/// y = cos x.  gradient dx = −dy ⊙ sin x.
Value cos(Value x);
/// y = 2/√π ∫₀ˣ e^(−t²) dt.  gradient dx = dy ⊙ 2/√π e^(−x²).
Value erf(Value x);
/// y = x².  gradient dx = 2 dy ⊙ x.
Value square(Value x);

/// y = max(x, 0).  gradient dx = dy ⊙ [x > 0].
Value relu(Value x);
/// y = x where x > 0, else slope·x.  gradient dx = dy where x > 0, else slope·dy.
Value leaky_relu(Value x, double slope = 0.01);
/// y = x where x > 0, else alpha·(eˣ − 1).  gradient dx = dy where x > 0, else dy ⊙ alpha·eˣ.
/// Source: Clevert et al., 2015.
Value elu(Value x, double alpha = 1.0);
/// y = 1 / (1 + e⁻ˣ), without overflow.  gradient dx = dy ⊙ y ⊙ (1 − y).
Value sigmoid(Value x);
/// y = tanh x.  gradient dx = dy ⊙ (1 − y²).
Value tanh(Value x);
/// y = ln(1 + eˣ), without overflow.  gradient dx = dy ⊙ sigmoid(x).
Value softplus(Value x);
/// y = x·Φ(x), Φ the normal distribution function.  Source: Hendrycks & Gimpel, 2016.
Value gelu(Value x);
/// y = x/2·(1 + tanh(√(2/π)·(x + 0.044715 x³))), the usual approximation of gelu.
Value gelu_tanh(Value x);
/// y = x·sigmoid(x).  Source: Elfwing et al., 2017.
Value silu(Value x);
/// y = x/(1 + |x|).  Source: Bergstra et al., 2009.
Value softsign(Value x);
/// y = 1.0507·(x where x > 0, else 1.6733·(eˣ − 1)): zero mean and unit variance are a fixed point.
/// Source: Klambauer et al., 2017.
Value selu(Value x);
/// y = x·tanh(softplus(x)).  Source: Misra, 2019.
Value mish(Value x);
/// y = 0 up to −3, 1 from 3 on, x/6 + 1/2 between; gradient 0 at −3 and 3.
Value hardsigmoid(Value x);
/// y = x·hardsigmoid(x); gradient 0 at −3 and 1 at 3.  Source: Howard et al., 2019.
Value hardswish(Value x);

// ── shape ────────────────────────────────────────────────────────────────────

/// y[…, i, …] = x repeated along new leading axes and along axes of extent 1.
///
/// throws    ShapeError when x's shape does not stretch to `shape`.
/// gradient  dx = Σ dy over the repeated axes.
Value broadcast_to(Value x, Shape shape);

/// The same elements, row-major, in another shape; one extent may be −1 and is inferred.
///
/// throws    ShapeError when the number of elements differs.
/// gradient  dx = reshape(dy, shape of x).
Value reshape(Value x, Shape shape);

/// y's axis i is x's axis permutation[i]; without a permutation the last two axes swap.
///
/// throws    ShapeError when it is no permutation of x's axes.
/// gradient  dx = transpose(dy, inverse permutation).
Value transpose(Value x, std::vector<std::int64_t> permutation);
Value transpose(Value x);

/// The inputs one after another along `axis`; their other extents are equal.
/// gradient  each input's part of dy.
Value concatenate(const std::vector<Value>& inputs, std::int64_t axis);

/// y = x[starts[0]:stops[0], starts[1]:stops[1], …].
///
/// requires  0 ≤ start ≤ stop ≤ extent for every axis.
/// gradient  dx = pad(dy) with zeros where x was cut off.
Value slice(Value x, std::vector<std::int64_t> starts, std::vector<std::int64_t> stops);

/// x with before[i] and after[i] zeros added around axis i.
/// gradient  dx = slice(dy).
Value pad(Value x, std::vector<std::int64_t> before, std::vector<std::int64_t> after);

/// y[i…, :] = table[indices[i…], :]: rows of the first axis.
///
/// table: [R, …] f32    indices: [I…] i32    y: [I…, …]
/// requires  0 ≤ index < R; out of range is an error when it runs.
/// gradient  dtable = scatter_add(dy, indices, R).
Value gather(Value table, Value indices);

/// y[r, :] = Σ over i… with indices[i…] = r of x[i…, :]; y: [rows, …].
/// gradient  dx = gather(dy, indices).
Value scatter_add(Value x, Value indices, std::int64_t rows);

/// y[i…, c] = [labels[i…] = c].
///
/// labels: [I…] i32    y: [I…, classes] f32
/// requires  0 ≤ label < classes; out of range is an error when it runs.
Value one_hot(Value labels, std::int64_t classes);

/// The i32 numbers as f32.
Value to_float(Value x);

// ── reductions ───────────────────────────────────────────────────────────────
// Negative axes count from the end; no axes means all of them. With keep_axes the reduced axes
// stay, with extent 1.

/// y = Σ x over `axes`.  gradient dx = dy repeated over the axes.
Value sum(Value x, std::vector<std::int64_t> axes = {}, bool keep_axes = false);
/// y = Σ x / n over `axes`.
Value mean(Value x, std::vector<std::int64_t> axes = {}, bool keep_axes = false);
/// y = Σ (x − mean x)² / n over `axes`.  gradient dx = dy · 2·(x − mean x)/n.
Value variance(Value x, std::vector<std::int64_t> axes = {}, bool keep_axes = false);
/// y = the largest x over `axes`.  gradient dy, shared evenly by the elements that attain it.
Value max(Value x, std::vector<std::int64_t> axes = {}, bool keep_axes = false);
/// The index of the largest element of the last axis, the first of equals.  x: […, N]  y: […] i32
Value argmax(Value x);

// ── products ─────────────────────────────────────────────────────────────────

/// Matrix product over the last two axes.
///
///     y[..., m, n] = Σ_k a[..., m, k] · b[..., k, n]
///
/// a: [..., M, K]    b: [..., K, N]    y: [..., M, N]
/// requires  equal leading axes (no implicit broadcasting; see `broadcast_to`).
/// gradient  da = dy·bᵀ,  db = aᵀ·dy.
/// throws    ShapeError naming both shapes.
///
/// Example:  Value logits = matmul(x, w);   // [32,784]·[784,10] → [32,10]
Value matmul(Value a, Value b);

// ── normalisation ────────────────────────────────────────────────────────────

/// y = gamma ⊙ x̂ + beta with x̂ = (x − mean)/√(variance + epsilon), both of each row.
///
/// x: [..., C]    gamma, beta: [C]    y: [..., C]
/// gradient  dx = 1/σ·(g − mean(g) − x̂·mean(g ⊙ x̂)), g = dy ⊙ gamma;  dgamma = Σ dy ⊙ x̂,
///           dbeta = Σ dy.
/// throws    ShapeError naming the shapes.
/// Source: Ba et al., 2016.
Value layer_norm(Value x, Value gamma, Value beta, double epsilon = 1e-5);

/// y = gamma ⊙ (x − mean) / √(variance + epsilon) + beta, computed as x ⊙ scale + shift.
///
/// x: [..., C]    mean, variance, gamma, beta: [C]    y: [..., C]
/// scale = gamma / √(variance + epsilon) and shift = beta − mean ⊙ scale are C numbers, so that the
/// elements cost one product and one sum.  Source: Ioffe & Szegedy, 2015.
Value normalize(Value x, Value mean, Value variance, Value gamma, Value beta,
                double epsilon = 1e-5);

// ── softmax and losses ───────────────────────────────────────────────────────

/// y[…, i] = eˣⁱ / Σⱼ eˣʲ over the last axis, without overflow.
/// gradient  dx = y ⊙ (dy − Σ dy ⊙ y).
Value softmax(Value x);
/// y = ln softmax(x), without overflow.  gradient dx = dy − eʸ ⊙ Σ dy.
Value log_softmax(Value x);

/// Cross-entropy of probabilities, averaged over the rows.
///
///     y = −1/B Σ_b Σ_n target[b, n] · ln(p[b, n] + epsilon)
///
/// p: [..., N]    target: [..., N] f32, or labels [...] i32    y: []
/// epsilon guards the logarithm. When p = softmax(z), simplify() replaces the chain of the two
/// derivatives by the limit epsilon → 0, dz = (p − target)/B, which is also the stabler form.
/// With weights, f32 [...], a number for each row, it is the weighted mean, Σ w·y / Σ w.
Value cross_entropy(Value p, Value target, double epsilon = 1e-9);
Value cross_entropy(Value p, Value target, double epsilon, Value weights);

/// Cross-entropy of softmax(logits), averaged over the rows, without overflow.
///
///     y = −1/B Σ_b Σ_n t[b, n] · ln softmax(logits)[b, n],   t = (1 − smoothing)·target +
///     smoothing/N
///
/// logits: [..., N]    target: [..., N] f32, or labels [...] i32    y: []
/// weights as in cross_entropy.
/// gradient  dlogits = (softmax(logits) − t)/B · dy.
/// Source: Szegedy et al., 2015, for label smoothing.
Value softmax_cross_entropy(Value logits, Value target, double smoothing = 0.0);
Value softmax_cross_entropy(Value logits, Value target, double smoothing, Value weights);

/// Mean over all elements of −t ln σ(x) − (1 − t) ln(1 − σ(x)) = softplus(x) − x·t.
Value binary_cross_entropy(Value logits, Value target);
/// Mean of (x − t)².
Value mean_squared_error(Value x, Value target);
/// Mean of |x − t|.
Value mean_absolute_error(Value x, Value target);
/// Mean of r²/2 where |r| ≤ delta, else delta·(|r| − delta/2), with r = x − t.  Source: Huber,
/// 1964.
Value huber(Value x, Value target, double delta = 1.0);

// ── random numbers ───────────────────────────────────────────────────────────
// Counter-based: an element depends on (seed, stream, step, its position) only. `step` is an f32
// scalar input that counts the runs; `stream` tells apart the random nodes of one graph.

/// Uniform on [0, 1), multiples of 2⁻²⁴.
Value random_uniform(Value step, Shape shape, std::int64_t seed, std::int64_t stream);
/// Normal, mean 0 and variance 1.  Source: Box & Muller, 1958.
Value random_normal(Value step, Shape shape, std::int64_t seed, std::int64_t stream);
/// y = x / (1 − rate) with probability 1 − rate, else 0.  Source: Srivastava et al., 2014.
Value dropout(Value x, double rate, Value step, std::int64_t seed, std::int64_t stream);

// ── parameter updates ────────────────────────────────────────────────────────
// Output i is the next value of input i; lr and step (1 at the first update) are f32 scalars.

struct SgdOptions {
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
};
/// g' = g + decay·w;  v' = momentum·v + g';  w' = w − lr·v'  (Nesterov: w − lr·(g' + momentum·v')).
/// Without momentum there is no v: pass the empty Value and take one output.
std::vector<Value> sgd_update(Value w, Value v, Value g, Value lr, SgdOptions options = {});

struct RmspropOptions {
  double decay = 0.99;
  double epsilon = 1e-8;
  bool centered = false;
  double momentum = 0.0;
  double weight_decay = 0.0;
};
/// s' = ρs + (1 − ρ)g²;  centred: a' = ρa + (1 − ρ)g, d = max(s' − a'², 0), else d = s';
/// u = g/(√d + ε);  momentum: v' = μv + u, w' = w − lr·v', else w' = w − lr·u.
/// `states` holds s, then a when centred, then v with momentum.  Source: Tieleman & Hinton, 2012.
std::vector<Value> rmsprop_update(Value w, std::vector<Value> states, Value g, Value lr,
                                  RmspropOptions options = {});

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  bool decoupled = false;  // AdamW: w shrinks by lr·decay instead of the decay joining g
};
/// m' = β₁m + (1 − β₁)g;  v' = β₂v + (1 − β₂)g²;
/// w' = w − lr · (m'/(1 − β₁ᵗ)) / (√(v'/(1 − β₂ᵗ)) + ε),  t = step.
/// Source: Kingma & Ba, 2014; decoupled decay: Loshchilov & Hutter, 2017.
std::vector<Value> adam_update(Value w, Value m, Value v, Value g, Value lr, Value step,
                               AdamOptions options = {});

/// The same with the largest v' so far in its place: √ of largest' = max(largest, v').
/// Source: Reddi et al., 2018 (AMSGrad).
std::vector<Value> amsgrad_update(Value w, Value m, Value v, Value largest, Value g, Value lr,
                                  Value step, AdamOptions options = {});

struct NadamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double momentum_decay = 0.004;
  double weight_decay = 0.0;
  bool decoupled = false;  // as in AdamOptions
};
/// Adam with Nesterov's momentum: with μₜ = β₁(1 − 0.96^(t·momentum_decay)/2) and
/// cₜ = 1 − μ₁μ₂…μₜ,
///     m' = β₁m + (1 − β₁)g;  v' = β₂v + (1 − β₂)g²;
///     u = (1 − μₜ)g/cₜ + μₜ₊₁m'/cₜ₊₁;  w' = w − lr · u / (√(v'/(1 − β₂ᵗ)) + ε).
/// `c` is cₜ: [], as nadam_correction gives it.  Source: Dozat, 2016.
std::vector<Value> nadam_update(Value w, Value m, Value v, Value g, Value lr, Value step, Value c,
                                NadamOptions options = {});
/// cₜ from cₜ₋₁, which is 0 before the first step.
Value nadam_correction(Value c, Value step, NadamOptions options = {});

struct AdagradOptions {
  double epsilon = 1e-10;
  double weight_decay = 0.0;
};
/// g' = g + decay·w;  s' = s + g'²;  w' = w − lr·g'/(√s' + ε).  Source: Duchi et al., 2011.
std::vector<Value> adagrad_update(Value w, Value s, Value g, Value lr, AdagradOptions options = {});

struct AdadeltaOptions {
  double rho = 0.9;
  double epsilon = 1e-6;
  double weight_decay = 0.0;
};
/// g' = g + decay·w;  s' = ρs + (1 − ρ)g'²;  u = √(d + ε)/√(s' + ε)·g';
/// d' = ρd + (1 − ρ)u²;  w' = w − lr·u.  Source: Zeiler, 2012, where lr = 1.
std::vector<Value> adadelta_update(Value w, Value s, Value d, Value g, Value lr,
                                   AdadeltaOptions options = {});

struct LionOptions {
  double beta1 = 0.9;
  double beta2 = 0.99;
  double weight_decay = 0.0;
};
/// w' = w − lr·(sign(β₁m + (1 − β₁)g) + decay·w);  m' = β₂m + (1 − β₂)g.
/// Source: Chen et al., 2023.
std::vector<Value> lion_update(Value w, Value m, Value g, Value lr, LionOptions options = {});

struct MuonOptions {
  double momentum = 0.95;
  bool nesterov = true;
  std::int64_t steps = 5;  // of the iteration
  double weight_decay = 0.0;
};
/// For matrices [R, C]; of other parameters the last axis is C and the others together are R.
///
///     m' = μm + (1 − μ)g;  u = m'  (Nesterov: (1 − μ)g + μm');
///     X = u/max(‖u‖, 1e-7), then `steps` times X ← aX + (bA + cA²)X, A = XXᵀ
///     w' = w − lr·(0.2·√max(R, C)·X + decay·w)
///
/// with a, b, c = 3.4445, −4.7750, 2.0315: X comes near the orthogonal matrix nearest to u. The
/// factor gives the update the size of Adam's, so that one learning rate serves both.
/// Source: Jordan, "Muon", 2024; Liu et al., "Muon is scalable for LLM training", 2025 (factor).
std::vector<Value> muon_update(Value w, Value m, Value g, Value lr, MuonOptions options = {});

/// The exponential moving average of weights, without a bias towards its first value:
///
///     average' = average + (1 − β)/(1 − βᵗ)·(w − average) = Σᵢ βᵗ⁻ⁱwᵢ / Σᵢ βᵗ⁻ⁱ
///
/// `w` is the weight after its own update.  Source: Polyak & Juditsky, 1992; the division as in
/// Kingma & Ba, 2014.
Value weight_average_update(Value average, Value w, Value step, double decay = 0.999);

}  // namespace chainrule
