// What a layer is: its name, its options, what it does and how it builds its nodes. One block in
// layers.cpp fills one LayerKind; sizes, names, initial values and the summary follow from it.
#pragma once

#include <functional>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/phrase_rules.h"
#include "chainrule/nn.h"

namespace chainrule {

struct LayerKind;

/// Values whose axis 1 is the steps of the sequences that BuildOptions::lengths are lengths of. It
/// is known where that axis comes from and what each layer does to it, never guessed from shapes.
class Sequences {
 public:
  void add(Value x) { values_.push_back(x); }
  /// True when x is one of them.
  bool contains(Value x) const;

 private:
  std::vector<Value> values_;
};

/// A network that is being built.
struct Building {
  const BuildOptions& options;
  Network& network;
  bool trial = false;      // only shapes matter, so what a use of the network brings is not there
  bool again = false;      // in a round of repeated layers after the first
  std::size_t depth = 0;   // of nesting
  std::size_t layers = 0;  // so far, nested ones too
  Sequences sequences = {};
};

/// What a layer's build function is given beside its input.
class LayerScope {
 public:
  LayerScope(const Phrase& of_layer, std::string at_number, const Initializer& preferred,
             Building& building)
      : layer(of_layer),
        number(std::move(at_number)),
        options(building.options),
        trial(building.trial),
        preferred_(preferred),
        building_(building),
        place_(++building.layers) {}

  const Phrase& layer;
  const std::string number;  // "3", or "3.1" for the first layer that layer 3 holds
  const BuildOptions& options;
  const bool trial;

  /// A trained parameter that starts at random: by `own` (an initialiser's text, or ""), else by
  /// the one that was asked for the whole network, else by `suited`, or without it by what suits
  /// the layer that follows.
  Value weight(Graph& graph, const std::string& name, Shape shape, std::int64_t fan_in,
               std::int64_t fan_out, const std::string& own = {}, const std::string& suited = {});

  /// A parameter that starts at one value: a bias, a scale, a running statistic.
  Value parameter(Graph& graph, const std::string& name, Shape shape, double first = 0,
                  bool trained = true);

  /// A bias of several gates, [parts·units]: part i starts at parts[i].
  Value bias(Graph& graph, const std::string& name, std::int64_t units, std::vector<double> parts);

  /// What a batch leaves to the next one, [B, …], zero at first. It belongs to the batch and not to
  /// the model: batches of different sizes have different ones, and no model file holds it.
  Value state(Graph& graph, const std::string& name, Shape shape) const;

  /// In training, x with that share of its elements dropped; in prediction x. `part` tells apart
  /// the places where one layer drops.
  Value drop(Value x, double rate, std::int64_t part = 0) const;

  /// In training, batches must have at least so many rows.
  ///
  /// throws  ShapeError saying `why` when this one has not.
  void need_rows(Value x, std::int64_t least, const std::string& why);

  /// The lengths of the rows of x, i32[B]; none where x is not a sequence, or all its steps count.
  Value lengths_of(Value x) const;

  /// Says that y's axis 1 is the steps of a sequence with lengths, when x's is; the lengths are the
  /// same. A layer whose kind is AtSteps::kOwn calls it where it keeps the steps.
  void keep_steps(Value x, Value y);

  /// For a layer that joins x and y, both [B, T, …], into z: the steps stay when they are steps in
  /// both.
  ///
  /// throws  ShapeError when they are in one of them only.
  void keep_steps(Value x, Value y, Value z);

  /// The layers that this one holds, one after the other. They are numbered "3.1", "3.2", …; with
  /// `part`, which tells apart several lists of one layer, "3.PART.1", "3.PART.2", …
  ///
  /// `next`, when given, is what follows them, else it is what follows this layer.
  Value nested(const std::vector<Phrase>& layers, Value x, const std::string& part = {},
               const std::vector<Phrase>& next = {});

  /// `count` rounds of layers, each with parameters of its own, numbered "3.ROUND.1", …
  Value rounds(const std::vector<Phrase>& layers, std::int64_t count, Value x);

 private:
  Value declare(Graph& graph, ParameterInfo info);

  const Initializer& preferred_;
  Building& building_;
  const std::size_t place_;  // among all layers, counted from 1
};

/// Appends layers to the graph of `x`, numbered `prefix`1, `prefix`2, …; `after` is the initialiser
/// that suits what follows them.
Value build_layers(const std::vector<Phrase>& layers, Value x, const std::string& prefix,
                   const Initializer& after, Building& building);

/// The initialiser that suits the first of these layers that cares; none when no one does.
std::optional<Initializer> suited_initializer(std::span<const Phrase> layers);

/// The one layer that a text writes.
inline Phrase from_text(const std::string& text) {
  return Sequential::parse(text).layers().front();
}

/// The kind of a layer.
const LayerKind& kind_of(const Phrase& layer);

/// What initial weights suit the layer before this one.
enum class Suits {
  kXavier,
  kHe,
  kSkip,    // ask the layer after this one: dropout, reshape
  kInside,  // ask the layers that this one holds, then those after it
};

/// What a layer does to the steps of sequences that have lengths.
enum class AtSteps {
  kEach,      // every number, or every step, by itself
  kFeatures,  // every row of the last axis by itself: steps are joined where they are that axis
  kJoins,     // mixes steps and does not know where rows end
  kOwn,       // the layer's build function says, or the layers that it holds
};

struct LayerKind {
  PhraseRule rule;
  std::string_view usage;    // "dropout RATE"
  std::string_view meaning;  // one sentence
  // For someone who is learning: what happens on the way there and on the way back. {in} and {out}
  // stand for the names of the layer's input and output; "" where the meaning says it all.
  std::string_view forward = {};
  std::string_view backward = {};
  Suits suits = Suits::kXavier;
  double gain = std::numbers::sqrt2;  // of the weights before it, where he_normal suits
  DType input = DType::kF32;          // what it takes; flatten and reshape pass on whatever comes
  AtSteps at_steps = AtSteps::kEach;
  std::function<Value(LayerScope& scope, Value x)> build = {};
};

/// Every kind of layer there is, by name.
const std::vector<LayerKind>& layer_kinds();

/// The kind that the program added by layers::layer under that name; null when there is none.
const LayerKind* own_layer_kind(std::string_view name);
std::vector<PhraseRule> own_layer_rules();

/// The kinds that stand in files of their own.
std::vector<LayerKind> recurrent_layer_kinds();
std::vector<LayerKind> image_layer_kinds();
std::vector<LayerKind> norm_layer_kinds();
std::vector<LayerKind> block_layer_kinds();
std::vector<LayerKind> attention_layer_kinds();

/// "it joins the steps of a sequence …", as a ShapeError; the caller puts the layer's name in
/// front.
[[noreturn]] void refuse_joined_steps();

/// Refuses what is no initialiser, for the options of layers.
void check_initializer(std::string_view word);

/// "expected input <expected>, got <x's shape>" as a ShapeError; the caller puts the layer's name
/// in front.
[[noreturn]] void bad_input(const std::string& expected, const Value& x);

/// "[B, 28, 28]" for {B, 28, 28}: the first axis is the batch, whatever its extent.
std::string batch_shape(const Shape& shape);

}  // namespace chainrule
