// A row's length as a number comes from a table 0 … T, because a row of a table that is not there
// is an error in every backend.
#include "train/lengths.h"

#include <algorithm>

#include "base/format.h"
#include "chainrule/attention.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"

namespace chainrule {
namespace {

std::int64_t steps_of(const Shape& batch) {
  if (batch.size() < 2) {
    throw ShapeError("lengths belong to sequences [B, T, …], but the batch is " + to_string(batch));
  }
  return batch[1];
}

}  // namespace

Lengths declare_lengths(Graph& graph, const Shape& input) {
  const std::int64_t rows = input.empty() ? 0 : input[0];
  const std::int64_t steps = steps_of(input);
  Lengths lengths;
  lengths.steps = graph.input("lengths", {DType::kI32, {rows}});
  const Value number = gather(arange(graph, steps + 1), lengths.steps);
  graph.output("steps", sum(number));
  lengths.counted = less(broadcast_to(reshape(arange(graph, steps), {1, steps}), {rows, steps}),
                         broadcast_to(reshape(number, {rows, 1}), {rows, steps}));
  return lengths;
}

bool Lengths::read_by_layers(const Graph& graph) const {
  const auto readers =
      std::count_if(graph.nodes().begin(), graph.nodes().end(), [&](const Node& node) {
        return std::find(node.inputs.begin(), node.inputs.end(), steps) != node.inputs.end();
      });
  return readers > 1;  // one is the table of declare_lengths()
}

void check_lengths(const Tensor& lengths, const Tensor& x) {
  const std::int64_t steps = steps_of(x.shape());
  const Shape wanted{x.shape()[0]};
  if (lengths.dtype() != DType::kI32 || lengths.shape() != wanted) {
    throw ShapeError(fmt::format("lengths: expected {}, one for each row, got {}",
                                 to_string(Type{DType::kI32, wanted}),
                                 to_string(Type{lengths.dtype(), lengths.shape()})));
  }
  std::int64_t row = 0;
  for (const std::int32_t length : lengths.values<std::int32_t>()) {
    if (length < 1 || length > steps) {
      throw DataError(
          fmt::format("lengths: row {} has length {}; expected 1 to {}, the steps that "
                      "a row has",
                      row, length, steps));
    }
    ++row;
  }
}

CountedTargets::CountedTargets(const Dataset& data) {
  const Shape& labels = data.labels.shape();
  if (data.classes.empty() || labels.size() < 2) return;
  for (std::size_t axis = 1; axis < labels.size(); ++axis) in_each_ *= labels[axis];
  if (data.lengths.size() > 0) lengths_ = data.lengths.values<std::int32_t>();
}

std::int64_t CountedTargets::operator()(std::int64_t row) const {
  return lengths_.empty() ? in_each_ : lengths_[static_cast<std::size_t>(row)];
}

std::int64_t CountedTargets::operator()(std::span<const std::int64_t> rows) const {
  std::int64_t count = 0;
  for (const std::int64_t row : rows) count += (*this)(row);
  return count;
}

}  // namespace chainrule
