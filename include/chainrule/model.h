// A network with its weights and the encoding of its rows, in one value: train, save, load,
// predict.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/data.h"
#include "chainrule/nn.h"
#include "chainrule/open_data.h"
#include "chainrule/reference.h"
#include "chainrule/train.h"

namespace chainrule {

/// What a model says of rows; either `classes` or `values` is filled, with an entry a row.
struct Answers {
  std::vector<std::string> classes;        // the likeliest class of each row
  Tensor probabilities{DType::kF32, {0}};  // [rows, classes], in the order of Encoder::classes()
  std::vector<double> values;              // of a regression, in the target's own units
};

/// A network, how raw rows become its input, its weights, and how it came about.
///
/// Any number of threads may use one const Model at the same time.
///
/// Example:  const TrainingData data = open_data("iris");
///           Model model("linear 32, relu, linear 3");
///           model.fit(data, {.epochs = 100});
///           model.save("iris.safetensors");
///           const Answers answers = Model::load("iris.safetensors").predict(read_csv("new.csv"));
struct Model {
  Sequential network;  // without layers: fit() chooses one that suits the data
  Shape input;         // of one example: {F}, or {H, W, C} for images
  Encoder encoder;
  TensorMap parameters;                         // f32, as network.parameters(input) lists them
  std::map<std::string, std::string> training;  // options and results, for people to read
  // Whether it was loaded from a file that carries a digest, which matched. False for a file of a
  // chainrule before there were digests, whose damages nobody sees, and for what was not loaded.
  bool verified = false;

  Model() = default;
  /// throws  UsageError naming the column and the nearest known layer or option.
  explicit Model(std::string_view layers) : network(Sequential::parse(layers)) {}
  explicit Model(Sequential layers) : network(std::move(layers)) {}

  // ── training ───────────────────────────────────────────────────────────────

  /// What fit() does before its first step: chooses a network where there is none, gives an image
  /// to a network of vectors through a flatten of its own, sets first weights, and notes in
  /// `training` what it is trained with. Weights that are there already stay, so that a trained
  /// model is trained on.
  ///
  /// → the options with a batch size and a number of epochs in the place of 0
  /// throws  UsageError when the model has weights and `data` is encoded in another way;
  ///         ShapeError when network and data do not fit; what fit() throws for its options.
  FitOptions prepare(const TrainingData& data, const FitOptions& options = {});

  /// Trains on data.train, measured on data.test: see fit() in train.h, whose options, report and
  /// errors these are. The metrics are in the target's own units.
  ///
  /// ensures  on a NonFiniteError the model has the last weights that were all finite.
  FitResult fit(const TrainingData& data, const FitOptions& options = {},
                const std::function<void(const Progress&)>& report = {});

  // ── use ────────────────────────────────────────────────────────────────────

  /// The network with these weights, compiled: what to keep where it is applied again and again.
  Predictor predictor(std::shared_ptr<ThreadPool> threads = nullptr) const;

  /// The network's outputs for encoded rows.  x: [rows, …]  → [rows, outputs…]
  ///
  /// throws  ShapeError when x's examples have another shape or dtype.
  Tensor operator()(const Tensor& x) const { return predictor()(x); }

  /// What the model says of a table's rows, or of encoded ones.
  ///
  /// throws  what Encoder::features throws; DataError naming a row for which the answer is not
  ///         finite; UsageError for a model of texts, which answers no rows.
  Answers predict(const Table& table) const;
  Answers predict(const Tensor& x) const;
  /// The same of outputs that are there already.
  Answers answers(const Tensor& outputs) const;

  /// How well it does on rows whose targets are known, in the target's own units.
  ///
  /// throws  what Encoder::encode throws; DataError naming a row whose output is not finite.
  Metrics evaluate(const Table& table) const;
  Metrics evaluate(const Dataset& data, std::shared_ptr<ThreadPool> threads = nullptr) const;

  /// A table: each layer with its output's shape and its number of parameters.
  std::string summary() const { return network.summary(input); }

  // ── files ──────────────────────────────────────────────────────────────────

  /// Writes a safetensors file, whole or not at all: the tensors are the parameters, the metadata
  /// hold the format's version, the network's text, the input's shape, the encoder, the labels, the
  /// training options and a digest of all that.
  ///
  /// throws  UsageError naming what load() would refuse: a parameter that is absent, of another
  ///         shape or not finite, a network that does not give what the encoder's target needs, a
  ///         text that is not UTF-8; FileError naming the path when it cannot be written. What
  ///         stood at the path is still there then.
  void save(const std::string& path) const;

  /// Throws what save() would throw for this path, a disk that is full included, and leaves no
  /// trace: for whoever trains long before there is something to save.
  void check_saving(const std::string& path) const;

  /// Reads what save() wrote.
  ///
  /// throws  FileError naming the path and what is wrong: no safetensors file, a safetensors file
  ///         of another program, another version, contents that do not match their digest, metadata
  ///         or tensors that do not fit together, a weight that is not finite.
  static Model load(const std::string& path);
};

/// The network that was asked for, or, where it has no layers, the usual one for such data. An
/// image goes into a network of vectors through a flatten of its own.
Sequential network_for(const TrainingData& data, const Sequential& asked = {});

/// Metrics of encoded rows with the RMSE in the target's own units.
///
/// throws  DataError when it is not finite there.
Metrics in_own_units(Metrics metrics, const Encoder& encoder);

/// "accuracy 97.5 % (351 of 360), loss 0.0812", for characters the loss first, or for regression
/// "RMSE 48123 (R² 0.81)" in the target's own units.
std::string metrics_text(const Metrics& metrics, const Encoder& encoder);

}  // namespace chainrule
