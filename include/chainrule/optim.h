// Training steps as graphs: gradients, clipping and update rules append nodes; learning-rate
// schedules are plain functions of the step.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/graph.h"
#include "chainrule/phrase.h"

namespace chainrule {

// ── update rules ─────────────────────────────────────────────────────────────

/// How parameters follow their gradients; the formulas stand with the update ops in ops.h.
///
///     sgd       [momentum=0] [nesterov]
///     rmsprop   [decay=0.99] [epsilon=1e-8] [centered] [momentum=0]
///     adagrad   [epsilon=1e-10]
///     adadelta  [rho=0.9] [epsilon=1e-6]
///     adam      [beta1=0.9] [beta2=0.999] [epsilon=1e-8] [amsgrad]
///     adamw     the same, with decoupled decay
///     nadam     [beta1=0.9] [beta2=0.999] [epsilon=1e-8] [momentum_decay=0.004] [decoupled]
///     lion      [beta1=0.9] [beta2=0.99]
///     muon      [momentum=0.95] [nesterov=true] [steps=5] for the matrices inside the network;
///               AdamW with [beta1=0.9] [beta2=0.95] [epsilon=1e-10] for vectors, for tables that
///               are looked up or added (embeddings, positions) and for the output layer, which is
///               what no other matrix multiplies after
///
/// All of them also take
///
///     weight_decay=D   L2, g + D·w, or decoupled, w − lr·D·w, for adamw, lion and muon and for
///                      nadam with `decoupled`. Usually 0; 0.01 for adamw, 0.1 for lion and muon
///     decay_on=WHICH   which parameters decay: all, or matrices, those of at least two axes, which
///                      leaves out biases and the scales of norms. Usually all; matrices for adamw,
///                      lion and muon, as their users do
///     l1=D             g + D·sign(w), for the parameters that decay
///     ema=B            keeps an average of each weight beside it (weight_average_update), which
///                      fit() measures and saves in the weight's place
///     lr=R             the learning rate, where the caller does not give one
///
/// One sees all data at once and has no update op; fit() knows it, apply() does not:
///
///     lbfgs     [history=10], with weight_decay (L2), decay_on and lr, the first step tried along
///               each direction
class Optimizer {
 public:
  /// adam with its usual constants.
  Optimizer() : Optimizer(parse("adam")) {}

  /// throws  UsageError naming the column and the nearest known name.
  ///
  /// Example:  Optimizer::parse("sgd momentum=0.9 nesterov")
  static Optimizer parse(std::string_view text);
  /// The names that parse knows, sorted.
  static std::vector<std::string> names();
  const std::string& to_text() const { return phrase_.text; }
  const Phrase& phrase() const { return phrase_; }

  /// The rate that the text states, or one that usually works for small networks: 0.1 for sgd (0.02
  /// with momentum), 1 for adadelta and lbfgs, 0.03 for adagrad, 0.0003 for lion and 0.003 for the
  /// others, whose steps do not grow with the gradient.
  double usual_rate() const;

  /// True for lbfgs.
  bool is_full_batch() const;
  /// True with ema=.
  bool averages() const;
  /// True when weight_decay and l1 are meant for a parameter of that shape.
  bool decays(const Shape& parameter) const;

 private:
  explicit Optimizer(Phrase phrase) : phrase_(std::move(phrase)) {}
  Phrase phrase_;
};

/// Limits on gradients, 0 for none. The value limit comes first when both are given.
struct Clip {
  double norm = 0;   // g ← g · norm / max(norm, ‖g‖), ‖g‖ over all gradients together
  double value = 0;  // g ← min(max(g, −value), value), element by element
};

/// Appends everything that one training step needs after the loss: the gradients of `loss` with
/// respect to `parameters`, clipping, the update ops, and the graph's updates. Moments become
/// parameters of the graph, named such as "adam.m/1.weight"; they start as zeros.
///
/// loss: []    lr: []    step: [] (1 at the first update)
/// ensures  the graph is complete: compile it with guard "loss" after naming that output.
/// throws   UsageError for lbfgs.
/// Source: Pascanu et al., 2013, for clipping by the global norm.
///
/// Example:  apply(Optimizer::parse("adam"), loss, network.trained, lr, step, {.norm = 1.0});
void apply(const Optimizer& optimizer, Value loss, const std::vector<Value>& parameters, Value lr,
           Value step, Clip clip = {});

/// The name of the average that ema= keeps of a parameter: "ema/1.weight".
std::string average_name(std::string_view parameter);

/// True for the name of a parameter that apply() declared, as "adam.m/1.weight".
bool is_optimizer_state(std::string_view parameter);

// ── full-batch minimisation ──────────────────────────────────────────────────

struct LbfgsOptions {
  std::int64_t history = 10;        // pairs of steps and changes of the gradient
  double rate = 1;                  // the first step tried along a direction
  double decrease = 1e-4;           // c₁ of the strong Wolfe conditions
  double curvature = 0.9;           // c₂
  double least_change = 1e-9;       // of the loss and of every number: below it the search ends
  double least_gradient = 1e-7;     // the largest element at which a point counts as a minimum
  std::int64_t most_searches = 25;  // evaluations in one line search
};

/// L-BFGS with a line search for the strong Wolfe conditions: minimises a smooth function of many
/// numbers that is given with its gradient and is the same each time it is asked.
///
/// Source: Nocedal & Wright, Numerical Optimization, 2006: algorithms 7.4 and 7.5, 3.5 and 3.6 with
/// the cubic interpolation (3.59); the safeguards are those of Schmidt's minFunc, as in PyTorch.
class Lbfgs {
 public:
  /// Writes the gradient at x and returns the function there.
  using Function = std::function<double(std::span<const double> x, std::span<double> gradient)>;

  explicit Lbfgs(LbfgsOptions options = {}) : options_(options) {}

  /// One direction and its line search. Returns false when it is at a minimum, or can find nothing
  /// better; x is then where it was, or a last small step on.
  ///
  /// ensures  value() is the function at x.
  bool step(const Function& function, std::vector<double>& x);

  /// The function at the last point; NaN before the first step.
  double value() const { return value_; }
  /// Evaluations so far.
  std::int64_t evaluations() const { return evaluations_; }

 private:
  struct Pair {
    std::vector<double> s;  // the step
    std::vector<double> y;  // the change of the gradient
    double rho = 0;         // 1 / s·y
  };
  struct Point;
  class Search;

  void remember(double length);
  std::vector<double> direction() const;

  LbfgsOptions options_;
  std::vector<Pair> pairs_;  // the oldest first
  double scale_ = 1;         // of the inverse Hessian before the pairs
  std::vector<double> gradient_;
  std::vector<double> last_gradient_;
  std::vector<double> direction_;
  double length_ = 0;  // of the last step, in directions
  double value_ = std::numeric_limits<double>::quiet_NaN();
  std::int64_t evaluations_ = 0;
};

// ── learning-rate schedules ──────────────────────────────────────────────────

/// How the learning rate changes over training, as a factor of the rate that was asked for.
///
///     constant     1
///     step         factor^⌊s / every⌋                            every=N [factor=0.1]
///     exponential  end^(s / T)                                   [end=0.01]
///     linear       1 − (1 − min)·s/T                             [min=0]
///     cosine       min + (1 − min)·(1 + cos(π·s/T))/2            [min=0]
///     one_cycle    1/start → 1 → 1/(start·final) by half cosines [warmup=0.3] [start=25]
///                                                                [final=10000]
///
/// s counts steps from 0 and T is their number, both without the warm-up. All but one_cycle take
/// warmup=W: over the first W steps the factor rises as (s + 1)/W. `every` and `warmup` below 1 are
/// fractions of all steps. A warm-up longer than the training is cut to it, so that the last step
/// has the full rate, and of a schedule nothing is left. Source: Loshchilov & Hutter, 2016
/// (cosine); Smith & Topin, 2017 (one cycle); Goyal et al., 2017 (warm-up).
class Schedule {
 public:
  /// The constant schedule.
  Schedule() : Schedule(parse("constant")) {}

  /// throws  UsageError naming the column and the nearest known name.
  ///
  /// Example:  Schedule::parse("cosine warmup=100 min=0.01")
  static Schedule parse(std::string_view text);
  const std::string& to_text() const { return phrase_.text; }
  const Phrase& phrase() const { return phrase_; }

 private:
  explicit Schedule(Phrase phrase) : phrase_(std::move(phrase)) {}
  Phrase phrase_;
};

/// The factor for step `step` of `total_steps`, counted from 1; past the end it stays as at the
/// end.
///
/// requires  step ≥ 1, total_steps ≥ 1.
///
/// Example:  lr = 0.001 * learning_rate(Schedule::parse("cosine"), step, 1000);
double learning_rate(const Schedule& schedule, std::int64_t step, std::int64_t total_steps);

}  // namespace chainrule
