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

// Whether the network's outputs are one for each step of x.
bool gives_steps(const Sequential& model, const Tensor& x) {
  steps_of(x.shape());  // throws when it has none
  Shape row = x.shape();
  row[0] = 1;
  Graph graph("trial");
  const Value input = graph.input("x", {model.input_dtype(), std::move(row)});
  const Value lengths = graph.input("lengths", {DType::kI32, {1}});
  return model.build(input, {.lengths = lengths}).output_is_sequence;
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

Value Lengths::counted_at(const Shape& places) const {
  if (counted.shape() == places) return counted;
  Shape column = counted.shape();
  column.resize(places.size(), 1);
  return broadcast_to(reshape(counted, column), places);
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

CountedTargets::CountedTargets(const Sequential& model, const Dataset& data) {
  const Shape& labels = data.labels.shape();
  if (data.classes.empty() || labels.size() < 2) return;
  const bool each_step = data.lengths.size() > 0 && gives_steps(model, data.x);
  for (std::size_t axis = each_step ? 2 : 1; axis < labels.size(); ++axis) in_each_ *= labels[axis];
  if (each_step) lengths_ = data.lengths.values<std::int32_t>();
}

std::int64_t CountedTargets::operator()(std::int64_t row) const {
  return in_each_ * (lengths_.empty() ? 1 : lengths_[static_cast<std::size_t>(row)]);
}

std::int64_t CountedTargets::operator()(std::span<const std::int64_t> rows) const {
  std::int64_t count = 0;
  for (const std::int64_t row : rows) count += (*this)(row);
  return count;
}

}  // namespace chainrule
