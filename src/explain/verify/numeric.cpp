// Differences in float64. A step of 10⁻³ with extrapolation leaves errors near 10⁻¹² where the loss
// is smooth on that scale; smaller steps are for where it is not: large inputs, and kinks close by.
#include "explain/verify/numeric.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compiler/passes.h"
#include "explain/verify/rounding.h"
#include "graph/copy.h"
#include "graph/op.h"

namespace chainrule {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kRoundings = 32;  // how many ulps of the loss its evaluation may be off

std::vector<double> numbers(const Tensor& tensor) {
  const Tensor wide = tensor.as(DType::kF64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

}  // namespace

std::unique_ptr<Graph> needed_part(const std::vector<std::pair<std::string, Value>>& values) {
  auto part = std::make_unique<Graph>(values.front().second.graph().name());
  std::vector<Value> all;
  for (const auto& [name, value] : values) all.push_back(value);
  GraphCopy copy(*part);
  copy.add(all);
  for (const auto& [name, value] : values) part->output(name, copy(value));
  return part;
}

LossOnLine::LossOnLine(Value loss, TensorMap feed) : feed_(std::move(feed)) {
  // Written out once here, macro ops need not be written out again at each evaluation, and a kink
  // inside one has a node of its own.
  graph_ = expand_macros(*needed_part({{"loss", loss}}), [](const Node&) { return false; });
  loss_ = graph_->outputs().front().second;
  at_zero_ = Evaluation(*graph_, feed_).scalar(loss_);
  // A small loss may come from large numbers, whose roundings it then has.
  rounding_ = std::max(kRoundings * kEpsilon * std::abs(at_zero_),
                       rounding_of(*graph_, feed_, Precision::kFloat64).outputs.at("loss").front());
}

void LossOnLine::set_line(const std::string& parameter, std::vector<double> direction) {
  parameter_ = parameter;
  direction_ = std::move(direction);
}

TensorMap LossOnLine::moved(double t) const {
  TensorMap feed = feed_;
  Tensor tensor = feed.at(parameter_).as(DType::kF64);
  for (std::size_t i = 0; i < direction_.size(); ++i)
    tensor.values<double>()[i] += t * direction_[i];
  feed.insert_or_assign(parameter_, std::move(tensor));
  return feed;
}

double LossOnLine::value(double t) const { return Evaluation(*graph_, moved(t)).scalar(loss_); }

NumericDerivative LossOnLine::derivative(double step) const {
  const double wide = (value(step) - value(-step)) / (2 * step);
  const double narrow = (value(step / 2) - value(-step / 2)) / step;
  const double rounding = rounding_ / step;
  const double extrapolated = narrow + (narrow - wide) / 3;
  // Where the second derivative jumps, as that of elu at 0, the error falls with the step and not
  // with its square: extrapolation takes off too little, but the difference of both is still a
  // bound.
  return {extrapolated, std::abs(wide - narrow) + rounding};
}

NumericDerivative LossOnLine::careful_derivative() const {
  NumericDerivative best{0, std::numeric_limits<double>::infinity()};
  for (const double step : {1e-2, 1e-3, 1e-4, 1e-5, 1e-6}) {
    const NumericDerivative found = derivative(step);
    if (found.uncertainty < best.uncertainty) best = found;
  }
  return best;
}

std::optional<KinkSource> LossOnLine::kink() const {
  constexpr double kStep = 1e-6;
  const auto jump_at = [&](double step) {
    return std::abs(value(step) - at_zero_ - (at_zero_ - value(-step))) / step;
  };
  const double jump = jump_at(kStep / 2);
  const double rounding = rounding_ / kStep;
  // Of a smooth function it halves with the step.
  const bool stays = jump > 0.75 * jump_at(kStep);
  if (!(jump > 16 * rounding) || !stays) return std::nullopt;
  return source_of_kink(kStep);
}

KinkSource LossOnLine::source_of_kink(double step) const {
  const Evaluation below(*graph_, moved(-step));
  const Evaluation here(*graph_, feed_);
  const Evaluation above(*graph_, moved(step));
  for (const Node& node : graph_->nodes()) {
    for (std::size_t k = 0; k < node.types.size(); ++k) {
      const std::vector<double> y0 = numbers(below.value(node.output(k)));
      const std::vector<double> y1 = numbers(here.value(node.output(k)));
      const std::vector<double> y2 = numbers(above.value(node.output(k)));
      for (std::size_t i = 0; i < y1.size(); ++i) {
        const double left = y1[i] - y0[i];
        const double right = y2[i] - y1[i];
        const double bend = std::abs(right - left);
        if (bend > 0.01 * std::max(std::abs(left), std::abs(right)) &&
            bend > kRoundings * kEpsilon * std::abs(y1[i])) {
          return {std::string(node.op->name), node.note};
        }
      }
    }
  }
  return {"the loss", ""};
}

}  // namespace chainrule
