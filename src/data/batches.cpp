// Which rows are held out, and in which order the others are dealt. Every choice is a function of
// the seed (and the epoch) alone, by Philox, so that a run resumed in the middle deals the same
// batches.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "base/philox.h"
#include "chainrule/data.h"
#include "chainrule/error.h"
#include "data/targets.h"

namespace chainrule {
namespace {

// Streams of the seed that no random node of a graph uses: those are numbered from 0.
constexpr std::uint32_t kSplitStream = 0xFFFFFFFE;
constexpr std::uint32_t kBatchStream = 0xFFFFFFFF;

// Fisher–Yates. A 64-bit draw scaled to i places is off uniform by i / 2⁶⁴, which nobody can see.
void shuffle(std::span<std::int64_t> values, const PhiloxStream& stream) {
  for (std::size_t i = values.size(); i > 1; --i) {
    const std::array<std::uint32_t, 4> words = stream.words(i);
    const std::uint64_t draw = (std::uint64_t{words[0]} << 32) | words[1];
    // The high half of draw · i, without a 128-bit type: i is below 2³².
    const std::uint64_t place = ((draw >> 32) * i + (((draw & 0xFFFFFFFFU) * i) >> 32)) >> 32;
    std::swap(values[i - 1], values[place]);
  }
}

void require_rows(std::int64_t rows) {
  if (rows < 1) throw DataError("no rows; expected at least one");
}

}  // namespace

std::vector<std::int64_t> all_rows(std::int64_t rows) {
  std::vector<std::int64_t> result(static_cast<std::size_t>(std::max<std::int64_t>(rows, 0)));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

std::vector<std::int32_t> strata(const Table& table, const std::string& target, Task task) {
  const Column& column = table.columns[table.index_of(target)];
  std::vector<std::int32_t> result;
  if (task_of(column, task) == Task::kRegression) return result;
  std::map<std::string, std::int32_t> numbers;
  for (std::int64_t row = 0; row < table.rows(); ++row) {
    const auto next = static_cast<std::int32_t>(numbers.size());
    result.push_back(numbers.emplace(cell_text(column, row), next).first->second);
  }
  return result;
}

Split split(std::int64_t rows, double fraction, std::uint64_t seed,
            std::span<const std::int32_t> strata) {
  if (!(fraction >= 0 && fraction < 1)) {
    throw UsageError("split: expected a fraction of at least 0 and below 1, got " +
                     std::to_string(fraction));
  }
  require_rows(rows);
  if (!strata.empty() && static_cast<std::int64_t>(strata.size()) != rows) {
    throw UsageError("split: expected " + std::to_string(rows) + " strata, one a row, got " +
                     std::to_string(strata.size()));
  }
  std::vector<std::int64_t> order = all_rows(rows);
  shuffle(order, {seed, kSplitStream, 0});
  std::map<std::int32_t, std::vector<std::int64_t>> groups;
  for (const std::int64_t row : order) {
    groups[strata.empty() ? 0 : strata[static_cast<std::size_t>(row)]].push_back(row);
  }
  Split parts;
  for (const auto& [stratum, members] : groups) {
    const std::int64_t size = static_cast<std::int64_t>(members.size());
    const std::int64_t held =
        std::min<std::int64_t>(std::llround(fraction * static_cast<double>(size)), size - 1);
    parts.test.insert(parts.test.end(), members.begin(), members.begin() + held);
    parts.train.insert(parts.train.end(), members.begin() + held, members.end());
  }
  std::sort(parts.train.begin(), parts.train.end());
  std::sort(parts.test.begin(), parts.test.end());
  return parts;
}

Batches::Batches(std::vector<std::int64_t> rows, std::int64_t batch, std::uint64_t seed,
                 LastBatch last)
    : rows_(std::move(rows)), order_(rows_), batch_(batch), seed_(seed), last_(last) {
  require_rows(static_cast<std::int64_t>(rows_.size()));
  if (batch < 1) {
    throw UsageError("expected a batch size of at least 1, got " + std::to_string(batch));
  }
  batch_ = std::min(batch, static_cast<std::int64_t>(rows_.size()));
}

void Batches::start_epoch(std::uint32_t epoch) {
  order_ = rows_;
  shuffle(order_, {seed_, kBatchStream, epoch});
}

std::int64_t Batches::count() const {
  const std::int64_t rows = static_cast<std::int64_t>(rows_.size());
  const bool joined = last_ == LastBatch::kJoinOne && batch_ > 1 && rows % batch_ == 1;
  return last_ == LastBatch::kDrop || joined ? rows / batch_ : (rows + batch_ - 1) / batch_;
}

std::span<const std::int64_t> Batches::operator[](std::int64_t batch) const {
  const std::size_t first = static_cast<std::size_t>(batch * batch_);
  const std::size_t left = order_.size() - first;
  const bool takes_all = last_ != LastBatch::kDrop && batch + 1 == count();
  return std::span(order_).subspan(
      first, takes_all ? left : std::min(static_cast<std::size_t>(batch_), left));
}

void gather_rows(const Tensor& x, std::span<const std::int64_t> rows,
                 std::span<std::byte> destination) {
  const std::int64_t available = x.shape().empty() ? 0 : x.shape()[0];
  const std::size_t row_bytes =
      available == 0 ? 0 : x.bytes() / static_cast<std::size_t>(available);
  if (destination.size() != rows.size() * row_bytes) {
    throw ShapeError("gather_rows: " + std::to_string(rows.size()) + " rows of " +
                     to_string(x.shape()) + " are " + std::to_string(rows.size() * row_bytes) +
                     " bytes, got a destination of " + std::to_string(destination.size()));
  }
  std::byte* to = destination.data();
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= available) {
      throw ShapeError("gather_rows: expected rows below " + std::to_string(available) + ", got " +
                       std::to_string(row));
    }
    std::memcpy(to, x.data() + static_cast<std::size_t>(row) * row_bytes, row_bytes);
    to += row_bytes;
  }
}

Tensor gather_rows(const Tensor& x, std::span<const std::int64_t> rows) {
  Shape shape = x.shape();
  if (shape.empty()) throw ShapeError("gather_rows: expected at least one axis, got a scalar");
  shape[0] = static_cast<std::int64_t>(rows.size());
  Tensor result(x.dtype(), std::move(shape));
  gather_rows(x, rows, {result.data(), result.bytes()});
  return result;
}

Dataset gather_rows(const Dataset& data, std::span<const std::int64_t> rows) {
  Dataset some;
  some.x = gather_rows(data.x, rows);
  if (data.labels.size() > 0) some.labels = gather_rows(data.labels, rows);
  if (data.y.size() > 0) some.y = gather_rows(data.y, rows);
  if (data.lengths.size() > 0) some.lengths = gather_rows(data.lengths, rows);
  some.classes = data.classes;
  some.features = data.features;
  return some;
}

}  // namespace chainrule
