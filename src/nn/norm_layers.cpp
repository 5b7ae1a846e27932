// Normalisation layers, as compositions: what is subtracted, what is divided by, then a scale and a
// shift that are learned.
#include "base/format.h"
#include "base/phrase_rules.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "nn/layer_kind.h"

namespace chainrule {
namespace {

const OptionRule kEpsilon{.name = "epsilon", .fallback = "1e-5", .minimum = 0, .maximum = 1};

// All axes but the last.
std::vector<std::int64_t> leading_axes(const Value& x) {
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 0; axis + 1 < static_cast<std::int64_t>(x.shape().size()); ++axis) {
    axes.push_back(axis);
  }
  return axes;
}

// gamma ⊙ x + beta over the last axis.
Value scaled_and_shifted(LayerScope& scope, Value x) {
  Graph& graph = x.graph();
  const Shape features{x.extent(-1)};
  const Value gamma = scope.parameter(graph, "gamma", features, 1);
  return x * gamma + scope.parameter(graph, "beta", features);
}

Value normalised(Value x, const std::vector<std::int64_t>& axes, double epsilon) {
  return (x - mean(x, axes, true)) / sqrt(variance(x, axes, true) + epsilon);
}

// ── batch norm ───────────────────────────────────────────────────────────────
// In training by the batch's own mean and variance, which the running ones follow; in prediction by
// the running ones.
Value build_batch_norm(LayerScope& scope, Value x) {
  if (x.shape().size() < 2) bad_input("[B, …, C]", x);
  Graph& graph = x.graph();
  const Shape features{x.extent(-1)};
  const double epsilon = scope.layer.real("epsilon");
  const double momentum = scope.layer.real("momentum");
  const Value gamma = scope.parameter(graph, "gamma", features, 1);
  const Value beta = scope.parameter(graph, "beta", features);
  const Value running_mean = scope.parameter(graph, "running_mean", features, 0, false);
  const Value running_variance = scope.parameter(graph, "running_variance", features, 1, false);
  const std::int64_t numbers = element_count(x.shape()) / x.extent(-1);  // of a feature
  if (numbers == x.extent(0)) {
    scope.need_rows(x, 2, "a batch of one row has one number of each feature and so no variance");
  }
  if (scope.options.mode == Mode::kPredict) {
    return normalize(x, running_mean, running_variance, gamma, beta, epsilon);
  }
  const std::vector<std::int64_t> axes = leading_axes(x);
  const Value batch_mean = mean(x, axes);
  const Value batch_variance = variance(x, axes);
  const auto count = static_cast<double>(numbers);
  // The running variance is that of the population, the batch's own divides by n.
  const double unbiased = count / (count - 1);
  graph.update(running_mean, (1 - momentum) * running_mean + momentum * batch_mean);
  graph.update(running_variance,
               (1 - momentum) * running_variance + (momentum * unbiased) * batch_variance);
  return normalize(x, batch_mean, batch_variance, gamma, beta, epsilon);
}

// ── group norm ───────────────────────────────────────────────────────────────
Value build_group_norm(LayerScope& scope, Value x) {
  const std::int64_t groups = scope.layer.integer("groups");
  const Shape& shape = x.shape();
  if (shape.size() < 2) bad_input("[B, …, C]", x);
  if (shape.back() % groups != 0) {
    throw ShapeError(fmt::format("{} groups do not divide {} channels", groups, shape.back()));
  }
  const Value split = reshape(x, {shape[0], -1, groups, shape.back() / groups});
  return scaled_and_shifted(scope,
                            reshape(normalised(split, {1, 3}, scope.layer.real("epsilon")), shape));
}

}  // namespace

std::vector<LayerKind> norm_layer_kinds() {
  return {
      {.rule = {"batch_norm",
                {{.name = "momentum", .fallback = "0.1", .minimum = 0, .maximum = 1}, kEpsilon}},
       .usage = "batch_norm [momentum=0.1] [epsilon=1e-5]",
       .meaning =
           "each feature to mean 0 and variance 1 over the batch, in prediction by running means "
           "of both, the variance unbiased (Ioffe & Szegedy, 2015)",
       .suits = Suits::kSkip,
       .at_steps = AtSteps::kJoins,
       .build = build_batch_norm},
      {.rule = {"layer_norm", {kEpsilon}},
       .usage = "layer_norm [epsilon=1e-5]",
       .meaning = "each row of features to mean 0 and variance 1 (Ba et al., 2016)",
       .suits = Suits::kSkip,
       .at_steps = AtSteps::kFeatures,
       .build =
           [](LayerScope& s, Value x) {
             const Shape features{x.extent(-1)};
             const Value gamma = s.parameter(x.graph(), "gamma", features, 1);
             const Value beta = s.parameter(x.graph(), "beta", features);
             return layer_norm(x, gamma, beta, s.layer.real("epsilon"));
           }},
      {.rule = {"rms_norm", {kEpsilon}},
       .usage = "rms_norm [epsilon=1e-5]",
       .meaning = "each row of features divided by its root mean square (Zhang & Sennrich, 2019)",
       .suits = Suits::kSkip,
       .at_steps = AtSteps::kFeatures,
       .build =
           [](LayerScope& s, Value x) {
             const Value gamma = s.parameter(x.graph(), "gamma", {x.extent(-1)}, 1);
             return x / sqrt(mean(square(x), {-1}, true) + s.layer.real("epsilon")) * gamma;
           }},
      {.rule = {"group_norm",
                {{.name = "groups",
                  .kind = OptionKind::kInteger,
                  .minimum = 1,
                  .maximum = 1e6,
                  .positional = true},
                 kEpsilon}},
       .usage = "group_norm GROUPS [epsilon=1e-5]",
       .meaning = "each example's groups of channels to mean 0 and variance 1 (Wu & He, 2018)",
       .suits = Suits::kSkip,
       .at_steps = AtSteps::kJoins,
       .build = build_group_norm},
  };
}

}  // namespace chainrule
