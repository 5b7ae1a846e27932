// The loop: batches in, steps out, and what to do when a number stops being finite. Everything that
// a step depends on is a function of (options, step), so that an epoch can be run again exactly to
// find its first bad step.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/train.h"
#include "train/full_batch.h"
#include "train/lengths.h"
#include "train/loader.h"
#include "train/mixing.h"
#include "train/non_finite.h"

namespace chainrule {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void check(const Sequential& model, const FitOptions& options, const Dataset& train) {
  if (options.epochs < 1) {
    throw UsageError(fmt::format("epochs must be at least 1, got {}", options.epochs));
  }
  if (options.batch < 1) {
    throw UsageError(fmt::format("batch must be at least 1, got {}", options.batch));
  }
  if (!std::isfinite(options.lr) || options.lr < 0) {
    throw UsageError(fmt::format("lr must be a positive number, got {}", options.lr));
  }
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1)) {
    throw UsageError(fmt::format("label smoothing must be at least 0 and below 1, got {}",
                                 options.label_smoothing));
  }
  if (!std::isfinite(options.mixup) || options.mixup < 0) {
    throw UsageError(fmt::format("mixup must be at least 0, got {}", options.mixup));
  }
  if (train.x.shape()[0] == 0) throw DataError("no rows to train on");
  if (model.input_dtype() != train.x.dtype()) {
    throw ShapeError(fmt::format("the network takes {} numbers, but the data are {}",
                                 to_string(model.input_dtype()), to_string(train.x.dtype())));
  }
  if (train.lengths.size() > 0) check_lengths(train.lengths, train.x);
}

// One batch size's graph and program.
struct Step {
  Step(const Sequential& model, const Shape& input, std::int64_t classes,
       const StepOptions& options)
      : rows(input[0]), graph(training_step(model, input, classes, options)) {}

  void compile(const std::shared_ptr<Parameters>& parameters,
               const std::shared_ptr<ThreadPool>& threads) {
    program.emplace(*graph, parameters, CompileOptions{.threads = threads, .guard = "loss"});
  }

  std::int64_t rows;
  std::unique_ptr<Graph> graph;
  std::optional<Program> program;
};

class Training {
 public:
  Training(const Sequential& model, std::shared_ptr<Parameters> parameters, const Dataset& train,
           const Dataset* validation, const FitOptions& options)
      : model_(model),
        parameters_(std::move(parameters)),
        train_(train),
        validation_(validation),
        options_(options),
        threads_(options.pool ? options.pool : make_thread_pool(options.threads)),
        batches_(all_rows(train.x.shape()[0]), options.batch, options.seed, last_batch()),
        rate_(options.lr),
        loader_(train.x, options.augmentation, options.seed),
        counted_(model, train) {
    check_ends();
    for (const std::int64_t batch : {std::int64_t{0}, batches_.count() - 1}) {
      const auto rows = static_cast<std::int64_t>(batches_[batch].size());
      if (steps_.empty() || rows != steps_[0].rows) steps_.push_back(make_step(rows));
    }
    const TensorMap weights = initialize(model, example_shape(), options.seed, options.init);
    for (Step& step : steps_) {
      declare_parameters(*parameters_, *step.graph, weights);
      step.compile(parameters_, threads_);
    }
    if (validation_ != nullptr && validation_->x.shape()[0] > 0) {
      if (options.optimizer.averages()) take_averages();
      predictor_.emplace(model, example_shape(), used_ ? used_ : parameters_, threads_);
    }
    last_good_ = parameters_->tensors();
  }

  FitResult run(const std::function<void(const Progress&)>& report) {
    start_ = std::chrono::steady_clock::now();
    progress_.epochs = options_.epochs;
    progress_.steps = options_.epochs * batches_.count();
    for (std::int64_t epoch = 1; epoch <= options_.epochs; ++epoch) run_epoch(epoch, report);
    FitResult result;
    result.steps = progress_.steps;
    result.seconds = seconds_since(start_);
    result.training = progress_.training;
    result.validation = progress_.validation;
    return result;
  }

 private:
  Shape example_shape() const { return {train_.x.shape().begin() + 1, train_.x.shape().end()}; }
  bool classifies() const { return !train_.classes.empty(); }
  bool has_lengths() const { return train_.lengths.size() > 0; }

  // A network that cannot learn from one row shall not fail at what is left over.
  LastBatch last_batch() const {
    return model_.least_batch(example_shape()) > 1 ? LastBatch::kJoinOne : LastBatch::kKeep;
  }

  // How many targets an example has; the rest is training_step's to say.
  void check_ends() const {
    if (!classifies()) return;
    Shape places = model_.output_shape(example_shape());
    if (!places.empty()) places.pop_back();
    const Shape labels(train_.labels.shape().begin() + 1, train_.labels.shape().end());
    if (places != labels) {
      throw ShapeError(fmt::format(
          "the network gives {} for an example, but an example has {}; a recurrent layer with "
          "\"sequence\" gives one output a step, without it one a sequence",
          to_string(model_.output_shape(example_shape())),
          labels.empty() ? "one label" : "labels " + to_string(labels)));
    }
  }

  Step make_step(std::int64_t rows) const {
    Shape input = train_.x.shape();
    input[0] = rows;
    return Step(model_, input, static_cast<std::int64_t>(train_.classes.size()),
                {.optimizer = options_.optimizer,
                 .clip = options_.clip,
                 .seed = static_cast<std::int64_t>(options_.seed),
                 .label_smoothing = options_.label_smoothing,
                 .mixup = options_.mixup > 0,
                 .lengths = has_lengths(),
                 .frozen = options_.frozen});
  }

  std::int64_t number_of(std::int64_t epoch, std::int64_t batch) const {
    return (epoch - 1) * batches_.count() + batch + 1;
  }

  Step& step_for(std::span<const std::int64_t> rows) {
    return static_cast<std::int64_t>(rows.size()) == steps_[0].rows ? steps_[0] : steps_[1];
  }

  double rate_at(std::int64_t number) const {
    return rate_ * learning_rate(options_.schedule, number, options_.epochs * batches_.count());
  }

  std::span<std::byte> input_bytes(Program& program) const {
    if (train_.x.dtype() == DType::kI32) {
      return std::as_writable_bytes(program.input<std::int32_t>("x"));
    }
    return std::as_writable_bytes(program.input<float>("x"));
  }

  // False when the loss is not finite; nothing has changed then.
  bool run_step(Program& program, std::int64_t epoch, std::int64_t batch) {
    const std::span<const std::int64_t> rows = batches_[batch];
    const std::int64_t number = number_of(epoch, batch);
    loader_.load(rows, static_cast<std::uint32_t>(epoch), input_bytes(program));
    if (batch + 1 < batches_.count()) {
      loader_.ahead(batches_[batch + 1], static_cast<std::uint32_t>(epoch));
    }
    if (classifies()) {
      gather_rows(train_.labels, rows,
                  std::as_writable_bytes(program.input<std::int32_t>("target")));
    } else {
      gather_rows(train_.y, rows, std::as_writable_bytes(program.input<float>("target")));
    }
    if (has_lengths()) {
      gather_rows(train_.lengths, rows,
                  std::as_writable_bytes(program.input<std::int32_t>("lengths")));
    }
    program.input<float>("lr")[0] = static_cast<float>(rate_at(number));
    program.input<float>("step")[0] = static_cast<float>(number);
    if (options_.mixup > 0) {
      const auto step = static_cast<std::uint32_t>(number);
      program.input<float>("mix")[0] =
          static_cast<float>(mixup_share(options_.mixup, options_.seed, step));
      mixup_partners(program.input<std::int32_t>("partner"), options_.seed, step);
    }
    return program.run();
  }

  void run_epoch(std::int64_t epoch, const std::function<void(const Progress&)>& report) {
    batches_.start_epoch(static_cast<std::uint32_t>(epoch));
    progress_.epoch = epoch;
    progress_.epoch_done = false;
    progress_.validation = {};
    double loss = 0;  // summed over targets
    double correct = 0;
    std::int64_t seen = 0;
    std::int64_t targets = 0;
    for (std::int64_t b = 0; b < batches_.count(); ++b) {
      const std::span<const std::int64_t> rows = batches_[b];
      Program& program = *step_for(rows).program;
      if (!run_step(program, epoch, b)) fail(epoch, b);
      const std::int64_t count = counted_(rows);
      seen += static_cast<std::int64_t>(rows.size());
      targets += count;
      loss += static_cast<double>(program.output<float>("loss")[0]) * static_cast<double>(count);
      if (classifies()) correct += static_cast<double>(program.output<float>("correct")[0]);
      progress_.step = number_of(epoch, b);
      progress_.training.rows = seen;
      progress_.training.loss = loss / static_cast<double>(targets);
      progress_.training.rmse = std::sqrt(progress_.training.loss);
      if (classifies()) {
        progress_.training.accuracy = correct / static_cast<double>(targets);
      }
      progress_.epoch_done = b + 1 == batches_.count();
      if (progress_.epoch_done) finish_epoch(epoch);
      if (report) tell(report, epoch, seen);
    }
  }

  // The loss of an epoch's last step may be finite and its update not.
  void finish_epoch(std::int64_t epoch) {
    if (!all_finite(parameters_->tensors())) fail(epoch, batches_.count() - 1);
    last_good_ = parameters_->tensors();
    if (predictor_) {
      if (used_) take_averages();
      progress_.validation = measured(model_, (*predictor_)(validation_->x, validation_->lengths),
                                      *validation_, "validation", progress_.step);
    }
  }

  // Validation sees what will be used: the averages of the weights.
  void take_averages() {
    if (!used_) used_ = std::make_shared<Parameters>();
    for (const auto& [name, tensor] : final_weights(model_, example_shape(), *parameters_)) {
      used_->set(name, tensor);
    }
  }

  void tell(const std::function<void(const Progress&)>& report, std::int64_t epoch,
            std::int64_t seen) {
    const double seconds = seconds_since(start_);
    const double rows = static_cast<double>((epoch - 1) * train_.x.shape()[0] + seen);
    progress_.rows_per_second = rows / std::max(seconds, 1e-9);
    const double left = static_cast<double>(options_.epochs * train_.x.shape()[0]) - rows;
    progress_.seconds_left = left / std::max(progress_.rows_per_second, 1e-9);
    report(progress_);
  }

  void restore(const TensorMap& tensors) {
    for (const auto& [name, tensor] : tensors) parameters_->set(name, tensor);
  }

  // Runs the epoch again from its start, keeping the parameters of one step back, and stops at the
  // first step that spoils anything: its loss, or the parameters through its gradient.
  [[noreturn]] void fail(std::int64_t epoch, std::int64_t last) {
    restore(last_good_);
    for (std::int64_t b = 0; b <= last; ++b) {
      Step& step = step_for(batches_[b]);
      const TensorMap before = parameters_->tensors();
      const bool loss_is_finite = run_step(*step.program, epoch, b);
      if (loss_is_finite && all_finite(parameters_->tensors())) continue;
      restore(before);
      explain(step, number_of(epoch, b), loss_is_finite ? "gradient" : "loss");
    }
    throw Error("a step gave NaN or infinity once and not when it was run again");
  }

  [[noreturn]] void explain(Step& step, std::int64_t number, const std::string& what) {
    TensorMap feed = parameters_->tensors();
    for (const Value& input : step.graph->inputs()) {
      // The inputs of the step that failed still lie in its program.
      Tensor tensor(input.dtype(), input.shape());
      const std::span<std::byte> bytes =
          input.dtype() == DType::kI32
              ? std::as_writable_bytes(step.program->input<std::int32_t>(input.name()))
              : std::as_writable_bytes(step.program->input<float>(input.name()));
      std::copy(bytes.begin(), bytes.end(), tensor.data());
      feed.insert_or_assign(input.name(), std::move(tensor));
    }
    const NonFiniteNode node = first_non_finite(*step.graph, feed).value_or(NonFiniteNode{});
    const std::string cause = node.place.empty() ? std::string()
                                                 : fmt::format(": {} has {} NaN and {} Inf",
                                                               node.place, node.nans, node.infs);
    const std::string kept = number == 1
                                 ? "the initial weights are kept"
                                 : fmt::format("the weights of step {} are kept", number - 1);
    throw NonFiniteError(fmt::format("step {}: the {} is not finite{}; {}; {}", number, what, cause,
                                     kept, remedy(step, std::move(feed))),
                         number, node.name, node.nans, node.infs);
  }

  // With the first weights and without a learning rate nothing is left of the training but its
  // data.
  std::string remedy(const Step& step, TensorMap feed) const {
    const TensorMap first = initialize(model_, example_shape(), options_.seed, options_.init);
    for (const auto& [name, tensor] : first) feed.insert_or_assign(name, tensor);
    feed.insert_or_assign("lr", Tensor(DType::kF32, {}));
    if (!first_non_finite(*step.graph, feed)) {
      return "lower the learning rate (--lr) or limit the gradients (--clip-norm)";
    }
    return cause_before_training(feed.at("x"), feed.at("target"), first);
  }

  const Sequential& model_;
  std::shared_ptr<Parameters> parameters_;
  const Dataset& train_;
  const Dataset* validation_;
  const FitOptions& options_;
  std::shared_ptr<ThreadPool> threads_;
  Batches batches_;
  double rate_;
  Loader loader_;
  CountedTargets counted_;
  std::vector<Step> steps_;           // for the first batch, and for the last of another size
  std::shared_ptr<Parameters> used_;  // with averages: what validation sees
  std::optional<Predictor> predictor_;
  TensorMap last_good_;  // at the start of the epoch
  Progress progress_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace

FitResult fit(const Sequential& model, const std::shared_ptr<Parameters>& parameters,
              const Dataset& train, const Dataset* validation, const FitOptions& given,
              const std::function<void(const Progress&)>& report) {
  const FitOptions options = usual_options(given, train.x.shape().empty() ? 0 : train.x.shape()[0]);
  check(model, options, train);
  if (options.optimizer.is_full_batch()) {
    return fit_full_batch(model, parameters, train, validation, options, report);
  }
  return Training(model, parameters, train, validation, options).run(report);
}

}  // namespace chainrule
