// Text as numbers: a file as one long row of characters, or as a list of words.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/data.h"

namespace chainrule {

// A vocabulary is a list of characters, each one UTF-8 character; a character's number is its
// place.

/// The characters that occur in a text, each once, in the order of their code points.
///
/// throws  DataError naming `source` when the text is not UTF-8.
std::vector<std::string> characters_of(std::string_view text, const std::string& source = "text");

/// The numbers of a text's characters.
///
/// throws  DataError naming `source`, the line and the column of the first character that is none
///         of the vocabulary.
std::vector<std::int32_t> encode_text(std::string_view text,
                                      const std::vector<std::string>& vocabulary,
                                      const std::string& source = "text");

/// The text of numbers.
///
/// throws  DataError naming the first number that is no character's.
std::string decode_text(std::span<const std::int32_t> tokens,
                        const std::vector<std::string>& vocabulary);

/// A whole file.
///
/// throws  FileError naming the path when it cannot be read; DataError when it is empty.
std::string read_text(const std::string& path);

/// A text cut into windows that touch, each with the characters that follow:
///
///     x[i, t] = tokens[i·stride + t],   labels[i, t] = tokens[i·stride + t + 1]
///
/// x: [N, length] i32    labels: [N, length]    classes: the vocabulary
/// With stride 0 it is `length`: every character is predicted once. What does not fill a window at
/// the end is left out. To hold a part out, split the tokens by position before.
/// throws  UsageError for a length or stride below 1; DataError naming `source` when there is not
///         one whole window.
///
/// Example:  const std::string text = read_text("shakespeare.txt");
///           const auto vocabulary = characters_of(text);
///           const auto tokens = encode_text(text, vocabulary);
///           const std::size_t cut = tokens.size() * 9 / 10;
///           Dataset train = text_windows(std::span(tokens).first(cut), vocabulary, 64);
Dataset text_windows(std::span<const std::int32_t> tokens,
                     const std::vector<std::string>& vocabulary, std::int64_t length,
                     std::int64_t stride = 0, const std::string& source = "text");

/// Fills a batch with windows at random places, a function of (seed, step) alone.
///
/// x, labels: [B, length], as in text_windows
/// requires  x and labels are of one size, a multiple of length.
/// throws    DataError when there is not one whole window.
void random_windows(std::span<const std::int32_t> tokens, std::int64_t length, std::uint64_t seed,
                    std::uint32_t step, std::span<std::int32_t> x, std::span<std::int32_t> labels);

/// The lines of a file, each a word, without spaces around them; empty lines are skipped.
///
/// throws  FileError when the file cannot be read; DataError naming the line of a word that holds
///         `end`, and for a file without words.
///
/// Example:  auto names = read_words("names.txt");
std::vector<std::string> read_words(const std::string& path, char end = '.');

/// The vocabulary of words: `end` first, which stands before and after each, then the others.
std::vector<std::string> characters_of(std::span<const std::string> words, char end = '.');

/// Each character of each word, and the end, with the `context` characters before it; in front of a
/// word stand ends.
///
///     "ab", context 3:  ... → a,  ..a → b,  .ab → .
///
/// x: [N, context] i32    labels: [N]    classes: the vocabulary
/// throws  UsageError for a context below 1; DataError naming the word with a character that is
///         none of the vocabulary.
/// Source: Bengio et al., 2003, in the form of Karpathy's makemore.
Dataset word_contexts(std::span<const std::string> words,
                      const std::vector<std::string>& vocabulary, std::int64_t context);

}  // namespace chainrule
