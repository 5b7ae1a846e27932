// A model's way from data to answers; files are in model_file.cpp.
#include "chainrule/model.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/format.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

// The network where none is asked for.
std::string usual_network(const TrainingData& data) {
  const std::size_t classes = data.encoder.classes().size();
  switch (data.encoder.kind()) {
    case Encoder::Kind::kText:
      return fmt::format("embedding 64 vocabulary={0}, lstm 128 sequence, linear {0}", classes);
    case Encoder::Kind::kWords:
      return fmt::format("embedding 10 vocabulary={0}, flatten, linear 200, tanh, linear {0}",
                         classes);
    case Encoder::Kind::kTable:
    case Encoder::Kind::kImages: break;
  }
  return suggested_model(data.train.x.shape()[0], element_count(data.encoder.example_shape()),
                         static_cast<std::int64_t>(classes));
}

// For images, a network that does not give one output a class as it stands, but does with a
// flatten before its first linear layer, gets it: "linear 128, relu, linear 10" takes an image as
// one row of pixels.
Sequential fitted_to(const Shape& example, std::int64_t classes, const Sequential& network) {
  if (example.size() < 2) return network;
  const auto fits = [&](const Sequential& candidate) {
    try {
      return candidate.output_shape(example) == Shape{classes};
    } catch (const ShapeError&) {
      return false;
    }
  };
  if (fits(network)) return network;
  std::vector<Phrase> layers = network.layers();
  const auto first = std::find_if(layers.begin(), layers.end(),
                                  [](const Phrase& layer) { return layer.name == "linear"; });
  if (first == layers.end()) return network;
  layers.insert(first, layers::flatten());
  const Sequential flattened(std::move(layers));
  return fits(flattened) ? flattened : network;
}

// The usual networks drop, which a full-batch optimiser cannot have.
Sequential without_dropout(const Sequential& network) {
  std::vector<Phrase> layers = network.layers();
  std::erase_if(layers, [](const Phrase& layer) { return layer.name == "dropout"; });
  return Sequential(std::move(layers));
}

std::map<std::string, std::string> record(const TrainingData& data, const FitOptions& fit) {
  std::map<std::string, std::string> entries{
      {"data", file_name(data.source)},       {"optimizer", fit.optimizer.to_text()},
      {"lr", fmt::format("{}", fit.lr)},      {"schedule", fit.schedule.to_text()},
      {"epochs", std::to_string(fit.epochs)}, {"batch", std::to_string(fit.batch)},
      {"seed", std::to_string(fit.seed)}};
  if (data.held_out) {
    entries["held_out"] = "test files";
  } else {
    entries["validation"] = fmt::format("{}", data.validation);
  }
  if (fit.init) entries["init"] = fit.init->to_text();
  if (fit.label_smoothing > 0) entries["label_smoothing"] = fmt::format("{}", fit.label_smoothing);
  if (fit.mixup > 0) entries["mixup"] = fmt::format("{}", fit.mixup);
  if (!fit.augmentation.empty()) entries["augment"] = fit.augmentation.to_text();
  if (fit.clip.norm > 0) entries["clip_norm"] = fmt::format("{}", fit.clip.norm);
  if (fit.clip.value > 0) entries["clip_value"] = fmt::format("{}", fit.clip.value);
  return entries;
}

std::shared_ptr<Parameters> parameters_of(const TensorMap& tensors) {
  auto parameters = std::make_shared<Parameters>();
  for (const auto& [name, tensor] : tensors) parameters->set(name, tensor);
  return parameters;
}

void require_same_encoding(const Encoder& before, const TrainingData& data) {
  if (before.to_json() == data.encoder.to_json()) return;
  throw UsageError(fmt::format(
      "{}: the model reads its rows in another way than these data are encoded; train on the data "
      "that it was trained on, or begin with a model without weights",
      data.source));
}

}  // namespace

// ── training ─────────────────────────────────────────────────────────────────

Sequential network_for(const TrainingData& data, const Sequential& asked) {
  const auto classes = static_cast<std::int64_t>(data.encoder.classes().size());
  const Sequential network =
      asked.layers().empty() ? Sequential::parse(usual_network(data)) : asked;
  return fitted_to(data.encoder.example_shape(), classes, network);
}

FitOptions Model::prepare(const TrainingData& data, const FitOptions& options) {
  const std::int64_t rows = data.train.x.shape()[0];
  FitOptions how = usual_options(options, rows);
  if (parameters.empty()) {
    const bool chosen = network.layers().empty();
    network = network_for(data, network);
    if (chosen && how.optimizer.is_full_batch()) network = without_dropout(network);
    input = data.encoder.example_shape();
    encoder = data.encoder;
    Shape batch = input;
    batch.insert(batch.begin(), std::min(how.batch, rows));
    // A network that does not fit is refused here.
    gradient_step(network, batch, static_cast<std::int64_t>(data.train.classes.size()),
                  {.lengths = data.train.lengths.size() > 0});
    parameters = initialize(network, input, how.seed, how.init);
  } else {
    require_same_encoding(encoder, data);
  }
  training = record(data, how);
  return how;
}

FitResult Model::fit(const TrainingData& data, const FitOptions& options,
                     const std::function<void(const Progress&)>& report) {
  const FitOptions how = prepare(data, options);
  const std::shared_ptr<Parameters> weights = parameters_of(parameters);
  const auto keep = [&] { parameters = final_weights(network, input, *weights); };
  FitResult result;
  try {
    result = chainrule::fit(network, weights, data.train, &data.test, how, report);
  } catch (const NonFiniteError&) {
    keep();
    throw;
  }
  keep();
  const bool tested = result.validation.rows > 0;
  result.training = in_own_units(result.training, encoder);
  if (tested) result.validation = in_own_units(result.validation, encoder);
  training[tested ? "test" : "train"] =
      metrics_text(tested ? result.validation : evaluate(data.train, how.pool), encoder);
  return result;
}

// ── use ──────────────────────────────────────────────────────────────────────

Predictor Model::predictor(std::shared_ptr<ThreadPool> threads) const {
  return {network, input, parameters_of(parameters), std::move(threads)};
}

Answers Model::predict(const Table& table) const {
  return predict(encoder.features(table, all_rows(table.rows())));
}

Answers Model::predict(const Tensor& x) const { return answers((*this)(x)); }

Answers Model::answers(const Tensor& outputs) const {
  if (encoder.kind() == Encoder::Kind::kText) {
    throw UsageError("a model of texts answers no rows");
  }
  require_finite_outputs(outputs);
  Answers result;
  if (encoder.task() == Task::kRegression) {
    for (const float y : outputs.values<float>()) {
      result.values.push_back(encoder.original_units(static_cast<double>(y)));
      if (std::isfinite(result.values.back())) continue;
      throw DataError(fmt::format("row {}: the answer is not finite", result.values.size()));
    }
    return result;
  }
  const std::vector<std::string>& names = encoder.classes();
  result.probabilities = probabilities(network, outputs);
  const std::span<const float> values = std::as_const(result.probabilities).values<float>();
  for (std::size_t at = 0; at < values.size(); at += names.size()) {
    const std::span<const float> row = values.subspan(at, names.size());
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    result.classes.push_back(names[static_cast<std::size_t>(best)]);
  }
  return result;
}

Metrics Model::evaluate(const Table& table) const {
  return evaluate(encoder.encode(table, all_rows(table.rows())));
}

Metrics Model::evaluate(const Dataset& data, std::shared_ptr<ThreadPool> threads) const {
  const Tensor outputs = predictor(std::move(threads))(data.x, data.lengths);
  require_finite_outputs(outputs);
  return in_own_units(measure(network, outputs, data), encoder);
}

Metrics in_own_units(Metrics metrics, const Encoder& encoder) {
  if (encoder.task() != Task::kRegression) return metrics;
  metrics.rmse *= encoder.original_units(1) - encoder.original_units(0);
  if (!std::isfinite(metrics.rmse)) {
    throw DataError("the error in the target's units is not finite: its numbers are too large");
  }
  return metrics;
}

std::string metrics_text(const Metrics& metrics, const Encoder& encoder) {
  if (encoder.task() == Task::kRegression) {
    return fmt::format("RMSE {:.5g} (R² {:.4f}) on {} rows", metrics.rmse, metrics.r2,
                       grouped(metrics.rows));
  }
  if (encoder.kind() == Encoder::Kind::kText || encoder.kind() == Encoder::Kind::kWords) {
    const std::int64_t places =
        metrics.rows * (encoder.kind() == Encoder::Kind::kText ? encoder.example_shape()[0] : 1);
    return fmt::format("loss {:.4f} a character, accuracy {:.2f} % on {} characters", metrics.loss,
                       100 * metrics.accuracy, grouped(places));
  }
  const auto right = std::llround(metrics.accuracy * static_cast<double>(metrics.rows));
  return fmt::format("accuracy {:.2f} % ({} of {}), loss {:.4f}", 100 * metrics.accuracy,
                     grouped(right), grouped(metrics.rows), metrics.loss);
}

}  // namespace chainrule
