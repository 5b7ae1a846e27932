// Texts and words as numbers.
#include "chainrule/text.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "chainrule/error.h"
#include "data/data_testing.h"

using namespace chainrule;
using testing::message_of;
using testing::TemporaryFile;

namespace {

using Tokens = std::vector<std::int32_t>;
using Strings = std::vector<std::string>;

Tokens numbers(const Tensor& tensor) {
  const std::span<const std::int32_t> values = tensor.values<std::int32_t>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("a text's characters are its vocabulary, in the order of their code points") {
  const Strings vocabulary = characters_of("häb\na ☃");
  CHECK(vocabulary == Strings{"\n", " ", "a", "b", "h", "ä", "☃"});
  const Tokens tokens = encode_text("ha☃\n", vocabulary);
  CHECK(tokens == Tokens{4, 2, 6, 0});
  CHECK(decode_text(tokens, vocabulary) == "ha☃\n");
  CHECK(message_of<DataError>([&] { encode_text("ab\nhax", vocabulary, "new.txt"); }) ==
        "new.txt:2:3: \"x\" is none of the 7 characters that the model knows");
  CHECK(message_of<DataError>([&] { encode_text("a\tb", vocabulary); }) ==
        "text:1:2: a tab is none of the 7 characters that the model knows");
  CHECK(message_of<DataError>([&] { characters_of("ab\n\xff", "old.txt"); }) ==
        "old.txt:2:1: expected UTF-8 text, got a byte that is none; convert the file first, with "
        "iconv for example");
  CHECK(message_of<DataError>([&] { decode_text(Tokens{7}, vocabulary); }) ==
        "expected the number of one of 7 characters, got 7");
  CHECK_THROWS_AS(encode_text("a", {"a", "a"}), UsageError);
}

TEST_CASE("windows touch, and their labels are one character on") {
  const Tokens tokens{0, 1, 2, 3, 4, 5, 6};
  const Strings vocabulary{"a", "b", "c", "d", "e", "f", "g"};
  const Dataset data = text_windows(tokens, vocabulary, 3);
  CHECK(data.x.shape() == Shape{2, 3});
  CHECK(numbers(data.x) == Tokens{0, 1, 2, 3, 4, 5});
  CHECK(numbers(data.labels) == Tokens{1, 2, 3, 4, 5, 6});
  CHECK(data.classes == vocabulary);
  CHECK(text_windows(std::span(tokens).first(6), vocabulary, 3).x.shape() == Shape{1, 3});
  const Dataset close = text_windows(tokens, vocabulary, 3, 1);
  CHECK(close.x.shape() == Shape{4, 3});
  CHECK(numbers(close.labels) == Tokens{1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6});
  CHECK(message_of<DataError>([&] { text_windows(tokens, vocabulary, 7); }) ==
        "text: 7 characters; expected more than 7, one window and the character that follows "
        "it");
  CHECK_THROWS_AS(text_windows(tokens, vocabulary, 0), UsageError);
  CHECK_THROWS_AS(text_windows(tokens, vocabulary, 3, -1), UsageError);
}

TEST_CASE("random windows lie everywhere, by the seed and the step") {
  const Tokens tokens{0, 1, 2, 3, 4, 5, 6};
  Tokens x(600);
  Tokens labels(600);
  random_windows(tokens, 2, 5, 1, x, labels);
  std::vector<int> at(7);
  for (std::size_t i = 0; i < x.size(); i += 2) {
    CHECK(x[i + 1] == x[i] + 1);
    CHECK(labels[i] == x[i] + 1);
    CHECK(labels[i + 1] == x[i] + 2);
    ++at[static_cast<std::size_t>(x[i])];
  }
  for (std::size_t i = 0; i < 5; ++i) CHECK(at[i] > 30);
  CHECK(at[5] == 0);  // a window and the character that follows it would not fit
  Tokens again(600);
  random_windows(tokens, 2, 5, 1, again, labels);
  CHECK(again == x);
  random_windows(tokens, 2, 5, 2, again, labels);
  CHECK(again != x);
  CHECK_THROWS_AS(random_windows(tokens, 7, 5, 1, x, labels), DataError);
  CHECK_THROWS_AS(random_windows(tokens, 7, 5, 1, std::span(x).first(5), labels), Error);
}

TEST_CASE("words become contexts, padded by their end") {
  const TemporaryFile file("names.txt", "ab\r\n\n  b \n");
  const Strings words = read_words(file.path());
  CHECK(words == Strings{"ab", "b"});
  const Strings vocabulary = characters_of(words);
  CHECK(vocabulary == Strings{".", "a", "b"});
  const Dataset data = word_contexts(words, vocabulary, 3);
  CHECK(data.x.shape() == Shape{5, 3});
  CHECK(numbers(data.x) == Tokens{0, 0, 0, 0, 0, 1, 0, 1, 2, 0, 0, 0, 0, 0, 2});
  CHECK(numbers(data.labels) == Tokens{1, 2, 0, 2, 0});
  CHECK(data.labels.shape() == Shape{5});
  CHECK_THROWS_AS(word_contexts(words, vocabulary, 0), UsageError);
  CHECK(message_of<DataError>([&] { word_contexts(Strings{"abc"}, vocabulary, 3); }) ==
        "word \"abc\":1:3: \"c\" is none of the 3 characters that the model knows");
  const TemporaryFile dotted("dotted.txt", "ab\nj.r.\n");
  CHECK(message_of<DataError>([&] { read_words(dotted.path()); }, dotted.path()) ==
        ":2: \"j.r.\" holds a \".\", which marks the end of a word");
  const TemporaryFile blank("blank.txt", "\n \n");
  CHECK(message_of<DataError>([&] { read_words(blank.path()); }, blank.path()) ==
        ": no words; expected one a line");
  const TemporaryFile empty("empty.txt", "");
  CHECK(message_of<DataError>([&] { read_text(empty.path()); }, empty.path()) ==
        ": the file is empty");
  CHECK_THROWS_AS(read_text("/nowhere"), FileError);
}

TEST_CASE("Shakespeare and the names") {
  const char* root = std::getenv("CHAINRULE_DATA");
  if (root == nullptr) {
    MESSAGE("skipped: CHAINRULE_DATA is not set");
    return;
  }
  const std::string text = read_text(std::string(root) + "/text/tinyshakespeare.txt");
  CHECK(text.size() == 1115394);
  const Strings vocabulary = characters_of(text);
  CHECK(vocabulary.size() == 65);
  CHECK(decode_text(encode_text(text, vocabulary), vocabulary) == text);
  const Strings names = read_words(std::string(root) + "/text/names.txt");
  CHECK(names.size() == 32033);
  const Dataset data = word_contexts(names, characters_of(names), 3);
  CHECK(data.x.shape() == Shape{228146, 3});
  CHECK(data.classes.size() == 27);
}
