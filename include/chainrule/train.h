// Training: the whole step as one graph, the loop over epochs, and how good the result is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chainrule/data.h"
#include "chainrule/images.h"
#include "chainrule/nn.h"
#include "chainrule/optim.h"
#include "chainrule/program.h"

namespace chainrule {

// ── the step as a graph ──────────────────────────────────────────────────────

struct StepOptions {
  Optimizer optimizer = {};
  Clip clip = {};
  std::int64_t seed = 0;       // of dropout
  double label_smoothing = 0;  // classes: see softmax_cross_entropy
  bool mixup = false;          // each row is mixed with another
  bool lengths = false;        // rows are padded sequences: see training_step
  std::vector<std::size_t> frozen =
      {};  // numbers of layers, from 1, whose weights stay as they are
};

/// Forward pass, loss, gradients, clipping and updates for one batch, as one graph.
///
///     inputs   x: f32[B, …] (i32 for an embedding), lr: [], step: [],
///              target: i32[B] or i32[B, T] (classes) or f32[B, N] (regression)
///     outputs  loss: [], and for classes correct: [], the number of targets classified rightly
///
/// `input` is the shape of one batch. With classes > 0 the loss is the cross-entropy of the softmax
/// of the network's outputs (of the outputs themselves when the last layer is a softmax), averaged
/// over all targets: one a row, or one a step where the network gives [B, T, classes]. With 0 it is
/// the mean squared error, and N is what the network gives.
///
/// With mixup the graph has two more inputs, mix: [] and partner: i32[B], and learns from
/// mix·x + (1 − mix)·x[partner] with targets mixed in the same way; `correct` counts the rows' own
/// labels.  Source: Zhang et al., 2017; label smoothing: Szegedy et al., 2015.
///
/// With lengths the batch is [B, T, …] and the graph has one more input, lengths: i32[B], and one
/// more output, steps: [], their sum. Row b ends after step lengths[b]: recurrent layers stop
/// there, the state that a row ends with is the one after its last step, and of the labels [B, T]
/// those behind the end count neither in the loss, which is the mean over the others, nor in
/// `correct`. Layers that take each step by itself need nothing; those that join steps and know no
/// lengths (conv1d, pooling, flatten, batch_norm, group_norm) are refused while the steps are
/// there. A recurrent layer without `sequence` uses them up: whatever a reshape behind it makes of
/// its states are no steps, all of it counts, and another recurrent layer goes over all of it. A
/// run throws DataError for a length that is not in 0 … T.
///
/// throws  ShapeError when the network does not give one output per class, and for lengths where
///         there is no T or a layer would mix padding in; UsageError for label smoothing without
///         classes, for mixup of whole numbers or with lengths, for lengths of steps that are the
///         network's outputs themselves, for a frozen layer that does not exist, and when every
///         layer with weights is frozen.
///
/// Example:  Program step(*training_step(model, {32, 784}, 10), parameters, {.guard = "loss"});
std::unique_ptr<Graph> training_step(const Sequential& model, const Shape& input,
                                     std::int64_t classes, const StepOptions& options = {});

/// The same without updates: outputs loss, correct and, for each trained parameter, its gradient
/// under gradient_name(). Neither the optimiser nor clipping matters.
std::unique_ptr<Graph> gradient_step(const Sequential& model, const Shape& input,
                                     std::int64_t classes, const StepOptions& options = {});

/// "gradient of 1.weight".
std::string gradient_name(std::string_view parameter);

/// Adds the parameters that `graph` needs and `parameters` lacks: weights as initialize() gives
/// them, optimiser states as zeros.
void declare_parameters(Parameters& parameters, const Graph& graph, const TensorMap& weights);

/// The parameters with which a trained network is used and saved: for each of its weights the
/// average where the optimiser kept one (ema=), else the weight itself; running statistics as they
/// are.
TensorMap final_weights(const Sequential& model, const Shape& input, const Parameters& parameters);

/// Sets what stateful layers carry from batch to batch to zero: the next batch begins a new text.
void reset_state(Parameters& parameters);

// ── measuring ────────────────────────────────────────────────────────────────

/// How well outputs match a data set. The loss is as in training; rmse is in the units of
/// Dataset::y.
struct Metrics {
  std::int64_t rows = 0;
  double loss = 0;
  double accuracy = 0;  // classes: the share of targets (rows, or steps of them) classified rightly
  double rmse = 0;      // regression: √(mean (x − t)²)
  double r2 = 0;        // regression: 1 − Σ(x − t)² / Σ(t − mean t)²
};

/// A network ready to be applied to any number of rows.
///
/// Any number of threads may use one Predictor at the same time: each works on a program of its
/// own, which the next one takes over. The parameters must not change meanwhile.
class Predictor {
 public:
  /// `input` is the shape of one example.
  Predictor(const Sequential& model, const Shape& input,
            const std::shared_ptr<Parameters>& parameters,
            std::shared_ptr<ThreadPool> threads = nullptr);
  Predictor(Predictor&&) noexcept;
  Predictor& operator=(Predictor&&) noexcept;
  ~Predictor();

  /// The network's outputs.  x: [rows, …]  → [rows, outputs…]
  ///
  /// lengths  i32[rows] for padded sequences, as Dataset::lengths; empty: all steps count
  /// throws  ShapeError when x's examples have another shape or dtype; DataError for a length that
  ///         is not in 1 … T.
  Tensor operator()(const Tensor& x, const Tensor& lengths = Tensor(DType::kI32, {0})) const;

 private:
  struct Idle;  // programs that nobody uses

  Program compiled(bool lengths) const;

  Sequential model_;
  Shape input_;
  Shape output_;
  std::shared_ptr<Parameters> parameters_;
  std::shared_ptr<ThreadPool> threads_;
  std::unique_ptr<Idle> idle_;
};

/// Outputs as probabilities: their softmax over the last axis, unless the network ends in one.
Tensor probabilities(const Sequential& model, Tensor outputs);

/// requires  outputs: [rows of data, classes or values], or [rows, T, classes] for labels [rows,
///           T], of which those behind a row's length do not count. With lengths, data.x too.
/// throws    ShapeError when outputs and targets do not match; what require_finite_outputs throws
///           where the loss is not finite.
Metrics measure(const Sequential& model, const Tensor& outputs, const Dataset& data);

/// throws  DataError naming the first row, counted from 1, that holds NaN or infinity.
void require_finite_outputs(const Tensor& outputs);

// ── fitting ──────────────────────────────────────────────────────────────────

/// What is 0 is chosen by usual_options.
struct FitOptions {
  std::int64_t epochs = 0;  // passes over the rows; with lbfgs the most steps
  std::int64_t batch = 0;   // rows a step
  double lr = 0;
  Optimizer optimizer = {};
  Schedule schedule = {};
  Clip clip = {};
  std::optional<Initializer> init = {};
  std::uint64_t seed = 0;  // of the first weights, the order of rows, dropout, mixup, augmentation
  int threads = 0;         // 0: one a core
  std::shared_ptr<ThreadPool> pool = {};  // what to run on instead of such threads
  /// Numbers of layers, from 1, whose weights stay as they are; of a layer that holds layers, all.
  /// Dropout and batch normalisation in them go on as in any training.
  std::vector<std::size_t> frozen = {};
  double label_smoothing = 0;  // in training only; validation is measured without it
  double mixup = 0;            // α: each batch is mixed with itself by a share from Beta(α, α)
  Augmentation augmentation = {};  // of images, on a thread that is one batch ahead
};

/// How far a training is.
struct Progress {
  std::int64_t epoch = 0;  // counted from 1
  std::int64_t epochs = 0;
  std::int64_t step = 0;  // counted from 1 over all epochs
  std::int64_t steps = 0;
  Metrics training;  // means over this epoch so far
  double rows_per_second = 0;
  double seconds_left = 0;
  bool epoch_done = false;
  Metrics validation;  // rows = 0 unless the epoch is done and there is validation data
};

struct FitResult {
  std::int64_t steps = 0;
  double seconds = 0;
  Metrics training;    // of the last epoch
  Metrics validation;  // rows = 0 without validation data
};

/// Trains `model` on `train`, changing `parameters`, which gets initial values for what it lacks.
///
/// Sequences of different lengths are padded to one, and Dataset::lengths says where each ends:
/// then nothing of the padding enters the result (see training_step).
///
/// Rows are shuffled anew in each epoch, by (seed, epoch); the last batch may be short. The same
/// data, options and seed give the same bits on any number of threads. `report`, when given, is
/// called after each step. With an optimiser that keeps averages (ema=), validation uses them; what
/// to use and to save is final_weights().
///
/// The optimiser lbfgs sees all rows at once: an epoch is one of its steps, whatever its line
/// search asks for, and `batch` only cuts the work.
///
/// ensures  on any exception `parameters` holds the last weights that were all finite.
/// throws   NonFiniteError naming the first step and node, or the validation row, that gave NaN or
///          infinity, and whether the data, the first weights or the learning rate is the cause;
///          ShapeError when model and data do not fit; UsageError for an option out of range;
///          DataError for no rows.
///
/// Example:  auto parameters = std::make_shared<Parameters>();
///           fit(Sequential::parse("linear 128, relu, linear 10"), parameters, train, &test);
FitResult fit(const Sequential& model, const std::shared_ptr<Parameters>& parameters,
              const Dataset& train, const Dataset* validation = nullptr,
              const FitOptions& options = {},
              const std::function<void(const Progress&)>& report = {});

// ── what to take when nothing is said ────────────────────────────────────────

/// A network that usually does well on a table of that size.
std::string suggested_model(std::int64_t rows, std::int64_t features, std::int64_t classes);

/// A batch size and a number of epochs for that many rows: some 3000 steps in all.
std::int64_t suggested_batch(std::int64_t rows);
std::int64_t suggested_epochs(std::int64_t rows, std::int64_t batch);

/// The options with what suits that many rows and the optimiser in the place of 0: the two above
/// (of lbfgs 100 steps) and Optimizer::usual_rate().
FitOptions usual_options(FitOptions options, std::int64_t rows);

}  // namespace chainrule
