// Where rows come from: a CSV file, standard input, a built-in data set, or images in IDX files.
#pragma once

#include <string>

#include "chainrule/data.h"
#include "chainrule/model.h"
#include "chainrule/train.h"

namespace chainrule::cli {

bool is_builtin(const std::string& name);

/// The built-in data set of that name, or the CSV file at that path; "-" is standard input.
///
/// throws  UsageError when `name` is neither, with the nearest built-in name.
Table load_table(const std::string& name, const CsvOptions& options);

/// The text of a Python file; "-" is standard input.
std::string read_program(const std::string& name);

/// The rows of `name` with their targets, read as the model's training data were: a table, or a
/// folder or file of images, of which the test part is taken where there is one, a text, or words.
Dataset load_dataset_for(const Model& model, const std::string& name, const CsvOptions& csv);

/// The rows of `name` without their targets, which need not be there.
Tensor load_features_for(const Model& model, const std::string& name, const CsvOptions& csv);

/// load_model, with a note on stderr for a file without a digest.
Model read_model(const std::string& path);

/// The network's outputs for the encoded rows of `source`.
///
/// throws  DataError naming the row whose output is not finite.
Tensor apply_model(const Model& model, const Tensor& x,
                   const std::shared_ptr<cpu::ThreadPool>& threads, const std::string& source);

/// "accuracy 97.5 % (351 of 360), loss 0.0812", for characters the loss first, or for regression
/// "RMSE 48123 (R² 0.81)" in the target's own units.
std::string metrics_text(const Metrics& metrics, const Encoder& encoder);

/// "1,797".
std::string grouped(std::int64_t number);

}  // namespace chainrule::cli
