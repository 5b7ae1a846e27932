// Characters are code points, written as UTF-8. A text is decoded once, character by character.
#include "chainrule/text.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/philox.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

constexpr std::uint32_t kWindowStream = 0xFFFFFFFA;

// Calls f(character, line, column) for each character of a text, counted from 1.
template <typename F>
void for_each_character(std::string_view text, const std::string& source, F f) {
  std::int64_t line = 1;
  std::int64_t column = 1;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) {
      throw DataError(file_name(source) + ':' + std::to_string(line) + ':' +
                          std::to_string(column) +
                          ": expected UTF-8 text, got a byte that is none; convert the file "
                          "first, with iconv for example",
                      source, line, column);
    }
    const std::string_view character = text.substr(at, length);
    f(character, line, column);
    const bool ends_line = character == "\n";
    line += ends_line ? 1 : 0;
    column = ends_line ? 1 : column + 1;
    at += length;
  }
}

// '\n' as a person would write it.
std::string shown(std::string_view character) {
  if (character == "\n") return "a line end";
  if (character == "\t") return "a tab";
  if (character == "\r") return "a carriage return";
  return in_quotes(character);
}

using Numbers = std::map<std::string, std::int32_t, std::less<>>;

Numbers numbers_of(const std::vector<std::string>& vocabulary) {
  Numbers numbers;
  for (const std::string& character : vocabulary) {
    numbers.emplace(character, static_cast<std::int32_t>(numbers.size()));
  }
  if (numbers.size() != vocabulary.size()) {
    throw UsageError("a vocabulary names a character twice");
  }
  return numbers;
}

void require_window(std::span<const std::int32_t> tokens, std::int64_t length,
                    const std::string& source) {
  if (length < 1) {
    throw UsageError("expected windows of at least one character, got " + std::to_string(length));
  }
  const auto characters = static_cast<std::int64_t>(tokens.size());
  if (characters <= length) {
    throw DataError(file_name(source) + ": " + std::to_string(characters) +
                        (characters == 1 ? " character" : " characters") + "; expected more than " +
                        std::to_string(length) + ", one window and the character that follows it",
                    source);
  }
}

}  // namespace

std::vector<std::string> characters_of(std::string_view text, const std::string& source) {
  // Bytes sort UTF-8 as code points.
  std::set<std::string, std::less<>> seen;
  for_each_character(text, source, [&](std::string_view c, std::int64_t, std::int64_t) {
    if (!seen.contains(c)) seen.emplace(c);
  });
  return {seen.begin(), seen.end()};
}

std::vector<std::int32_t> encode_text(std::string_view text,
                                      const std::vector<std::string>& vocabulary,
                                      const std::string& source) {
  const Numbers numbers = numbers_of(vocabulary);
  std::vector<std::int32_t> tokens;
  tokens.reserve(text.size());
  for_each_character(text, source, [&](std::string_view c, std::int64_t line, std::int64_t column) {
    const auto found = numbers.find(c);
    if (found == numbers.end()) {
      throw DataError(file_name(source) + ':' + std::to_string(line) + ':' +
                          std::to_string(column) + ": " + shown(c) + " is none of the " +
                          std::to_string(vocabulary.size()) + " characters that the model knows",
                      source, line, column);
    }
    tokens.push_back(found->second);
  });
  return tokens;
}

std::string decode_text(std::span<const std::int32_t> tokens,
                        const std::vector<std::string>& vocabulary) {
  std::string text;
  for (const std::int32_t token : tokens) {
    if (token < 0 || static_cast<std::size_t>(token) >= vocabulary.size()) {
      throw DataError("expected the number of one of " + std::to_string(vocabulary.size()) +
                      " characters, got " + std::to_string(token));
    }
    text += vocabulary[static_cast<std::size_t>(token)];
  }
  return text;
}

std::string read_text(const std::string& path) {
  std::string result = read_file(path, {.text = "a text file"});
  if (result.empty()) throw DataError(file_name(path) + ": the file is empty", path);
  return result;
}

Dataset text_windows(std::span<const std::int32_t> tokens,
                     const std::vector<std::string>& vocabulary, std::int64_t length,
                     std::int64_t stride, const std::string& source) {
  if (stride < 0) {
    throw UsageError("expected a stride of at least one character, got " + std::to_string(stride));
  }
  require_window(tokens, length, source);
  if (stride == 0) stride = length;
  const std::int64_t rows = (static_cast<std::int64_t>(tokens.size()) - length - 1) / stride + 1;
  Dataset data;
  data.x = Tensor(DType::kI32, {rows, length});
  data.labels = Tensor(DType::kI32, {rows, length});
  data.classes = vocabulary;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto from = tokens.begin() + row * stride;
    std::copy_n(from, length, data.x.values<std::int32_t>().begin() + row * length);
    std::copy_n(from + 1, length, data.labels.values<std::int32_t>().begin() + row * length);
  }
  return data;
}

void random_windows(std::span<const std::int32_t> tokens, std::int64_t length, std::uint64_t seed,
                    std::uint32_t step, std::span<std::int32_t> x, std::span<std::int32_t> labels) {
  require_window(tokens, length, "random_windows");
  const auto width = static_cast<std::size_t>(length);
  if (x.size() != labels.size() || x.size() % width != 0) {
    throw ShapeError("random_windows: expected inputs and labels of whole windows of " +
                     std::to_string(length) + ", got " + std::to_string(x.size()) + " and " +
                     std::to_string(labels.size()));
  }
  const PhiloxStream stream{seed, kWindowStream, step};
  const std::uint64_t places = tokens.size() - width;
  for (std::size_t row = 0; row * width < x.size(); ++row) {
    const std::array<std::uint32_t, 4> words = stream.words(row);
    // The high half of a 64-bit draw times the places, which are below 2³².
    const std::uint64_t place =
        (std::uint64_t{words[0]} * places + ((std::uint64_t{words[1]} * places) >> 32U)) >> 32U;
    const auto from = tokens.begin() + static_cast<std::ptrdiff_t>(place);
    const auto to = static_cast<std::ptrdiff_t>(row * width);
    std::copy_n(from, width, x.begin() + to);
    std::copy_n(from + 1, width, labels.begin() + to);
  }
}

// ── words ────────────────────────────────────────────────────────────────────

std::vector<std::string> read_words(const std::string& path, char end) {
  const std::string text = read_text(path);
  std::vector<std::string> words;
  std::int64_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t stop = std::min(text.find('\n', at), text.size());
    std::string_view word = std::string_view(text).substr(at, stop - at);
    at = stop + 1;
    ++line;
    constexpr std::string_view kBlank = " \t\r";
    word.remove_prefix(std::min(word.find_first_not_of(kBlank), word.size()));
    word = word.substr(0, word.find_last_not_of(kBlank) + 1);
    if (word.empty()) continue;
    if (word.find(end) != std::string_view::npos) {
      throw DataError(file_name(path) + ':' + std::to_string(line) + ": " + in_quotes(word) +
                          " holds a \"" + end + "\", which marks the end of a word",
                      path, line);
    }
    words.emplace_back(word);
  }
  if (words.empty()) throw DataError(file_name(path) + ": no words; expected one a line", path);
  return words;
}

std::vector<std::string> characters_of(std::span<const std::string> words, char end) {
  std::string all;
  for (const std::string& word : words) all += word;
  std::vector<std::string> vocabulary = characters_of(all, "words");
  const std::string mark(1, end);
  std::erase(vocabulary, mark);
  vocabulary.insert(vocabulary.begin(), mark);
  return vocabulary;
}

Dataset word_contexts(std::span<const std::string> words,
                      const std::vector<std::string>& vocabulary, std::int64_t context) {
  if (context < 1) {
    throw UsageError("expected a context of at least one character, got " +
                     std::to_string(context));
  }
  std::vector<std::int32_t> x;
  std::vector<std::int32_t> labels;
  for (const std::string& word : words) {
    // Ends, the word's numbers, and an end.
    std::vector<std::int32_t> padded(static_cast<std::size_t>(context), 0);
    for (const std::int32_t token : encode_text(word, vocabulary, "word " + in_quotes(word))) {
      padded.push_back(token);
    }
    padded.push_back(0);
    const auto count = static_cast<std::ptrdiff_t>(padded.size()) - context;
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      x.insert(x.end(), padded.begin() + i, padded.begin() + i + context);
      labels.push_back(padded[static_cast<std::size_t>(i + context)]);
    }
  }
  Dataset data;
  const auto rows = static_cast<std::int64_t>(labels.size());
  data.x = Tensor::of<std::int32_t>({rows, context}, x);
  data.labels = Tensor::of<std::int32_t>({rows}, labels);
  data.classes = vocabulary;
  return data;
}

}  // namespace chainrule
