// One reader for each kind of data. What is held out depends on the kind: a text's end, an image
// set's test files, else rows at random.
#include "chainrule/open_data.h"

#include "base/file.h"
#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/images.h"
#include "chainrule/text.h"
#include "model/tables.h"

namespace chainrule {
namespace {

constexpr double kValidation = 0.2;
constexpr double kTextValidation = 0.1;

double share_of(const DataOptions& options, double usual) {
  const double share = options.validation.value_or(usual);
  if (!(share >= 0 && share < 1)) {
    throw UsageError(
        fmt::format("--validation: expected a fraction of at least 0 and below 1, got {}", share));
  }
  return share;
}

TrainingData open_table(const std::string& path, const DataOptions& options) {
  CsvOptions csv;
  csv.missing = options.missing;
  csv.header = options.header;
  const Table table = load_table(path, csv);
  if (options.note && !table.note.empty()) options.note(table.note);
  const std::string target = target_of(path, table, options);
  TrainingData result;
  result.validation = share_of(options, kValidation);
  const Split rows =
      split(table.rows(), result.validation, options.seed, strata(table, target, options.task));
  result.encoder = Encoder::fit(
      table, rows.train,
      {.target = target, .drop = options.drop, .task = options.task, .missing = options.missing});
  result.train = result.encoder.encode(table, rows.train);
  if (!rows.test.empty()) result.test = result.encoder.encode(table, rows.test);
  return result;
}

void require_no_table_options(const std::string& path, const DataOptions& options,
                              const std::string& what) {
  if (options.target.empty() && options.drop.empty() && options.missing.empty() &&
      options.task != Task::kRegression && options.header == Header::kAuto) {
    return;
  }
  throw UsageError(fmt::format(
      "{}: {}; --target, --drop, --missing, --header and --task regression are for tables", path,
      what));
}

// The test files are held out, unless --validation asks for a part of the training rows.
TrainingData open_images(const std::string& path, const DataOptions& options,
                         const IdxFiles& files) {
  require_no_table_options(path, options, "images with labels");
  if (files.train_images.empty() || files.train_labels.empty()) {
    throw UsageError(fmt::format(
        "{}: no {}", path,
        files.train_images.empty() ? "images to train on, such as train-images-idx3-ubyte"
                                   : "labels beside the images, such as train-labels-idx1-ubyte"));
  }
  TrainingData result;
  result.train = read_idx_dataset(files.train_images, files.train_labels);
  result.held_out = !options.validation && !files.test_images.empty() && !files.test_labels.empty();
  if (result.held_out) {
    result.test = read_idx_dataset(files.test_images, files.test_labels, result.train.classes);
  } else {
    result.validation = share_of(options, kValidation);
    const Split rows = split(result.train.x.shape()[0], result.validation, options.seed,
                             result.train.labels.values<std::int32_t>());
    result.test = gather_rows(result.train, rows.test);
    result.train = gather_rows(result.train, rows.train);
  }
  const Shape& shape = result.train.x.shape();
  result.encoder = Encoder::of_images({shape.begin() + 1, shape.end()}, result.train.classes);
  return result;
}

// The end of a text is held out, as whoever reads on has not seen it.
TrainingData open_text(const std::string& path, const DataOptions& options) {
  require_no_table_options(path, options, "a text");
  const std::string text = read_text(readable(path));
  const std::vector<std::string> vocabulary = characters_of(text, path);
  const std::vector<std::int32_t> tokens = encode_text(text, vocabulary, path);
  TrainingData result;
  result.validation = share_of(options, kTextValidation);
  const auto held =
      static_cast<std::size_t>(result.validation * static_cast<double>(tokens.size()));
  const std::span<const std::int32_t> all(tokens);
  result.encoder = Encoder::of_characters(Encoder::Kind::kText, vocabulary, options.context);
  const std::string of_all = fmt::format(" of the {} characters", tokens.size());
  result.train = text_windows(all.first(all.size() - held), vocabulary, options.context, 0,
                              path + ", the training part" + of_all);
  if (held > 0) {
    result.test = text_windows(all.last(held), vocabulary, options.context, 0,
                               fmt::format("{}, the validation part{} (--validation {})", path,
                                           of_all, result.validation));
  }
  return result;
}

TrainingData open_words(const std::string& path, const DataOptions& options) {
  require_no_table_options(path, options, "words");
  const std::vector<std::string> words = read_words(readable(path));
  const std::vector<std::string> vocabulary = characters_of(words);
  TrainingData result;
  result.validation = share_of(options, kTextValidation);
  const Split rows =
      split(static_cast<std::int64_t>(words.size()), result.validation, options.seed);
  const auto part = [&](std::span<const std::int64_t> of) {
    std::vector<std::string> chosen;
    for (const std::int64_t row : of) chosen.push_back(words[static_cast<std::size_t>(row)]);
    return word_contexts(chosen, vocabulary, options.words);
  };
  result.encoder = Encoder::of_characters(Encoder::Kind::kWords, vocabulary, options.words);
  result.train = part(rows.train);
  if (!rows.test.empty()) result.test = part(rows.test);
  return result;
}

}  // namespace

TrainingData open_data(const std::string& path, const DataOptions& options) {
  if (options.context > 0 && options.words > 0) {
    throw UsageError("--context is for a text and --words for a list of words; give one of them");
  }
  TrainingData data;
  if (options.context > 0) {
    data = open_text(path, options);
  } else if (options.words > 0) {
    data = open_words(path, options);
  } else {
    const std::optional<IdxFiles> files = find_idx_files(path);
    data = files ? open_images(path, options, *files) : open_table(path, options);
  }
  data.source = path;
  return data;
}

}  // namespace chainrule
