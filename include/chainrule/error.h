// The errors that chainrule throws. Each carries its facts as data beside the sentence, so that a
// program can react to them and a person can read them.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace chainrule {

/// The base of every error: what() is one sentence that names the thing the user named, what was
/// expected, what came, and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Shapes or dtypes that do not fit together.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A request that cannot be understood: an unknown layer, option, name or value. The command line
/// answers it with exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Data that cannot be learned from: a bad cell, a ragged row, a label out of range.
/// `line` and `column` count from 1; 0 when they do not apply.
class DataError : public Error {
 public:
  explicit DataError(const std::string& message, std::string in_file = {}, std::int64_t at_line = 0,
                     std::int64_t at_column = 0)
      : Error(message), file(std::move(in_file)), line(at_line), column(at_column) {}
  std::string file;
  std::int64_t line;
  std::int64_t column;
};

/// A file that cannot be read or written: missing, truncated, or of another format.
class FileError : public Error {
 public:
  FileError(const std::string& message, std::string in_file)
      : Error(message), file(std::move(in_file)) {}
  std::string file;
};

/// Memory that cannot be had; the message says for what and how much.
class MemoryError : public Error {
 public:
  using Error::Error;
};

/// A value became NaN or infinite during training. `step` counts from 1; `node` is the name that
/// the graph's text form gives to the first bad value.
class NonFiniteError : public Error {
 public:
  NonFiniteError(const std::string& message, std::int64_t at_step, std::string at_node,
                 std::int64_t nans, std::int64_t infs)
      : Error(message), step(at_step), node(std::move(at_node)), nan_count(nans), inf_count(infs) {}
  std::int64_t step;
  std::string node;
  std::int64_t nan_count;
  std::int64_t inf_count;
};

}  // namespace chainrule
