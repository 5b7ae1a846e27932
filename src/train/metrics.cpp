// Applying a network to many rows, and measuring what comes out in float64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "chainrule/train.h"
#include "train/lengths.h"

namespace chainrule {
namespace {

// Large enough to pay for a call, small enough for its activations to stay in the cache.
constexpr std::int64_t kRows = 256;

Shape with_rows(const Shape& example, std::int64_t rows) {
  Shape shape = example;
  shape.insert(shape.begin(), rows);
  return shape;
}

Metrics of_classes(const Sequential& model, const Tensor& outputs, const Dataset& data) {
  const Tensor p = probabilities(model, outputs);
  const std::span<const float> values = p.values<float>();
  const std::span<const std::int32_t> labels = data.labels.values<std::int32_t>();
  const auto classes = static_cast<std::size_t>(p.shape().back());
  const CountedTargets counted(model, data);
  Metrics m;
  m.rows = data.labels.shape()[0];
  const std::size_t in_each = m.rows == 0 ? 1 : labels.size() / static_cast<std::size_t>(m.rows);
  double places = 0;
  for (std::int64_t row = 0; row < m.rows; ++row) {
    const std::size_t first = static_cast<std::size_t>(row) * in_each;
    const std::size_t end = first + static_cast<std::size_t>(counted(row));
    for (std::size_t place = first; place < end; ++place) {
      const std::span<const float> of_place = values.subspan(place * classes, classes);
      const auto label = static_cast<std::size_t>(labels[place]);
      m.loss -= std::log(std::max(static_cast<double>(of_place[label]), 1e-30));
      const auto best = std::max_element(of_place.begin(), of_place.end()) - of_place.begin();
      m.accuracy += static_cast<std::size_t>(best) == label ? 1 : 0;
    }
    places += static_cast<double>(end - first);
  }
  if (places > 0) {
    m.loss /= places;
    m.accuracy /= places;
  }
  return m;
}

Metrics of_values(const Tensor& outputs, const Dataset& data) {
  const std::span<const float> y = outputs.values<float>();
  const std::span<const float> t = data.y.values<float>();
  const auto n = static_cast<double>(t.size());
  double mean = 0;
  for (const float v : t) mean += static_cast<double>(v) / n;
  double errors = 0;
  double spread = 0;
  for (std::size_t i = 0; i < t.size(); ++i) {
    const double target = static_cast<double>(t[i]);
    errors += std::pow(static_cast<double>(y[i]) - target, 2);
    spread += std::pow(target - mean, 2);
  }
  Metrics m;
  m.rows = data.y.shape()[0];
  m.loss = errors / n;
  m.rmse = std::sqrt(m.loss);
  m.r2 = spread > 0 ? 1 - errors / spread : 0;
  return m;
}

}  // namespace

struct Predictor::Idle {
  std::mutex mutex;
  std::vector<Program> programs[2];  // without lengths, with them

  // None when all are in use.
  std::optional<Program> take(bool lengths) {
    const std::lock_guard lock(mutex);
    std::vector<Program>& some = programs[lengths ? 1 : 0];
    if (some.empty()) return std::nullopt;
    std::optional<Program> program = std::move(some.back());
    some.pop_back();
    return program;
  }
  void give_back(bool lengths, Program program) {
    const std::lock_guard lock(mutex);
    programs[lengths ? 1 : 0].push_back(std::move(program));
  }
};

Predictor::Predictor(const Sequential& model, const Shape& input,
                     const std::shared_ptr<Parameters>& parameters,
                     std::shared_ptr<ThreadPool> threads)
    : model_(model),
      input_(input),
      output_(model.output_shape(input)),
      parameters_(parameters),
      threads_(std::move(threads)),
      idle_(std::make_unique<Idle>()) {
  idle_->give_back(false, compiled(false));  // what cannot be compiled is refused here
}

Predictor::Predictor(Predictor&&) noexcept = default;
Predictor& Predictor::operator=(Predictor&&) noexcept = default;
Predictor::~Predictor() = default;

Program Predictor::compiled(bool lengths) const {
  Graph graph("predict");
  const Value x = graph.input("x", {model_.input_dtype(), with_rows(input_, kRows)});
  BuildOptions options;
  if (lengths) options.lengths = graph.input("lengths", {DType::kI32, {kRows}});
  graph.output("y", model_.build(x, options).output);
  return Program(graph, parameters_, {.threads = threads_, .guard = {}});
}

Tensor Predictor::operator()(const Tensor& x, const Tensor& lengths) const {
  const std::int64_t rows = x.shape().empty() ? 0 : x.shape()[0];
  if (x.shape() != with_rows(input_, rows)) {
    throw ShapeError(fmt::format("the network was built for examples {}, got a batch {}",
                                 to_string(input_), to_string(x.shape())));
  }
  const DType dtype = model_.input_dtype();
  if (x.dtype() != dtype) {
    throw ShapeError(fmt::format("the network takes {} numbers, got {}", to_string(dtype),
                                 to_string(x.dtype())));
  }
  const bool padded = lengths.size() > 0;
  if (padded) check_lengths(lengths, x);
  std::optional<Program> own = idle_->take(padded);
  Program program = own ? std::move(*own) : compiled(padded);
  const auto width = static_cast<std::size_t>(element_count(input_)) * size_of(dtype);
  const auto outputs = static_cast<std::size_t>(element_count(output_));
  std::byte* const in = dtype == DType::kI32
                            ? std::as_writable_bytes(program.input<std::int32_t>("x")).data()
                            : std::as_writable_bytes(program.input<float>("x")).data();
  Tensor y(DType::kF32, with_rows(output_, rows));
  const std::span<float> to = y.values<float>();
  for (std::int64_t row = 0; row < rows; row += kRows) {
    const auto first = static_cast<std::size_t>(row);
    const auto count = static_cast<std::size_t>(std::min(kRows, rows - row));
    // The rows of a short last batch that are left from the one before are computed and not read.
    std::memcpy(in, x.data() + first * width, count * width);
    if (padded) {
      std::copy_n(lengths.values<std::int32_t>().begin() + row, count,
                  program.input<std::int32_t>("lengths").begin());
    }
    program.run();
    std::copy_n(program.output<float>("y").begin(), count * outputs,
                to.begin() + static_cast<std::ptrdiff_t>(first * outputs));
  }
  idle_->give_back(padded, std::move(program));
  return y;
}

Tensor probabilities(const Sequential& model, Tensor outputs) {
  if (!model.layers().empty() && model.layers().back().name == "softmax") return outputs;
  const auto classes = static_cast<std::size_t>(outputs.shape().back());
  const std::span<float> values = outputs.values<float>();
  for (std::size_t at = 0; at < values.size(); at += classes) {
    const std::span<float> row = values.subspan(at, classes);
    const float largest = *std::max_element(row.begin(), row.end());
    double total = 0;
    for (float& v : row) {
      v = std::exp(v - largest);
      total += static_cast<double>(v);
    }
    for (float& v : row) v = static_cast<float>(static_cast<double>(v) / total);
  }
  return outputs;
}

Metrics measure(const Sequential& model, const Tensor& outputs, const Dataset& data) {
  const Shape& shape = outputs.shape();
  const bool classifies = !data.classes.empty();
  const Shape places = shape.empty() ? shape : Shape(shape.begin(), shape.end() - 1);
  if (classifies ? places != data.labels.shape() : places != Shape{data.y.shape()[0]}) {
    throw ShapeError(fmt::format("measure: expected outputs {} of the targets {}, got {}",
                                 classifies ? "[…, classes]" : "[rows, 1]",
                                 to_string(classifies ? data.labels.shape() : data.y.shape()),
                                 to_string(shape)));
  }
  const Metrics m = classifies ? of_classes(model, outputs, data) : of_values(outputs, data);
  if (!std::isfinite(m.loss)) require_finite_outputs(outputs);
  return m;
}

void require_finite_outputs(const Tensor& outputs) {
  const std::span<const float> values = outputs.values<float>();
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad == values.end()) return;
  const auto in_a_row = static_cast<std::ptrdiff_t>(values.size()) / outputs.shape()[0];
  throw DataError(fmt::format("row {}: the network's output is not finite",
                              (bad - values.begin()) / in_a_row + 1));
}

}  // namespace chainrule
