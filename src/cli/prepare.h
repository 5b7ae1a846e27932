// What train learns from: the rows of a table, images, a text or words, split and encoded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "chainrule/data.h"
#include "chainrule/nn.h"
#include "cli/option_values.h"

namespace chainrule::cli {

struct DataOptions {
  TableOptions table;        // its `data` is a file, a folder, or a built-in data set
  std::int64_t context = 0;  // the data are a text, seen in windows of so many characters
  std::int64_t words = 0;    // the data are words, of which so many characters are seen
  std::optional<double> validation;
  std::uint64_t seed = 0;
};

struct Prepared {
  Encoder encoder;
  Dataset train;
  Dataset test;
  bool held_out = false;  // the test rows are a file of their own
  double validation = 0;  // else: the share of the rows that they are
};

/// Reads the data and holds a part out: test files where images have them, the end of a text, else
/// rows at random.
///
/// throws  UsageError for options that do not belong to data of that kind.
Prepared prepare(const DataOptions& options);

/// The network that was asked for, or the usual one for such data. An image goes into a network of
/// vectors through a flatten of its own.
Sequential network_for(const Prepared& data, const std::optional<Sequential>& asked);

/// "64 features", "images of 28×28×1".
std::string inputs_text(const Encoder& encoder);

}  // namespace chainrule::cli
