// Networks as data: a list of layers, written in C++ or as one line of text, that builds graph
// nodes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/graph.h"
#include "chainrule/phrase.h"
#include "chainrule/reference.h"

namespace chainrule {

// ── initial values ───────────────────────────────────────────────────────────

/// How a weight gets its initial values; fan_in and fan_out are the numbers of its inputs and
/// outputs.
///
///     constant:c          w = c                    (zeros, ones are short for 0 and 1)
///     normal:s            w ~ N(0, s²)
///     uniform:a           w ~ U(−a, a)
///     xavier_normal[:g]   w ~ N(0, s²),  s = g·√(2/(fan_in + fan_out)),  g = 1
///     xavier_uniform[:g]  w ~ U(−a, a),  a = g·√(6/(fan_in + fan_out)),  g = 1
///     he_normal[:g]       w ~ N(0, s²),  s = g·√(1/fan_in),  g = √2
///     he_uniform[:g]      w ~ U(−a, a),  a = g·√(3/fan_in),  g = √2
///     orthogonal[:g]      w·wᵀ = g²·I (wᵀ·w where w is tall), evenly over all such w,  g = 1
///
/// glorot_… and kaiming_… are the same as xavier_… and he_…. Of a recurrent layer's weight, each
/// gate's columns are orthogonal by themselves.
/// Source: Glorot & Bengio, 2010, equation 16; He et al., 2015, equations 10 and 15 (after a leaky
/// ReLU of that slope g = √(2/(1 + slope²))); Saxe et al., 2013, for orthogonal.
struct Initializer {
  enum class Kind {
    kConstant,
    kNormal,
    kUniform,
    kXavierNormal,
    kXavierUniform,
    kHeNormal,
    kHeUniform,
    kOrthogonal
  };
  Kind kind = Kind::kConstant;
  double value = 0;  // the constant, the standard deviation, the limit or the gain

  /// throws  UsageError listing the names when the text is none of them.
  ///
  /// Example:  Initializer::parse("normal:0.01")
  static Initializer parse(std::string_view text);
  std::string to_text() const;
  bool operator==(const Initializer&) const = default;
};

// ── layers ───────────────────────────────────────────────────────────────────

/// The layers as C++ calls; the text form has the same names.
namespace layers {
/// y = x·W + b over the last axis; W: [inputs, units], b: [units].
Phrase linear(std::int64_t units, bool bias = true, std::optional<Initializer> init = {});
Phrase relu();
Phrase leaky_relu(double slope = 0.01);
Phrase elu(double alpha = 1.0);
Phrase sigmoid();
Phrase tanh();
Phrase softplus();
Phrase gelu();
Phrase gelu_tanh();
Phrase silu();
/// Any function of one number without options, those above too: "softsign", "selu", "mish",
/// "hardsigmoid", "hardswish", …
Phrase activation(const std::string& name);
Phrase softmax();
/// In training, drops each element with probability `rate` and scales the rest by 1/(1 − rate).
Phrase dropout(double rate);
/// [B, …] → [B, the product of the rest].
Phrase flatten();
/// [B, …] → [B, extents…].
Phrase reshape(const Shape& extents);
/// Row x of a table, W[x]: [B, …] i32, each 0 … vocabulary − 1, → [B, …, units].
Phrase embedding(std::int64_t units, std::int64_t vocabulary);

/// A number of pixels down and across, as {3, 5}; one number stands for both.
struct Pixels {
  std::int64_t down = 1;
  std::int64_t across = 1;
  Pixels(std::int64_t both) : down(both), across(both) {}
  Pixels(std::int64_t rows, std::int64_t columns) : down(rows), across(columns) {}
};
inline constexpr std::int64_t kSame = -1;   // padding: with stride 1 the output is as large as x
inline constexpr std::int64_t kValid = -2;  // padding: none

/// What the convolutions have in common. conv1d takes one number of each.
struct ConvolutionLayer {
  Pixels kernel = 3;
  Pixels stride = 1;
  Pixels padding = kSame;  // or kValid, or a number of pixels
  Pixels dilation = 1;
  std::int64_t groups = 1;  // as many as there are channels: depthwise
  bool bias = true;
};
/// [B, H, W, C] → [B, OH, OW, units]; W: [KH, KW, C/groups, units], b: [units].
/// Example:  layers::conv2d(16, {.kernel = {3, 5}, .stride = 2})
Phrase conv2d(std::int64_t units, const ConvolutionLayer& options = {});
/// [B, T, C] → [B, OT, units].
Phrase conv1d(std::int64_t units, const ConvolutionLayer& options = {});
/// [B, H, W, C] → [B, (H − 1)·stride + kernel, …, units].
Phrase conv2d_transpose(std::int64_t units, std::int64_t kernel = 2, std::int64_t stride = 2);
/// [B, H, W, C] → [B, OH, OW, C], or [B, T, C] → [B, OT, C]; a window moves by its own size.
Phrase max_pool(std::int64_t kernel = 2);
Phrase average_pool(std::int64_t kernel = 2);
/// [B, …, C] → [B, C].
Phrase global_max_pool();
Phrase global_average_pool();

/// y = γ ⊙ (x − μ)/√(σ² + ε) + β for each feature, with μ and σ² of the batch in training, and in
/// prediction the running ones, which move by `momentum` a step. σ² divides by n, the numbers of a
/// feature in the batch; the running one follows σ²·n/(n − 1), the unbiased variance, as in
/// PyTorch. Training needs n ≥ 2.  Source: Ioffe & Szegedy, 2015.
Phrase batch_norm(double momentum = 0.1);
/// The same with μ and σ² of each row of features.  Source: Ba et al., 2016.
Phrase layer_norm();
/// y = γ ⊙ x/√(mean x² + ε) over the features.  Source: Zhang & Sennrich, 2019.
Phrase rms_norm();
/// μ and σ² of each example's groups of channels.  Source: Wu & He, 2018.
Phrase group_norm(std::int64_t groups);

/// What the recurrent layers have in common.
struct RecurrentLayer {
  std::int64_t layers = 1;  // one above the other
  bool bidirectional = false;
  bool sequence = false;  // all states [B, T, units] instead of the last one [B, units]
  double dropout = 0;     // between the layers, in training
  bool stateful = false;  // a batch begins with the state that the one before it ended with
};
/// [B, T, inputs] → [B, units] or [B, T, units], twice as wide when bidirectional; the formulas
/// stand in recurrent.h. `activation` is tanh or relu.
Phrase rnn(std::int64_t units, const RecurrentLayer& options = {},
           const std::string& activation = "tanh");
Phrase lstm(std::int64_t units, const RecurrentLayer& options = {});
Phrase gru(std::int64_t units, const RecurrentLayer& options = {});
}  // namespace layers

// ── layers that hold layers ──────────────────────────────────────────────────
namespace layers {
/// y = x + f(x), f being the layers; with a shortcut, y = shortcut(x) + f(x).
/// Text: residual (conv2d 32, relu, conv2d 32) shortcut=(conv2d 32 1).  Source: He et al., 2015.
Phrase residual(const std::vector<Phrase>& layers, const std::vector<Phrase>& shortcut = {});
/// Each branch sees x; their results are joined: "concatenate" along the last axis, or "add".
/// Text: parallel (conv2d 8 1 | conv2d 8 5 | max_pool 3 stride=1 padding=same) join=concatenate.
Phrase parallel(const std::vector<std::vector<Phrase>>& branches,
                const std::string& join = "concatenate");
/// The layers `count` times in a row, each time with parameters of their own.
/// Text: repeat 3 (linear 64, relu).
Phrase repeat(std::int64_t count, const std::vector<Phrase>& layers);
/// y = x: a branch that does nothing.
Phrase identity();
}  // namespace layers

// ── layers of one's own ──────────────────────────────────────────────────────
namespace layers {
/// y = function(x), made of ops without parameters; the gradient follows from theirs. From then on
/// every text may name it, model files too, which load where the program has added the layer first.
/// A second function under the same name takes the place of the first.
///
/// x: [B, …]    → [B, …]
/// throws  UsageError for a name that is not of small letters, digits and underscores, or that a
///         layer of chainrule has.
///
/// Example:  Sequential({linear(8), layer("squared", [](Value x) { return x * x; }), linear(1)})
Phrase layer(const std::string& name, std::function<Value(Value)> function);
}  // namespace layers

// ── attention ────────────────────────────────────────────────────────────────
namespace layers {
struct AttentionLayer {
  bool causal = false;  // a step reads those before it and itself
  bool rotary = false;  // queries and keys are turned by their places: rotary() in attention.h
  bool memory = false;  // keys and values are made of BuildOptions::memory, not of x
  double dropout = 0;   // of the weights by which steps are read, in training
  bool bias = true;
};
/// y = attention(x·W_q + b_q, s·W_k + b_k, s·W_v + b_v)·W_o + b_o with s = x, or the memory.
/// x: [B, T, C]. `heads` divides C. Source: Vaswani et al., 2017.
Phrase attention(std::int64_t heads, const AttentionLayer& options = {});
/// y[t] = x[t] + w[t], w: [length, C] learned; sequences may be shorter.
Phrase positions(std::int64_t length);
/// y[t] = x[t] + sines and cosines of t, as sinusoidal_positions() in attention.h has them.
Phrase sinusoidal_positions();

/// What encoder and decoder blocks have in common.
struct TransformerLayer {
  std::int64_t layers = 1;  // blocks, one after the other
  bool causal = false;      // as in GPT; a decoder is so anyway
  bool rotary = false;
  std::int64_t hidden = 0;  // units between the two linear layers; 0: four times the features
  std::string activation = "gelu";
  std::string norm = "pre";  // or "post": before each part, or behind each sum
  double dropout = 0;        // of attention's weights and of what is added, in training
  bool bias = true;
};
/// Blocks of x + attention(norm x), then x + linear(activation(linear(norm x))). Each is composed
/// of the layers residual, layer_norm, attention, linear and dropout. Weights start from N(0,
/// 0.02²), those of the last product of each part divided by √(the number of parts) (Radford et
/// al., 2019). GPT is embedding, positions, transformer with causal, layer_norm, linear.
Phrase transformer(std::int64_t heads, const TransformerLayer& options = {});
/// The same with a third part between the two: attention to BuildOptions::memory.
Phrase transformer_decoder(std::int64_t heads, const TransformerLayer& options = {});
}  // namespace layers

/// A line for each kind of layer: how it is written and what it does.
std::string layer_reference();

enum class Mode {
  kTrain,    // dropout drops
  kPredict,  // the network as it is used
};

/// What building a network needs beside its input.
struct BuildOptions {
  Mode mode = Mode::kPredict;
  Value step = {};        // f32 scalar that counts training steps; needed by dropout in training
  std::int64_t seed = 0;  // of dropout
  std::optional<Initializer> init = {};  // for weights whose layer does not state its own
  Value lengths = {};  // i32[B]: how many steps of each row count, for recurrent layers and as what
                       // attention may read; empty: all
  Value memory = {};   // f32[B, S, C]: what layers with `memory` read, a decoder's encoder
  Value memory_lengths = {};  // i32[B]: how many steps of each row of the memory count; empty: all
  bool carry = false;         // in prediction too, a stateful layer goes on from the state before
  std::string prefix = {};    // of the parameters' names, as "encoder.": two networks in one graph
                              // need two
};

/// One parameter of a network.
struct ParameterInfo {
  std::string name;  // "3.weight": of layer 3, counted from 1; "3.1.weight": of the first it holds
  Shape shape;
  std::size_t layer = 0;  // counted from 1; of a nested layer, the outermost that holds it
  Initializer initializer;
  std::int64_t fan_in = 1;
  std::int64_t fan_out = 1;
  bool trained = true;  // false for running statistics, which the graph updates by itself
  std::vector<double> parts = {};  // initial values of equal parts (a bias's gates), when not empty
};

/// One layer of a network, nested or not.
struct BuiltLayer {
  std::string number;     // "3", or "3.1" for the first layer that layer 3 holds
  std::string text;       // "conv2d 16"; what a layer holds is "(…)"
  std::size_t depth = 0;  // 0 for the layers of the list itself
  bool again = false;     // of a round of repeated layers that is not the first
  Value output;
};

/// A network as nodes of a graph.
struct Network {
  Value output;
  /// With BuildOptions::lengths: true when the output's axis 1 is the steps that they count, and
  /// not something that a layer has made since.
  bool output_is_sequence = false;
  std::int64_t least_batch = 1;  // rows that a batch must have in training: see Sequential
  std::vector<Value> trained;    // the parameters that an optimiser is to change
  std::vector<ParameterInfo> parameters;
  std::vector<Value> layer_outputs;  // one for each layer of the list
  std::vector<BuiltLayer> layers;    // nested ones too, each behind the one that holds it
};

/// A chain of layers. Sizes of the inputs are inferred when it is built.
class Sequential {
 public:
  Sequential() = default;
  explicit Sequential(std::vector<Phrase> layers) : layers_(std::move(layers)) {}

  /// Reads one line of text: layers divided by commas. Some hold layers in parentheses.
  ///
  /// throws  UsageError naming the column and the nearest known layer or option.
  ///
  /// Example:  Sequential::parse("linear 128, relu, dropout 0.2, linear 10")
  ///           Sequential::parse("conv2d 16, residual (relu, conv2d 16), flatten, linear 10")
  static Sequential parse(std::string_view text);

  /// Canonical: parse(to_text()) is the same network.
  std::string to_text() const;

  const std::vector<Phrase>& layers() const { return layers_; }

  /// Appends the network to the graph of `x`, declaring its parameters as "1.weight", "1.bias", …,
  /// "3.1.weight" for the first layer that layer 3 holds, behind BuildOptions::prefix.
  ///
  /// x: [B, …]
  /// throws  ShapeError naming the layer, the shape it expects and the one that came.
  ///
  /// Example:  Value logits = Sequential::parse("linear 10").build(x).output;
  Network build(Value x, const BuildOptions& options = {}) const;

  /// What the network takes: i32 when its first layer is an embedding, else f32.
  DType input_dtype() const;

  /// The parameters for examples of shape `input` (without the batch axis).
  std::vector<ParameterInfo> parameters(const Shape& input,
                                        std::optional<Initializer> init = {}) const;

  /// The shape of one output (without the batch axis) for examples of shape `input`.
  Shape output_shape(const Shape& input) const;

  /// How many rows a batch must have in training: 2 where batch_norm would see one number of a
  /// feature in a batch of one row, which has no variance; else 1.
  std::int64_t least_batch(const Shape& input) const;

  /// A table: each layer with its output shape and its number of parameters; below a layer stand
  /// those that it holds.
  std::string summary(const Shape& input) const;

  bool operator==(const Sequential&) const = default;

 private:
  std::vector<Phrase> layers_;
};

/// True for what a stateful layer leaves to the next batch, as "1.state.32.h" of layer 1 for
/// batches of 32 rows, with or without a prefix: a parameter of the graph, but of no model.
bool is_recurrent_state(std::string_view parameter);

/// Initial values for every parameter, f32. Each number depends on the seed, the parameter's place in
/// the list and its own position, never on an order or on threads.
///
/// A weight without a stated initialiser gets he_normal when a ReLU-like layer follows (relu,
/// leaky_relu, elu, softplus, gelu, silu, mish, hardswish; selu with gain 1), xavier_uniform when
/// anything else does; biases are 0.
///
/// Example:  const TensorMap weights = initialize(model, {784}, 42);
TensorMap initialize(const Sequential& model, const Shape& input, std::uint64_t seed,
                     std::optional<Initializer> init = {});

}  // namespace chainrule
