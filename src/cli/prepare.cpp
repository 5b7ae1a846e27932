// Rows from tables, images, texts and words, and the networks that suit them.
#include "cli/prepare.h"

#include <algorithm>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/images.h"
#include "chainrule/text.h"
#include "cli/source.h"

namespace chainrule::cli {
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

Prepared prepare_table(const DataOptions& options) {
  const auto [table, target] = load_with_target(options.table);
  const Task task = task_of(options.table);
  Prepared result;
  result.validation = share_of(options, kValidation);
  const Split rows =
      split(table.rows(), result.validation, options.seed, strata(table, target, task));
  result.encoder = Encoder::fit(table, rows.train,
                                {.target = target,
                                 .drop = options.table.drop,
                                 .task = task,
                                 .missing = options.table.missing});
  result.train = result.encoder.encode(table, rows.train);
  if (!rows.test.empty()) result.test = result.encoder.encode(table, rows.test);
  return result;
}

void require_no_table_options(const DataOptions& options, const std::string& what) {
  if (options.table.target.empty() && options.table.drop.empty() && options.table.missing.empty() &&
      options.table.task != "regression" && options.table.header == "auto") {
    return;
  }
  throw UsageError(fmt::format(
      "{}: {}; --target, --drop, --missing, --header and --task regression are for tables",
      options.table.data, what));
}

// The test files are held out, unless --validation asks for a part of the training rows.
Prepared prepare_images(const DataOptions& options, const IdxFiles& files) {
  require_no_table_options(options, "images with labels");
  if (files.train_images.empty() || files.train_labels.empty()) {
    throw UsageError(fmt::format(
        "{}: no {}", options.table.data,
        files.train_images.empty() ? "images to train on, such as train-images-idx3-ubyte"
                                   : "labels beside the images, such as train-labels-idx1-ubyte"));
  }
  Prepared result;
  result.train = read_idx_dataset(files.train_images, files.train_labels);
  const std::vector<std::string>& classes = result.train.classes;
  result.held_out = !options.validation && !files.test_images.empty() && !files.test_labels.empty();
  if (result.held_out) {
    result.test = read_idx_dataset(files.test_images, files.test_labels, classes);
  } else {
    result.validation = share_of(options, kValidation);
    const Split rows = split(result.train.x.shape()[0], result.validation, options.seed,
                             result.train.labels.values<std::int32_t>());
    const auto part = [&](std::span<const std::int64_t> of) {
      Dataset data;
      data.x = gather_rows(result.train.x, of);
      data.labels = gather_rows(result.train.labels, of);
      data.classes = classes;
      return data;
    };
    result.test = part(rows.test);
    result.train = part(rows.train);
  }
  const Shape& shape = result.train.x.shape();
  result.encoder = Encoder::of_images({shape.begin() + 1, shape.end()}, classes);
  return result;
}

// The end of a text is held out, as whoever reads on has not seen it.
Prepared prepare_text(const DataOptions& options) {
  require_no_table_options(options, "a text");
  const std::string text = read_text(options.table.data);
  const std::vector<std::string> vocabulary = characters_of(text, options.table.data);
  const std::vector<std::int32_t> tokens = encode_text(text, vocabulary, options.table.data);
  const auto held = static_cast<std::size_t>(share_of(options, kTextValidation) *
                                             static_cast<double>(tokens.size()));
  const std::span<const std::int32_t> all(tokens);
  Prepared result;
  result.validation = share_of(options, kTextValidation);
  result.encoder = Encoder::of_characters(Encoder::Kind::kText, vocabulary, options.context);
  const std::string of_all = fmt::format(" of the {} characters", tokens.size());
  result.train = text_windows(all.first(all.size() - held), vocabulary, options.context, 0,
                              options.table.data + ", the training part" + of_all);
  if (held > 0) {
    result.test = text_windows(all.last(held), vocabulary, options.context, 0,
                               fmt::format("{}, the validation part{} (--validation {})",
                                           options.table.data, of_all, result.validation));
  }
  return result;
}

Prepared prepare_words(const DataOptions& options) {
  require_no_table_options(options, "words");
  const std::vector<std::string> words = read_words(options.table.data);
  const std::vector<std::string> vocabulary = characters_of(words);
  const Split rows = split(static_cast<std::int64_t>(words.size()),
                           share_of(options, kTextValidation), options.seed);
  const auto part = [&](std::span<const std::int64_t> of) {
    std::vector<std::string> chosen;
    for (const std::int64_t row : of) chosen.push_back(words[static_cast<std::size_t>(row)]);
    return word_contexts(chosen, vocabulary, options.words);
  };
  Prepared result;
  result.validation = share_of(options, kTextValidation);
  result.encoder = Encoder::of_characters(Encoder::Kind::kWords, vocabulary, options.words);
  result.train = part(rows.train);
  if (!rows.test.empty()) result.test = part(rows.test);
  return result;
}

// What --model is without a word of it.
std::string usual_network(const Prepared& data) {
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

}  // namespace

Prepared prepare(const DataOptions& options) {
  if (options.context > 0 && options.words > 0) {
    throw UsageError("--context is for a text and --words for a list of words; give one of them");
  }
  if (options.context > 0) return prepare_text(options);
  if (options.words > 0) return prepare_words(options);
  const std::optional<IdxFiles> files = find_idx_files(options.table.data);
  return files ? prepare_images(options, *files) : prepare_table(options);
}

Sequential network_for(const Prepared& data, const std::optional<Sequential>& asked) {
  const auto classes = static_cast<std::int64_t>(data.encoder.classes().size());
  const Sequential network = asked ? *asked : Sequential::parse(usual_network(data));
  return fitted_to(data.encoder.example_shape(), classes, network);
}

std::string inputs_text(const Encoder& encoder) {
  const Shape example = encoder.example_shape();
  switch (encoder.kind()) {
    case Encoder::Kind::kTable: return fmt::format("{} features", example[0]);
    case Encoder::Kind::kImages: return fmt::format("images of {}", joined(example, "×"));
    case Encoder::Kind::kText: return fmt::format("up to {} characters before each", example[0]);
    case Encoder::Kind::kWords: return fmt::format("the {} characters before", example[0]);
  }
  return {};
}

}  // namespace chainrule::cli
