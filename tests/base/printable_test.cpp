// Text from files as a terminal may have it.
#include "base/printable.h"

#include <doctest/doctest.h>

using namespace chainrule;

TEST_CASE("text that is printable stays as it is") {
  for (const char* text : {"", "sepal length", "größe in µm²", "日本語", "a\\b \"c\""}) {
    CHECK(printable(text) == text);
  }
  CHECK(in_quotes("a") == "\"a\"");
}

TEST_CASE("what controls a terminal, hides or is no UTF-8 is written out") {
  CHECK(printable("\x1B[2J") == "\\x1B[2J");
  CHECK(printable("a\nb\tc\rd") == "a\\nb\\tc\\rd");
  CHECK(printable(std::string_view("\0\x7F", 2)) == "\\x00\\x7F");
  CHECK(printable("caf\xE9!") == "caf\\xE9!");
  CHECK(printable("\xC0\x80\xED\xA0\x80") == "\\xC0\\x80\\xED\\xA0\\x80");
  CHECK(printable("\xC2\x9B"
                  "31m") == "\\u{009B}31m");  // CSI in one character
  CHECK(printable("\xE2\x80\xAE"
                  "txt") == "\\u{202E}txt");  // right to left
  CHECK(printable("a\xE2\x80\x8B"
                  "b\xEF\xBB\xBF") == "a\\u{200B}b\\u{FEFF}");
  CHECK(printable("\xF0\x9F\x8E\xB2") == "\xF0\x9F\x8E\xB2");
}

TEST_CASE("long text is cut by characters and its size said") {
  CHECK(printable(std::string(60, 'x')) == std::string(60, 'x'));
  CHECK(printable(std::string(61, 'x')) == std::string(60, 'x') + "… (61 bytes)");
  CHECK(printable("äöüß", 3) == "äöü… (8 bytes)");
  CHECK(printable(std::string(1000000, 'x'), 2) == "xx… (1 MB)");
}

TEST_CASE("a whole message keeps its lines and its length") {
  CHECK(printable_lines("a\n  b\x1B\n\tc") == "a\n  b\\x1B\n\tc");
  CHECK(printable_lines(std::string(500, 'x')) == std::string(500, 'x'));
  CHECK(printable_lines("a\n") == "a\n");
}

TEST_CASE("sizes in bytes") {
  CHECK(bytes_text(17) == "17 bytes");
  CHECK(bytes_text(999) == "999 bytes");
  CHECK(bytes_text(2147483648) == "2.15 GB");
  CHECK(bytes_text(999999) == "1 MB");
  CHECK(bytes_text(18446744073709551615U) == "18.4 EB");
}
