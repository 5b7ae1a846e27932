// The loss over all rows as a function of one long vector, which Lbfgs minimises. A program of
// fixed size runs over the rows in pieces; their sums are in float64, in order.
#include "train/full_batch.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "base/format.h"
#include "chainrule/error.h"
#include "train/frozen.h"
#include "train/lengths.h"
#include "train/non_finite.h"

namespace chainrule {
namespace {

// Large enough to pay for a call, small enough for its activations to stay in the cache.
constexpr std::int64_t kPiece = 256;

void check(const FitOptions& options) {
  const auto refuse = [&](bool given, const char* what, const char* why) {
    if (given) throw UsageError(fmt::format("lbfgs: leave {} out: {}", what, why));
  };
  constexpr const char* kSame = "the loss must be the same each time it is asked for";
  constexpr const char* kSearch = "the line search finds the length of each step";
  refuse(options.mixup > 0, "mixup", kSame);
  refuse(!options.augmentation.empty(), "augmentation", kSame);
  refuse(options.clip.norm > 0 || options.clip.value > 0, "clipping", kSearch);
  refuse(options.schedule.phrase().name != "constant", "the schedule", kSearch);
}

// Dropout and its like draw by the step, so nothing else of a network reads it.
void require_no_randomness(const Graph& graph) {
  const Value step = graph.find("step");
  for (const Node& node : graph.nodes()) {
    if (std::find(node.inputs.begin(), node.inputs.end(), step) == node.inputs.end()) continue;
    throw UsageError(fmt::format(
        "lbfgs: the loss must be the same each time it is asked for, but {} draws random numbers",
        node.note.empty() ? "the network" : node.note));
  }
}

// A graph for one number of rows.
struct Piece {
  std::int64_t rows = 0;
  Program program;
};

class WholeLoss {
 public:
  WholeLoss(const Sequential& model, std::shared_ptr<Parameters> parameters, const Dataset& data,
            const FitOptions& options, const std::shared_ptr<ThreadPool>& threads)
      : parameters_(std::move(parameters)),
        data_(data),
        optimizer_(options.optimizer),
        counted_(model, data) {
    const std::int64_t rows = data.x.shape()[0];
    const Shape example(data.x.shape().begin() + 1, data.x.shape().end());
    const TensorMap weights = initialize(model, example, options.seed, options.init);
    const std::int64_t whole = std::min(kPiece, rows);
    last_ = rows % whole == 0 ? whole : rows % whole;
    // A network that cannot learn from one row shall not fail at what is left over.
    if (last_ < std::min(model.least_batch(example), rows)) last_ += whole;
    for (const std::int64_t count : {whole, last_}) {
      if (!pieces_.empty() && count == whole) continue;
      Shape input = example;
      input.insert(input.begin(), count);
      const auto graph = gradient_step(model, input, static_cast<std::int64_t>(data.classes.size()),
                                       {.seed = 0,
                                        .label_smoothing = options.label_smoothing,
                                        .lengths = data.lengths.size() > 0,
                                        .frozen = options.frozen});
      require_no_randomness(*graph);
      declare_parameters(*parameters_, *graph, weights);
      pieces_.push_back({count, Program(*graph, parameters_, {threads, "loss"})});
    }
    for (const ParameterInfo& info : model.parameters(example, options.init)) {
      if (info.trained && !is_frozen(info, options.frozen)) trained_.push_back(info);
    }
  }

  std::vector<double> numbers() const {
    std::vector<double> x;
    for (const ParameterInfo& info : trained_) {
      const std::span<const float> values =
          std::as_const(*parameters_).at(info.name).values<float>();
      x.insert(x.end(), values.begin(), values.end());
    }
    return x;
  }

  void set_numbers(std::span<const double> x) {
    std::size_t at = 0;
    for (const ParameterInfo& info : trained_) {
      for (float& v : parameters_->at(info.name).values<float>()) v = static_cast<float>(x[at++]);
    }
  }

  // The loss, infinite where it is no number; its gradient into `gradient`.
  double operator()(std::span<const double> x, std::span<double> gradient) {
    set_numbers(x);
    std::fill(gradient.begin(), gradient.end(), 0.0);
    const std::int64_t rows = data_.x.shape()[0];
    const std::vector<std::int64_t> all = all_rows(rows);
    const auto targets = static_cast<double>(counted_(all));
    double loss = 0;
    for (std::int64_t first = 0; first < rows;) {
      Piece& piece = rows - first == last_ ? pieces_.back() : pieces_.front();
      const std::span<const std::int64_t> some = std::span(all).subspan(
          static_cast<std::size_t>(first), static_cast<std::size_t>(piece.rows));
      first += piece.rows;
      load(piece.program, some);
      if (!piece.program.run()) return std::numeric_limits<double>::infinity();
      const double share = static_cast<double>(counted_(some)) / targets;
      loss += share * static_cast<double>(piece.program.output<float>("loss")[0]);
      std::size_t at = 0;
      for (const ParameterInfo& info : trained_) {
        for (const float v : piece.program.output<float>(gradient_name(info.name))) {
          gradient[at++] += share * static_cast<double>(v);
        }
      }
    }
    return loss + decay(x, gradient);
  }

 private:
  void load(Program& program, std::span<const std::int64_t> rows) {
    gather_rows(data_.x, rows,
                data_.x.dtype() == DType::kI32
                    ? std::as_writable_bytes(program.input<std::int32_t>("x"))
                    : std::as_writable_bytes(program.input<float>("x")));
    if (data_.classes.empty()) {
      gather_rows(data_.y, rows, std::as_writable_bytes(program.input<float>("target")));
    } else {
      gather_rows(data_.labels, rows,
                  std::as_writable_bytes(program.input<std::int32_t>("target")));
    }
    if (data_.lengths.size() > 0) {
      gather_rows(data_.lengths, rows,
                  std::as_writable_bytes(program.input<std::int32_t>("lengths")));
    }
  }

  double decay(std::span<const double> x, std::span<double> gradient) const {
    const double weight_decay = optimizer_.phrase().real("weight_decay");
    if (weight_decay == 0) return 0;
    double squares = 0;
    std::size_t at = 0;
    for (const ParameterInfo& info : trained_) {
      const std::size_t end = at + static_cast<std::size_t>(element_count(info.shape));
      for (; at < end; ++at) {
        if (!optimizer_.decays(info.shape)) continue;
        squares += x[at] * x[at];
        gradient[at] += weight_decay * x[at];
      }
    }
    return weight_decay / 2 * squares;
  }

  std::shared_ptr<Parameters> parameters_;
  const Dataset& data_;
  const Optimizer& optimizer_;
  CountedTargets counted_;
  std::vector<Piece> pieces_;  // a whole one, and the last of another size
  std::int64_t last_ = 0;      // rows of the last piece
  std::vector<ParameterInfo> trained_;
};

}  // namespace

FitResult fit_full_batch(const Sequential& model, const std::shared_ptr<Parameters>& parameters,
                         const Dataset& train, const Dataset* validation, const FitOptions& options,
                         const std::function<void(const Progress&)>& report) {
  check(options);
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const std::shared_ptr<ThreadPool> threads =
      options.pool ? options.pool : make_thread_pool(options.threads);
  WholeLoss loss(model, parameters, train, options, threads);
  const Shape example(train.x.shape().begin() + 1, train.x.shape().end());
  Predictor predict(model, example, parameters, threads);
  Lbfgs lbfgs({.history = options.optimizer.phrase().integer("history"), .rate = options.lr});
  const Lbfgs::Function function = [&](std::span<const double> x, std::span<double> gradient) {
    return loss(x, gradient);
  };
  std::vector<double> x = loss.numbers();
  const auto rows = static_cast<double>(train.x.shape()[0]);
  Progress progress;
  progress.epochs = progress.steps = options.epochs;
  for (bool goes_on = true; goes_on && progress.step < options.epochs;) {
    const std::vector<double> before = x;
    const TensorMap good = parameters->tensors();
    try {
      goes_on = lbfgs.step(function, x);
    } catch (...) {
      loss.set_numbers(before);
      if (progress.step > 0 || !std::isinf(lbfgs.value())) throw;
      throw NonFiniteError(
          fmt::format(
              "the loss is not finite where training begins; the initial weights are kept; {}",
              cause_before_training(train.x, train.y, parameters->tensors())),
          1, "", 0, 0);
    }
    loss.set_numbers(x);
    progress.step = ++progress.epoch;
    // Running statistics are not among the numbers that the line search looks at.
    if (!all_finite(parameters->tensors())) {
      for (const auto& [name, tensor] : good) parameters->set(name, tensor);
      throw NonFiniteError(
          fmt::format("step {}: the weights or running statistics are not finite; {}",
                      progress.step, cause_before_training(train.x, train.y, {})),
          progress.step, "", 0, 0);
    }
    // At a minimum, what would have been the remaining steps is done.
    if (!goes_on) progress.epochs = progress.steps = progress.step;
    progress.epoch_done = true;
    progress.training =
        measured(model, predict(train.x, train.lengths), train, "training", progress.step);
    if (validation != nullptr && validation->x.shape()[0] > 0) {
      progress.validation = measured(model, predict(validation->x, validation->lengths),
                                     *validation, "validation", progress.step);
    }
    progress.rows_per_second =
        rows * static_cast<double>(lbfgs.evaluations()) / std::max(seconds(), 1e-9);
    progress.seconds_left = seconds() / static_cast<double>(progress.step) *
                            static_cast<double>(progress.steps - progress.step);
    if (report) report(progress);
  }
  return {progress.step, seconds(), progress.training, progress.validation};
}

}  // namespace chainrule
