// Where a network and a batch for it come from: a line of text, a TOML file or a model file, and a
// data set or random numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chainrule/data.h"
#include "chainrule/nn.h"
#include "cli/option_values.h"

namespace chainrule::cli {

/// What check and explain are told about their network, batch and step.
struct NetworkOptions {
  std::string network;  // layers, *.toml or *.safetensors
  std::string model;    // layers, where a TOML file states them
  TableOptions table;
  std::string input;          // of one example: "4", "8x8"
  std::int64_t classes = -1;  // −1: not stated
  std::int64_t rows = 8;
  std::string init;
  std::uint64_t seed = 0;
  UpdateOptions update = {.optimizer = "sgd"};
  int threads = 0;
};

/// The options that fill `options`; the network is told by its position.
std::vector<Option> network_options(NetworkOptions& options);

/// A network, its weights and one batch.
struct NetworkSource {
  Sequential network;
  Shape input;           // of one example
  TensorMap parameters;  // f32
  Dataset batch;
  std::string weights;  // where they come from: "seed 0", "digits.safetensors"
  std::string data;     // where the batch comes from: "rows 1, 51 and 101 of iris"
};

/// Reads what `options` name. Of a data set, `rows` rows evenly spaced are taken, so that a table
/// sorted by class shows them all.
///
/// `arguments` are the options that a TOML file fills.
/// throws  UsageError for an unknown layer, key, data set or column, each with the nearest known;
///         FileError and DataError as the readers do; ShapeError when network and data do not fit.
NetworkSource read_network(Arguments& arguments, NetworkOptions& options);

/// The first lines of a report: what network, which weights, which batch.
std::string headline(const NetworkSource& source);

}  // namespace chainrule::cli
