// The road from a file to numbers: a CSV file becomes a Table, an Encoder fitted on the training
// rows turns its rows into float32 tensors, and Batches deals the rows out, shuffled anew each
// epoch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chainrule/tensor.h"

namespace chainrule {

// ── tables ───────────────────────────────────────────────────────────────────

enum class ColumnKind : std::uint8_t { kNumber, kText };

/// The encoded number is (value − mean) / scale.
struct Scaling {
  double mean = 0;
  double scale = 1;
};

/// One column of a table. `numbers` has an entry a row when the kind is kNumber, `texts` when it is
/// kText; the other is empty. A missing number is NaN, a missing text is the empty string.
struct Column {
  std::string name;
  ColumnKind kind = ColumnKind::kNumber;
  std::vector<double> numbers;
  std::vector<std::string> texts;
  /// Where the scale is known beforehand (a pixel's range, say), the encoder uses it instead of the
  /// training rows' mean and deviation, and the column may be constant.
  std::optional<Scaling> scaling;
};

/// Named columns of equal length.
struct Table {
  std::string source;      // the file's path, or a built-in's name: errors begin with it
  bool has_header = true;  // false: the names are column1, column2, …
  std::vector<Column> columns;
  std::vector<std::int64_t> lines;  // the line that each row begins on; empty for a built-in
  /// A sentence about what read_csv had to guess of its first line; empty where that was plain.
  std::string note = {};

  std::int64_t rows() const;

  /// The index of a column, given by name or, where no name matches, by number from 1.
  ///
  /// throws  UsageError that lists the columns and suggests the nearest name.
  std::size_t index_of(const std::string& name_or_number) const;
};

enum class Header : std::uint8_t { kAuto, kYes, kNo };

struct CsvOptions {
  /// 0 takes the one of comma, semicolon and tab that the first line has most of.
  char separator = 0;
  Header header = Header::kAuto;
  /// Cells that mean "missing"; an empty cell always does.
  std::vector<std::string> missing = {};
  /// The kinds of columns by name, where they are known; the others are inferred.
  std::map<std::string, ColumnKind> kinds = {};
  /// Column names that a header is expected to hold.
  std::vector<std::string> known_names = {};
};

/// Reads a CSV file: RFC 4180 quoting, UTF-8 with or without BOM, LF or CRLF; spaces around
/// unquoted cells are trimmed and blank lines at the end skipped.
///
/// header   with kAuto the types of the columns decide. A first line without a number is a header
///          over a column of numbers; over texts only, unless one of its texts stands in its own
///          column below. One with numbers is a row, unless they can be names (years, or 0, 1,
///          2, …) that do not fit what stands below. With known_names it is a header when it holds
///          one of them. Without a header the columns are called column1, column2, …
/// kinds    a column is numeric when all its cells are numbers or missing, and text otherwise; but
///          a column that is numeric save for a tenth of its cells, or for a single one, is an
///          error that names the first such cell.
/// throws   FileError when the file cannot be read or is not UTF-8 text. DataError naming file,
///          line and column for an empty file, no rows, a ragged or empty row, a stray quote, a
///          duplicate name, a cell that is not a number, NaN or infinity.
///
/// Example: Table table = read_csv("adult.csv", {.missing = {"?"}});
Table read_csv(const std::string& path, const CsvOptions& options = {});

/// The names of the data sets compiled into the library: digits and iris.
std::vector<std::string> builtin_names();
bool is_builtin(const std::string& name);

/// A data set compiled into the library. iris: 150 rows, 4 measures in cm and "species"; digits:
/// 1797 rows, 64 pixels 0 … 16 (scaled to 0 … 1) and "digit". The target is the last column.
///
/// source  scikit-learn's copies; see src/data/builtin.
/// throws  UsageError listing the names.
Table builtin(const std::string& name);

// ── encoding ─────────────────────────────────────────────────────────────────

enum class Task : std::uint8_t { kAuto, kClassification, kRegression };

/// Encoded rows. `labels` is filled for classification, `y` for regression.
struct Dataset {
  Tensor x;                           // [rows, F] f32, [rows, H, W, C] f32, [rows, T] i32, …
  Tensor labels{DType::kI32, {0}};    // [rows] or [rows, T] i32, indices into classes
  Tensor y;                           // [rows, 1] f32, standardised: see Encoder::original_units
  std::vector<std::string> classes;   // the labels' texts, in label order
  std::vector<std::string> features;  // the names of x's columns, F of them; none for images
  // [rows] i32: how many steps of each row of x [rows, T, …] count; what stands behind them, in x
  // and in labels [rows, T], may be any finite number and any label. Empty: all steps count.
  Tensor lengths{DType::kI32, {0}};
};

struct EncoderOptions {
  std::string target;                     // a column's name, or its number from 1
  std::vector<std::string> drop = {};     // columns left out, by name or number
  Task task = Task::kAuto;                // see Encoder::fit
  std::vector<std::string> missing = {};  // what CsvOptions::missing was: csv_options() returns it
};

/// How raw columns become numbers, learned from the training rows alone.
///
///     number   (x − mean) / deviation, a missing one 0; one more column, 1 where the cell is
///     missing,
///              when the training rows have missing cells
///     text     one column a category seen in training, in sorted order, 1 for the cell's category;
///              an unknown category is all zeros, a missing cell is a category of its own
///     target   classification: the index among the sorted classes (numbers sort as numbers);
///              regression: (y − mean) / deviation
///
/// For images, whose pixels are 0 … 1 as they are read (images.h), it holds their shape and
/// classes; for characters (text.h), the vocabulary and how many are seen at once.
class Encoder {
 public:
  /// What an encoded row is made of.
  enum class Kind : std::uint8_t {
    kTable,
    kImages,  // an image
    kText,    // a window of a text; every character in it has the next one as its label
    kWords,   // the characters before one of a word, which is the label
  };

  /// What images of shape [H, W, C] with labels of these classes need: nothing is learned.
  static Encoder of_images(Shape example, std::vector<std::string> classes);
  /// The same for kText or kWords; the classes are the vocabulary.
  static Encoder of_characters(Kind kind, std::vector<std::string> vocabulary,
                               std::int64_t context);

  /// Learns the encoding from `rows` of `table`.
  ///
  /// task    kAuto takes a text target, or one of at most 20 different whole numbers, for
  ///         classification and any other for regression.
  /// throws  UsageError for an unknown target or dropped column. DataError for no rows, one class,
  ///         a missing target, a number beyond float32 (naming line and column), or no feature at
  ///         all; and one that names every column that is constant, empty, or text with more than
  ///         50 categories that are also more than half of the rows.
  static Encoder fit(const Table& table, std::span<const std::int64_t> rows,
                     const EncoderOptions& options);

  /// Encodes rows with their targets.
  ///
  /// requires  the encoder is one of a table.
  /// A label that is no class but for a full stop at its end is taken without it.
  /// throws  what `features` throws; DataError naming file and line for a missing target or a label
  ///         that was not among the training rows.
  Dataset encode(const Table& table, std::span<const std::int64_t> rows) const;

  /// Encodes rows without looking at their targets, which the table need not have. Columns are
  /// found by name, or by place when the table has no header.
  ///
  ///     → [rows, F] f32
  ///
  /// requires  the encoder is one of a table.
  /// throws  DataError naming the column that is absent or that is not numeric, or the place of a
  ///         number that float32 cannot hold when standardised.
  Tensor features(const Table& table, std::span<const std::int64_t> rows) const;

  Kind kind() const { return kind_; }

  /// The shape of one encoded row: [F], [H, W, C] for images, [context] for characters.
  Shape example_shape() const;
  /// The shape that a network must give for one: [classes], [1] for regression, [context, classes]
  /// for a text.
  Shape output_shape() const;

  /// kClassification or kRegression.
  Task task() const { return task_; }
  const std::string& target() const { return target_; }
  const std::vector<std::string>& classes() const { return classes_; }
  std::vector<std::string> feature_names() const;

  /// A regression output in the target's own units: y · deviation + mean.
  double original_units(double y) const { return y * target_scaling_.scale + target_scaling_.mean; }

  /// Options that read another file with the same columns in the same way.
  CsvOptions csv_options() const;

  /// The encoder as JSON text, and back, exactly.
  ///
  /// throws  DataError naming a column whose scale is not finite; FileError naming `source` when
  ///         the text is not an encoder of this version.
  std::string to_json() const;
  static Encoder from_json(const std::string& text, const std::string& source);

 private:
  struct Feature {
    std::string column;
    std::size_t place = 0;  // among the training table's columns
    ColumnKind kind = ColumnKind::kNumber;
    Scaling scaling;                      // of a number
    bool indicates_missing = false;       // of a number
    std::vector<std::string> categories;  // of a text, sorted
    std::size_t width() const {
      return kind == ColumnKind::kText ? categories.size() : indicates_missing ? 2 : 1;
    }
  };

  // Both say in `unusable` why nothing can be learned from the column, if so.
  static Feature fit_number(const Table& table, const Column& column,
                            std::span<const std::int64_t> rows, std::string& unusable);
  static Feature fit_text(const Column& column, std::span<const std::int64_t> rows,
                          std::string& unusable);
  void fit_classes(const Table& table, const Column& column, std::span<const std::int64_t> rows);
  void fit_target_scaling(const Table& table, const Column& column,
                          std::span<const std::int64_t> rows);
  const Column& find(const Table& table, const std::string& name, std::size_t place) const;
  std::int32_t label_of(const Table& table, const Column& column, std::int64_t row) const;
  double number_of(const Table& table, const Column& column, std::int64_t row) const;

  Task task_ = Task::kClassification;
  std::string target_;
  std::size_t target_place_ = 0;
  std::size_t table_width_ = 0;  // the number of columns in the training table
  std::vector<Feature> features_;
  std::vector<std::string> classes_;
  Scaling target_scaling_;
  std::vector<std::string> missing_;
  Kind kind_ = Kind::kTable;
  Shape example_;  // where it is no table
};

// ── splits and batches ───────────────────────────────────────────────────────

/// All rows of a table, 0 … rows-1.
std::vector<std::int64_t> all_rows(std::int64_t rows);

/// A number a row, equal for rows of equal target, to stratify a split by; empty when the target is
/// one for regression.
///
/// throws  UsageError for an unknown column.
std::vector<std::int32_t> strata(const Table& table, const std::string& target,
                                 Task task = Task::kAuto);

/// Row indices in ascending order; every row stands in exactly one of the two.
struct Split {
  std::vector<std::int64_t> train;
  std::vector<std::int64_t> test;
};

/// Holds `fraction` of the rows out, chosen at random by `seed`; with strata, that fraction of each
/// stratum, rounded, but never all of it.
///
/// requires  0 ≤ fraction < 1; strata is empty or has an entry a row.
/// throws    UsageError naming the fraction; DataError when there are no rows.
///
/// Example:  Split parts = split(table.rows(), 0.2, 0, strata(table, "species"));
Split split(std::int64_t rows, double fraction, std::uint64_t seed,
            std::span<const std::int32_t> strata = {});

/// What to do with the rows that do not fill a last batch. kJoinOne keeps them, but a single row
/// joins the batch before it, for networks that cannot learn from one row: see
/// Sequential::least_batch.
enum class LastBatch : std::uint8_t { kKeep, kDrop, kJoinOne };

/// Deals row indices out in batches, in an order that depends only on (seed, epoch).
///
/// Example:  Batches batches(parts.train, 32, seed);
///           batches.start_epoch(1);
///           for (std::int64_t b = 0; b < batches.count(); ++b) step(batches[b]);
class Batches {
 public:
  /// requires  batch ≥ 1 and at least one row; a batch larger than the rows is cut to them.
  /// throws    UsageError naming the batch size, DataError when there are no rows.
  Batches(std::vector<std::int64_t> rows, std::int64_t batch, std::uint64_t seed,
          LastBatch last = LastBatch::kKeep);

  /// Shuffles the rows for one epoch; before the first call they stand in the given order.
  void start_epoch(std::uint32_t epoch);

  /// Batches in an epoch.
  std::int64_t count() const;

  /// The rows of one batch, valid until the next start_epoch. The last may be short with kKeep and
  /// kJoinOne, or have one row more with kJoinOne.
  ///
  /// requires  0 ≤ batch < count().
  std::span<const std::int64_t> operator[](std::int64_t batch) const;

 private:
  std::vector<std::int64_t> rows_;   // as given
  std::vector<std::int64_t> order_;  // as dealt
  std::int64_t batch_;
  std::uint64_t seed_;
  LastBatch last_;
};

/// Copies rows of `x` (its first axis), in the given order, one after the other into `destination`.
///
/// requires  destination holds exactly rows.size() rows of x.
/// throws    ShapeError naming both sizes, or the row that x does not have.
///
/// Example:  gather_rows(data.x, batches[b], {batch.data(), batch.bytes()});
void gather_rows(const Tensor& x, std::span<const std::int64_t> rows,
                 std::span<std::byte> destination);

/// The same into a new tensor of shape [rows.size(), …].
Tensor gather_rows(const Tensor& x, std::span<const std::int64_t> rows);

/// These rows of a data set as a data set.
Dataset gather_rows(const Dataset& data, std::span<const std::int64_t> rows);

}  // namespace chainrule
