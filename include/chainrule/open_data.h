// From a path to encoded rows: which reader a path needs, which rows are held out, and how another
// file is read as the first one was.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "chainrule/data.h"

namespace chainrule {

/// How data are read, and what part of them is held out.
struct DataOptions {
  // Of tables.
  std::string target =
      {};  // a column's name, or its number from 1; empty: a built-in's last column
  Task task = Task::kAuto;
  std::vector<std::string> drop = {};     // columns left out, by name or number
  std::vector<std::string> missing = {};  // cells that mean "missing"; an empty one always does
  Header header = Header::kAuto;
  // Of characters.
  std::int64_t context = 0;  // > 0: a text, seen in windows of so many characters
  std::int64_t words = 0;    // > 0: words, one a line, of which so many characters are seen

  /// The share of the rows that is held out. Not said, it is 0.2, or 0.1 of a text or of words; of
  /// images the test files, where there are some.
  std::optional<double> validation = {};
  std::uint64_t seed = 0;  // of the choice of rows

  /// Is told what had to be guessed (Table::note), before anything else can fail.
  std::function<void(const std::string&)> note = {};
};

/// Rows to train on and rows to test on, encoded by what was learned of the first.
struct TrainingData {
  std::string source;  // the path, or the built-in's name
  Encoder encoder;
  Dataset train;
  Dataset test;           // without rows when nothing is held out
  bool held_out = false;  // the test rows are files of their own
  double validation = 0;  // else: the share of all rows that they are
};

/// Reads a CSV file, a built-in data set, a folder of IDX files such as MNIST's, or with `context`
/// a text and with `words` a list of words, and holds a part out: rows chosen by `seed`, of classes
/// a share of each; the end of a text; the test files of images. "-" is standard input.
///
/// throws  UsageError for a path that is neither a file nor a built-in, with the nearest name, for
///         a target that is not said, and for options that do not belong to data of that kind;
///         FileError and DataError as the readers do (data.h, images.h, text.h).
///
/// Example:  const TrainingData data = open_data("people.csv", {.target = "income"});
TrainingData open_data(const std::string& path, const DataOptions& options = {});

/// How a file is read for an encoder that is there already.
struct ReadingOptions {
  std::vector<std::string> missing = {};  // beside those that the encoder knows
  Header header = Header::kAuto;
};

/// The rows of `path` with their targets, read as the encoder's training data were: a table, images
/// (of a folder the test files where there are some), a text, or words.
///
/// throws  UsageError for reading options and an encoder that is not one of tables; DataError for
///         images of another shape, and as the readers do.
Dataset read_dataset(const Encoder& encoder, const std::string& path,
                     const ReadingOptions& options = {});

/// The rows of `path` without their targets, which need not be there.
///
/// throws  what read_dataset throws; UsageError for an encoder of characters.
Tensor read_features(const Encoder& encoder, const std::string& path,
                     const ReadingOptions& options = {});

}  // namespace chainrule
