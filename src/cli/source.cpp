// What train, evaluate and predict share: reading rows, applying a model, printing a result.
#include "cli/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/nearest.h"
#include "chainrule/error.h"

namespace chainrule::cli {

bool is_builtin(const std::string& name) {
  const std::vector<std::string> names = builtin_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

Table load_table(const std::string& name, const CsvOptions& options) {
  if (is_builtin(name)) return builtin(name);
  if (name == "-") return read_csv("/dev/stdin", options);
  const bool looks_like_a_path = name.find_first_of("./\\") != std::string::npos;
  if (!looks_like_a_path && !std::filesystem::exists(name)) {
    throw UsageError("no such file, and " +
                     unknown_name("built-in data set", name, builtin_names()));
  }
  return read_csv(name, options);
}

Table load_table_for(const Model& model, const std::string& name) {
  return load_table(name, model.encoder.csv_options());
}

Tensor apply_model(const Model& model, const Tensor& x, int threads) {
  auto parameters = std::make_shared<Parameters>();
  for (const auto& [name, tensor] : model.parameters) parameters->set(name, tensor);
  return Predictor(model.network, model.input, parameters, make_thread_pool(threads))(x);
}

std::string metrics_text(const Metrics& metrics, const Encoder& encoder) {
  if (encoder.task() == Task::kRegression) {
    const double unit = encoder.original_units(1) - encoder.original_units(0);
    return fmt::format("RMSE {:.5g} (R² {:.4f}) on {} rows", metrics.rmse * unit, metrics.r2,
                       grouped(metrics.rows));
  }
  const auto right = std::llround(metrics.accuracy * static_cast<double>(metrics.rows));
  return fmt::format("accuracy {:.2f} % ({} of {}), loss {:.4f}", 100 * metrics.accuracy,
                     grouped(right), grouped(metrics.rows), metrics.loss);
}

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::int64_t sign = number < 0 ? 1 : 0;
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > sign; at -= 3) {
    text.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return text;
}

}  // namespace chainrule::cli
