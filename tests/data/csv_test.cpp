// CSV files: what is read from good ones, and the one line that each bad one is answered with.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include "chainrule/data.h"
#include "chainrule/error.h"
#include "data/data_testing.h"

using namespace chainrule;
using chainrule::testing::message_of;
using chainrule::testing::TemporaryFile;

namespace {

Table read(const std::string& content, const CsvOptions& options = {}) {
  const TemporaryFile file("read.csv", content);
  return read_csv(file.path(), options);
}

// The message without the path, so that the tests show what follows it.
template <typename E = DataError>
std::string refusal(const std::string& content, const CsvOptions& options = {}) {
  const TemporaryFile file("bad.csv", content);
  return message_of<E>([&] { read_csv(file.path(), options); }, file.path());
}

}  // namespace

TEST_CASE("a CSV file becomes named columns of numbers and texts") {
  const Table table = read("a,b,c\n1,x,2.5e1\n-2,y,\n");
  REQUIRE(table.columns.size() == 3);
  CHECK(table.rows() == 2);
  CHECK(table.has_header);
  CHECK(table.columns[0].name == "a");
  CHECK(table.columns[0].numbers == std::vector<double>{1, -2});
  CHECK(table.columns[1].kind == ColumnKind::kText);
  CHECK(table.columns[1].texts == std::vector<std::string>{"x", "y"});
  CHECK(table.columns[2].numbers[0] == 25);
  CHECK(std::isnan(table.columns[2].numbers[1]));
  CHECK(table.lines == std::vector<std::int64_t>{2, 3});
}

TEST_CASE("quotes, CRLF, BOM, spaces and blank lines at the end are understood") {
  const Table table = read(
      "\xEF\xBB\xBF\"first, name\" ,b\r\n \"say \"\"hi\"\"\" , 1 "
      "\r\n\"two\nlines\",2\r\nz,3\r\n\r\n  \n");
  CHECK(table.columns[0].name == "first, name");
  CHECK(table.columns[0].texts == std::vector<std::string>{"say \"hi\"", "two\nlines", "z"});
  CHECK(table.columns[1].numbers == std::vector<double>{1, 2, 3});
  CHECK(table.lines == std::vector<std::int64_t>{2, 3, 5});
}

TEST_CASE("the separator is found, or given") {
  CHECK(read("a;b\n1;2\n").columns.size() == 2);
  CHECK(read("a\tb\n1\t\n").columns.size() == 2);
  CHECK(read("\"a;b;c\",d\n1,2\n").columns.size() == 2);
  CHECK(read("a|b\n1|2\n", {.separator = '|'}).columns.size() == 2);
  CHECK(read("a\n1\n").columns.size() == 1);
}

TEST_CASE("a header is recognised by having no number in it") {
  const Table table = read("39,State-gov\n50,Private\n");
  CHECK_FALSE(table.has_header);
  CHECK(table.rows() == 2);
  CHECK(table.columns[1].name == "column2");
  CHECK(table.index_of("2") == 1);
  CHECK(read("2019,2020\n1,2\n", {.header = Header::kYes}).columns[0].name == "2019");
  CHECK(read("x,y\nz,w\n", {.header = Header::kNo}).rows() == 2);
  CHECK(
      read("x,y\nz,w\n", {.kinds = {{"n", ColumnKind::kNumber}}, .known_names = {"n"}}).has_header);
  CHECK_FALSE(read("x,y\nz,w\n", {.known_names = {"n"}}).has_header);
  CHECK(read("n,7\nz,1\n", {.known_names = {"n"}}).has_header);
}

TEST_CASE("what the first line is, the columns below decide") {
  const auto has_header = [](const std::string& content) { return read(content).has_header; };
  const auto note = [](const std::string& content) {
    const Table table = read(content);
    const std::size_t at = table.note.find(": ");
    return at == std::string::npos ? table.note : table.note.substr(at + 2);
  };
  const std::string towns = "Bonn,1.5,2.5,yes\nUlm,0.5,1,no\nHof,3,2,yes\nSelb,1,2.5,no\n";
  SUBCASE("years are names over what is none") {
    CHECK(has_header("town,2019,2020,rich\n" + towns));
    CHECK(note("town,2019,2020,rich\n" + towns) ==
          "line 1 is read as names, since its numbers 2019, 2020 can be names and the columns "
          "below hold other values; pass --header no if it is a row");
    CHECK(has_header("2019,2020\n1.5,2\n2,3\n"));
    CHECK(has_header("town,2019,income\nBonn,1.5,3\nUlm,2.5,4\n"));
    // So many inhabitants there may be, but no town is neither "yes" nor "no".
    CHECK(
        has_header("town,2019,2020,big\nBonn,300000,310000,yes\nUlm,1000,3000,no\n"
                   "Hof,900,2100,yes\nSelb,1,2,no\n"));
    CHECK(has_header(",0,1,2,kind\na,5,6,7,x\nb,5,6,7,y\nc,5,6,7,x\nd,5,6,7,y\n"));
  }
  SUBCASE("and rows over their like") {
    CHECK_FALSE(has_header("2019,2020\n2020,2021\n2021,2022\n"));
    CHECK_FALSE(has_header("Bonn,2019,yes\nUlm,2020,no\nHof,2018,yes\n"));
    CHECK_FALSE(has_header("0,1,2\n1,2,3\n2,3,4\n"));
    CHECK_FALSE(has_header("5.1,2019,x\n4.9,1,y\n"));
    CHECK_FALSE(has_header("39,?,x\n50,2,y\n"));
    CHECK(note("5.1,3.5,setosa\n4.9,3,setosa\n").empty());
    CHECK(note("2019,2020\n2020,2021\n") ==
          "line 1 is read as a row, since its numbers 2019, 2020 can be values like those below; "
          "pass --header yes if it names the columns");
    // A slip of the pen in a first row is no name.
    CHECK(refusal("5.1,3.5x,1\n4.9,3,2\n4.7,3.1,3\n").starts_with(":1:2: column \"column2\""));
  }
  SUBCASE("texts over texts") {
    const Table colours = read("red,small,yes\nblue,large,no\nred,large,yes\n");
    CHECK_FALSE(colours.has_header);
    CHECK(colours.columns[0].texts == std::vector<std::string>{"red", "blue", "red"});
    CHECK(colours.lines == std::vector<std::int64_t>{1, 2, 3});
    CHECK(note("red,small\nblue,large\nred,large\n") ==
          "line 1 is read as a row, since its \"red\" also stands in the same column below; pass "
          "--header yes if it names the columns");
    CHECK(has_header("label,message\nspam,win\nham,hello\nspam,buy\nham,hi\n"));
    CHECK(note("label,message\nspam,win\nham,hello\nspam,buy\nham,hi\n").empty());
    CHECK(has_header("first,last\nAda,Lovelace\nAlan,Turing\n"));
    CHECK(note("first,last\nAda,Lovelace\nAlan,Turing\n").find("--header no") != std::string::npos);
    CHECK_FALSE(has_header("x,x\ny,z\n"));
  }
  SUBCASE("a name over numbers is a name, whatever else recurs") {
    CHECK(has_header("a,n\na,1\nb,2\n"));
    CHECK(note("a,n\na,1\nb,2\n").empty());
  }
}

TEST_CASE("messages show of a file what a terminal can") {
  const std::string cell(1000000, 'a');
  const std::string message = refusal("n\n1\n2\n" + cell + "\n");
  CHECK(message == ":4:1: column \"n\": \"" + std::string(60, 'a') + "… (1 MB)\" is not a number");
  CHECK(refusal("n\x1B[31m\n1\n2\nx\x1B]0;\x07y\n") ==
        ":4:1: column \"n\\x1B[31m\": \"x\\x1B]0;\\x07y\" is not a number");
}

TEST_CASE("cells listed as missing are missing") {
  const Table table = read("a,b\n?,x\n2,?\n3,z\n", {.missing = {"?"}});
  CHECK(std::isnan(table.columns[0].numbers[0]));
  CHECK(table.columns[1].texts == std::vector<std::string>{"x", "", "z"});
}

TEST_CASE("a cell that is not a number in a column of numbers is an error with its place") {
  std::string rows = "id,petal_length\n";
  for (int i = 0; i < 20; ++i) rows += std::to_string(i) + ",1.5\n";
  CHECK(
      refusal(rows + "7,n/a\n8,n/a\n") ==
      ":22:2: column \"petal_length\": \"n/a\" is not a number; pass --missing n/a to treat it as "
      "missing");
  CHECK(refusal("a\n1\n2\nten\n") ==
        ":4:1: column \"a\": \"ten\" is not a number; pass --missing ten to treat it as missing");
  CHECK(refusal("a\n1\n2\nnot known\n").find("pass --missing 'not known' to") != std::string::npos);
  CHECK(refusal("a,b\n1,2\n3,nan\n5,6\n") ==
        ":3:2: column \"b\": \"nan\" is not a finite number; pass --missing nan to treat it as "
        "missing");
  CHECK(refusal("a\n1\n2\n-inf\n").find("\"-inf\" is not a finite number") != std::string::npos);
  CHECK(refusal("a\n1\n2\n1e999\n").find("is not a") != std::string::npos);
  CHECK(refusal("a\nx\n2\n", {.kinds = {{"a", ColumnKind::kNumber}}}).starts_with(":2:1: column"));
  const TemporaryFile file("place.csv", "a\n1\n2\nten\n");
  try {
    read_csv(file.path());
    FAIL("no error");
  } catch (const DataError& error) {
    CHECK(error.file == file.path());
    CHECK(error.line == 4);
    CHECK(error.column == 1);
  }
}

TEST_CASE("a column of some numbers and many texts is text") {
  const Table table = read("ticket\n113803\nA/5 21171\nPC 17599\n373450\n");
  CHECK(table.columns[0].texts[3] == "373450");
  const Table forced = read("code\n007\n008\n", {.kinds = {{"code", ColumnKind::kText}}});
  CHECK(forced.columns[0].texts[0] == "007");
}

TEST_CASE("rows that do not fit are refused with their line") {
  CHECK(refusal("a,b,c,d,e\n1,2,3,4,5\n1,2,3,4\n") == ":3: expected 5 cells, got 4");
  CHECK(refusal("a,b\n1,2\n1,2,3\n") == ":3: expected 2 cells, got 3");
  CHECK(refusal("a,b\n1,2\n\n3,4\n") == ":3: empty row; remove it");
  CHECK(refusal("a,b\n1,2\n,\n") == ":3: empty row; remove it");
  CHECK(refusal("a,b\n1,\"2\n3,4\n") == ":2:2: the quote that opens this cell is never closed");
  CHECK(refusal("a,b\n1,\"2\" 3\n") ==
        ":2:2: text after the closing quote; a quote inside a quoted cell is written twice");
  CHECK(refusal("a,b,a\n1,2,3\n") ==
        ":1:3: the header names \"a\" twice; rename one of the two columns, or pass --header no if "
        "the line is a row");
}

TEST_CASE("files without data are refused") {
  CHECK(refusal("") == ": the file is empty");
  CHECK(refusal("\n \n") == ": the file is empty");
  CHECK(refusal("a,b\n") ==
        ": a header and no rows; expected at least one row of data, or --header no if the line is "
        "one");
  CHECK(refusal<FileError>(std::string("PK\x03\x04\0\0", 6)) ==
        ": expected a CSV text file, got binary data");
  CHECK(refusal<FileError>("a\ncaf\xE9\n").starts_with(":2: expected UTF-8 text"));
  CHECK(read("a\ncaf\xC3\xA9\nx\n").columns[0].texts[0] == "caf\xC3\xA9");
  CHECK(message_of<FileError>([] { read_csv("/nonexistent/x.csv"); }) ==
        "/nonexistent/x.csv: cannot be opened: No such file or directory");
  CHECK(message_of<FileError>([] { read_csv("/tmp"); }) != "no error");
}

TEST_CASE("an unknown column is answered with the columns and the nearest name") {
  const Table table = builtin("iris");
  CHECK(message_of<UsageError>([&] { table.index_of("specie"); }) ==
        "iris: no column \"specie\"; did you mean \"species\"? The columns are \"sepal_length\", "
        "\"sepal_width\", \"petal_length\", \"petal_width\" and \"species\"");
  CHECK(table.index_of("5") == 4);
  CHECK(message_of<UsageError>([&] {
          table.index_of("6");
        }).starts_with("iris: no column \"6\"; the"));
}

TEST_CASE("the built-in data sets are the well-known ones") {
  CHECK(builtin_names() == std::vector<std::string>{"digits", "iris"});
  const Table iris = builtin("iris");
  CHECK(iris.rows() == 150);
  CHECK(iris.columns[0].numbers[0] == 5.1);
  CHECK(iris.columns[4].texts[149] == "virginica");
  double sum = 0;
  for (const double x : iris.columns[2].numbers) sum += x;
  CHECK(sum == doctest::Approx(563.7));
  const Table digits = builtin("digits");
  CHECK(digits.rows() == 1797);
  CHECK(digits.columns.size() == 65);
  CHECK(digits.columns[64].numbers[1796] == 8);
  double pixels = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    for (const double p : digits.columns[i].numbers) pixels += p;
  }
  CHECK(pixels == 561718);
  CHECK(message_of<UsageError>([] { builtin("digit"); }) ==
        "unknown built-in data set \"digit\"; did you mean \"digits\"? There are: digits, iris");
}
