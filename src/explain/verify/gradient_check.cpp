// Backpropagation against differences. A first, quick difference settles nearly every derivative;
// one that disagrees is looked at with several steps, and then from both sides, before it is called
// wrong. At a kink there is nothing to compare with, so the comparison is made a little beside it.
#include "chainrule/gradient_check.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/format.h"
#include "chainrule/gradient.h"
#include "chainrule/random.h"
#include "explain/verify/numeric.h"
#include "explain/verify/rounding.h"
#include "notation/entry.h"

namespace chainrule {
namespace {

constexpr double kQuickStep = 1e-3;
constexpr double kDoubt = 100;  // a quick difference must be better by this than it need be
constexpr double kBeside =
    0.01;  // how far beside a kink, in standard deviations of a normal number

// Loss and gradient as one graph that holds nothing else.
class GradientGraph {
 public:
  GradientGraph(Value loss, const std::vector<Value>& parameters) {
    std::vector<std::pair<std::string, Value>> kept{{"loss", loss}};
    for (const Value& p : parameters) kept.emplace_back(p.name(), p);
    graph_ = needed_part(kept);
    std::vector<Value> wrt;
    for (std::size_t i = 1; i < kept.size(); ++i) wrt.push_back(graph_->outputs()[i].second);
    gradients_ = gradient(graph_->outputs()[0].second, wrt);
    for (const Value& v : gradients_) graph_->output(name_of(v), v);
  }

  std::vector<Tensor> at(const TensorMap& feed) const {
    const Evaluation evaluation(*graph_, feed);
    std::vector<Tensor> tensors;
    for (const Value& v : gradients_) tensors.push_back(evaluation.value(v));
    return tensors;
  }

  // How far backpropagation's own roundings may take each entry off.
  std::vector<std::vector<double>> rounding_at(const TensorMap& feed) const {
    const Rounding rounding = rounding_of(*graph_, feed, Precision::kFloat64);
    std::vector<std::vector<double>> all;
    for (const Value& v : gradients_) all.push_back(rounding.outputs.at(name_of(v)));
    return all;
  }

 private:
  static std::string name_of(const Value& gradient) {
    return fmt::format("gradient {}.{}", gradient.node().id, gradient.index());
  }

  std::unique_ptr<Graph> graph_;
  std::vector<Value> gradients_;
};

// Where derivatives are compared: values for all parameters, and the gradients there.
class Point {
 public:
  Point(Value loss, const TensorMap& feed, const GradientGraph& graph)
      : gradients(graph.at(feed)), line(loss, feed), graph_(graph), feed_(feed) {}

  /// Of each entry of a parameter's gradient. Found when it is first asked for: it takes a dozen
  /// evaluations, and most comparisons are clear without.
  const std::vector<double>& rounding(std::size_t parameter) {
    if (rounding_.empty()) rounding_ = graph_.rounding_at(feed_);
    return rounding_[parameter];
  }

  std::vector<Tensor> gradients;
  LossOnLine line;

 private:
  const GradientGraph& graph_;
  TensorMap feed_;
  std::vector<std::vector<double>> rounding_;
};

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

class Checker {
 public:
  Checker(Value loss, const std::vector<Value>& parameters, const TensorMap& feed,
          const GradientCheckOptions& options)
      : loss_(loss),
        parameters_(parameters),
        feed_(feed),
        options_(options),
        random_(static_cast<std::uint32_t>(options.seed)),
        graph_(loss, parameters),
        here_(loss, feed, graph_) {}

  ParameterCheck check(std::size_t parameter) {
    parameter_ = parameter;
    const Tensor& gradient = here_.gradients[parameter];
    const std::span<const double> g = gradient.values<double>();
    result_ = {};
    result_.name = parameters_[parameter].name();
    result_.shape = gradient.shape();
    result_.passed = true;
    result_.all_zero = std::all_of(g.begin(), g.end(), [](double x) { return x == 0; });
    check_entries(gradient.size());
    check_directions(gradient.size());
    return result_;
  }

 private:
  void check_entries(std::int64_t size) {
    std::vector<std::int64_t> entries = random_.permutation(size);
    entries.resize(static_cast<std::size_t>(std::min(size, options_.entries)));
    std::sort(entries.begin(), entries.end());
    for (const std::int64_t entry : entries) {
      const auto element = static_cast<std::size_t>(entry);
      std::vector<double> unit(static_cast<std::size_t>(size), 0.0);
      unit[element] = 1;
      compare(result_.worst_entry, result_.name + subscript(result_.shape, element), unit);
    }
    result_.entries = static_cast<std::int64_t>(entries.size());
  }

  void check_directions(std::int64_t size) {
    for (std::int64_t d = 1; d <= options_.directions; ++d) {
      const Tensor drawn = random_.randn({size});
      std::vector<double> direction(drawn.values<double>().begin(), drawn.values<double>().end());
      const double norm = std::sqrt(dot(direction, direction));
      for (double& x : direction) x /= norm;
      compare(result_.worst_direction, fmt::format("{} along direction {}", result_.name, d),
              direction);
    }
  }

  double error(double analytic, const NumericDerivative& numeric) const {
    const double difference = std::abs(analytic - numeric.value);
    if (difference == 0) return 0;
    const double size = std::max(std::abs(analytic), std::abs(numeric.value));
    const double e = difference / (size + numeric.uncertainty / options_.tolerance);
    return std::isnan(e) ? INFINITY : e;
  }

  ComparedDerivative compared_at(Point& point, const std::string& where,
                                 const std::vector<double>& direction) const {
    const double analytic = dot(point.gradients[parameter_].values<double>(), direction);
    point.line.set_line(result_.name, direction);
    NumericDerivative numeric = point.line.derivative(kQuickStep);
    // Of the quick difference only the rounding is an excuse, not the size of its step.
    numeric.uncertainty = std::min(numeric.uncertainty, 1e-10 * std::abs(point.line.loss()));
    if (!agrees(kDoubt * error(analytic, numeric))) {
      numeric = point.line.careful_derivative();
      const std::vector<double>& rounding = point.rounding(parameter_);
      for (std::size_t i = 0; i < rounding.size(); ++i) {
        numeric.uncertainty += rounding[i] * std::abs(direction[i]);
      }
    }
    return {where, analytic, numeric.value, error(analytic, numeric)};
  }

  bool agrees(double e) const { return e <= options_.tolerance; }

  void compare(ComparedDerivative& worst, const std::string& where,
               const std::vector<double>& direction) {
    ComparedDerivative found = compared_at(here_, where, direction);
    if (!agrees(found.error)) {
      if (const std::optional<KinkSource> kink = here_.line.kink()) {
        found = compared_at(beside(), where + " beside its kink", direction);
        if (agrees(found.error)) return count_kink(*kink, where);
      }
      result_.passed = false;
    }
    if (worst.where.empty() || found.error > worst.error) worst = found;
  }

  void count_kink(const KinkSource& kink, const std::string& where) {
    const auto same = [&](const Kink& k) { return k.op == kink.op && k.place == kink.place; };
    const auto known = std::find_if(result_.kinks.begin(), result_.kinks.end(), same);
    if (known != result_.kinks.end()) {
      ++known->count;
    } else {
      result_.kinks.push_back({kink.op, kink.place, 1, where});
    }
  }

  // All parameters moved a little, so that nothing that lay exactly on a kink still does.
  Point& beside() {
    if (!beside_) {
      TensorMap moved = feed_;
      for (const Value& p : parameters_) {
        Tensor tensor = moved.at(p.name()).as(DType::kF64);
        for (double& x : tensor.values<double>()) x += kBeside * random_.randn();
        moved.insert_or_assign(p.name(), std::move(tensor));
      }
      beside_ = std::make_unique<Point>(loss_, moved, graph_);
    }
    return *beside_;
  }

  Value loss_;
  const std::vector<Value>& parameters_;
  const TensorMap& feed_;
  const GradientCheckOptions& options_;
  RandomState random_;
  GradientGraph graph_;
  Point here_;
  std::unique_ptr<Point> beside_;
  std::size_t parameter_ = 0;
  ParameterCheck result_;
};

}  // namespace

std::vector<ParameterCheck> check_gradient(Value loss, const std::vector<Value>& parameters,
                                           const TensorMap& feed,
                                           const GradientCheckOptions& options) {
  Checker checker(loss, parameters, feed, options);
  std::vector<ParameterCheck> checks;
  for (std::size_t p = 0; p < parameters.size(); ++p) checks.push_back(checker.check(p));
  return checks;
}

}  // namespace chainrule
