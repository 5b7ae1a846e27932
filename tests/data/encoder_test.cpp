// The encoder: what it learns from the training rows, what it makes of others, and what it refuses.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "chainrule/data.h"
#include "chainrule/error.h"
#include "data/data_testing.h"

using namespace chainrule;
using chainrule::testing::message_of;
using chainrule::testing::TemporaryFile;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Column numbers(const std::string& name, std::vector<double> values) {
  return {name, ColumnKind::kNumber, std::move(values), {}, {}};
}

Column texts(const std::string& name, std::vector<std::string> values) {
  return {name, ColumnKind::kText, {}, std::move(values), {}};
}

Table table_of(std::vector<Column> columns) { return {"t.csv", true, std::move(columns), {}}; }

Encoder fit(const Table& table, const std::string& target) {
  return Encoder::fit(table, all_rows(table.rows()), {.target = target});
}

std::string refusal(const Table& table, const EncoderOptions& options) {
  return message_of<DataError>([&] { Encoder::fit(table, all_rows(table.rows()), options); });
}

void check_equal(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  CHECK(std::memcmp(a.data(), b.data(), a.bytes()) == 0);
}

}  // namespace

TEST_CASE("numbers are standardised, texts become one column a category") {
  const Table table =
      table_of({numbers("n", {1, 3, kNaN, 5}), texts("c", {"red", "", "blue", "red"}),
                texts("label", {"yes", "no", "no", "yes"})});
  const Encoder encoder = fit(table, "label");
  CHECK(encoder.task() == Task::kClassification);
  CHECK(encoder.feature_names() ==
        std::vector<std::string>{"n", "n missing", "c=", "c=blue", "c=red"});
  const Dataset data = encoder.encode(table, all_rows(4));
  const float deviation = static_cast<float>(2 / std::sqrt(8.0 / 3));
  check_equal(data.x, Tensor::of<float>({4, 5}, {-deviation, 0, 0, 0, 1,  //
                                                 0,          0, 1, 0, 0,  //
                                                 0,          1, 0, 1, 0,  //
                                                 deviation,  0, 0, 0, 1}));
  check_equal(data.labels, Tensor::of<std::int32_t>({4}, {1, 0, 0, 1}));
  CHECK(data.classes == std::vector<std::string>{"no", "yes"});
  CHECK(data.features.size() == 5);
}

TEST_CASE("only the training rows are learned from") {
  const Table table = table_of(
      {numbers("n", {0, 2, 1000}), texts("c", {"a", "b", "new"}), texts("l", {"x", "y", "x"})});
  const std::vector<std::int64_t> train = {0, 1};
  const Encoder encoder = Encoder::fit(table, train, {.target = "l"});
  check_equal(encoder.features(table, std::vector<std::int64_t>{2}),
              Tensor::of<float>({1, 3}, {999, 0, 0}));
}

TEST_CASE("a numeric target is for classification when it holds few whole numbers") {
  const Table digits = table_of({numbers("n", {1, 2, 3}), numbers("l", {10, 9, 10})});
  const Encoder classes = fit(digits, "l");
  CHECK(classes.classes() == std::vector<std::string>{"9", "10"});
  const Table real = table_of({numbers("n", {1, 2, 3}), numbers("y", {0.5, 1.5, 4})});
  const Encoder regression = fit(real, "y");
  CHECK(regression.task() == Task::kRegression);
  const Dataset data = regression.encode(real, all_rows(3));
  CHECK(data.y.shape() == Shape{3, 1});
  CHECK(data.labels.size() == 0);
  CHECK(regression.original_units(data.y.values<float>()[2]) == doctest::Approx(4));
  const Encoder asked =
      Encoder::fit(digits, all_rows(3), {.target = "l", .task = Task::kRegression});
  CHECK(asked.task() == Task::kRegression);
  CHECK(asked.original_units(0) == doctest::Approx(29.0 / 3));
}

TEST_CASE("raw rows are found by name, or by place where there is no header") {
  const Table table =
      table_of({numbers("a", {1, 2}), texts("l", {"x", "y"}), numbers("b", {3, 5})});
  const Encoder encoder = fit(table, "l");
  const Table reordered = table_of({numbers("b", {5}), numbers("other", {0}), numbers("a", {2})});
  check_equal(encoder.features(reordered, all_rows(1)), Tensor::of<float>({1, 2}, {1, 1}));
  Table whole =
      table_of({numbers("column1", {2}), texts("column2", {"?"}), numbers("column3", {5})});
  whole.has_header = false;
  check_equal(encoder.features(whole, all_rows(1)), Tensor::of<float>({1, 2}, {1, 1}));
  Table bare = table_of({numbers("column1", {2}), numbers("column2", {5})});
  bare.has_header = false;
  check_equal(encoder.features(bare, all_rows(1)), Tensor::of<float>({1, 2}, {1, 1}));
  CHECK(message_of<DataError>([&] { encoder.encode(bare, all_rows(1)); }) ==
        "t.csv: a file without a header; expected the 3 columns of the training file, got 2");
  const Table renamed = table_of({numbers("a", {2}), numbers("c", {5})});
  CHECK(message_of<DataError>([&] { encoder.features(renamed, all_rows(1)); }) ==
        "t.csv: no column \"b\", which the model was trained on; the columns are \"a\" and \"c\"");
  const Table text = table_of({texts("a", {"two"}), numbers("b", {5})});
  CHECK(message_of<DataError>([&] { encoder.features(text, all_rows(1)); }) ==
        "t.csv: column \"a\" is text here (\"two\"), but the model was trained on numbers");
}

TEST_CASE("data that cannot be learned from is refused, naming the column") {
  const Column n = numbers("n", {1, 2, 3});
  const Column l = texts("l", {"x", "y", "x"});
  CHECK(
      refusal(table_of({n, texts("l", {"x", "x", "x"})}), {.target = "l"}) ==
      "t.csv: column \"l\" holds one class only (\"x\" in all 3 training rows); a classifier needs "
      "at least two");
  CHECK(refusal(table_of({n, numbers("k", {3.5, 3.5, 3.5}), l}), {.target = "l"}) ==
        "t.csv: column \"k\" is constant (\"3.5\" in all 3 training rows); remove it or pass "
        "--drop k");
  CHECK(refusal(table_of({n, texts("k", {"a", "a", "a"}), l}), {.target = "l"})
            .starts_with("t.csv: column \"k\" is constant"));
  CHECK(refusal(table_of({n, numbers("k", {kNaN, kNaN, kNaN}), l}), {.target = "l"}) ==
        "t.csv: column \"k\" has no value in 3 training rows; remove it or pass --drop k");
  CHECK(refusal(table_of({l}), {.target = "l"}) ==
        "t.csv: no column besides the target \"l\"; expected at least one to learn from");
  CHECK(refusal(table_of({n, texts("l", {"x", "", "y"})}), {.target = "l"}) ==
        "t.csv, row 2: the target \"l\" is missing; remove the row");
  CHECK(refusal(table_of({n, l}), {.target = "l", .task = Task::kRegression}) ==
        "t.csv: column \"l\" is text; regression expects a target of numbers");
  CHECK(refusal(table_of({n, numbers("y", {0.5, 0.5, 0.5})}), {.target = "y"}) ==
        "t.csv: column \"y\" is constant (0.5 in all 3 training rows); there is nothing to learn");
  CHECK(message_of<UsageError>([&] {
          fit(table_of({n, l}), "label");
        }).find("no column \"label\"") != std::string::npos);
  CHECK(message_of<UsageError>([&] {
          Encoder::fit(table_of({n, l}), all_rows(3), {.target = "l", .drop = {"l"}});
        }) == "t.csv: column \"l\" is the target, which --drop cannot leave out");
  CHECK(message_of<DataError>([&] {
          Encoder::fit(table_of({n, l}), {}, {.target = "l"});
        }) == "t.csv: no training rows; expected at least one");
  std::vector<std::string> names;
  std::vector<std::string> labels;
  for (int i = 0; i < 60; ++i) {
    names.push_back("name " + std::to_string(i));
    labels.push_back(i % 2 == 0 ? "x" : "y");
  }
  const Table people = table_of({texts("name", names), texts("l", labels)});
  CHECK(refusal(people, {.target = "l"}) ==
        "t.csv: column \"name\" is text with 60 different values in 60 training rows; remove it or "
        "pass --drop name");
  CHECK(refusal(people, {.target = "name"}).find("60 different classes") != std::string::npos);
}

TEST_CASE("all columns that nothing can be learned from are named at once") {
  std::vector<std::string> names;
  std::vector<std::string> labels;
  for (int i = 0; i < 60; ++i) {
    names.push_back("name " + std::to_string(i));
    labels.push_back(i % 2 == 0 ? "x" : "y");
  }
  std::vector<double> counted(60);
  std::iota(counted.begin(), counted.end(), 0.0);
  const Table table = table_of({texts("who, really?", names), numbers("age", counted),
                                numbers("gone", std::vector<double>(60, kNaN)),
                                texts("blank", std::vector<std::string>(60)),
                                numbers("one", std::vector<double>(60, 1)), texts("l", labels)});
  CHECK(refusal(table, {.target = "l"}) ==
        "t.csv: 4 columns cannot be learned from; remove them or pass --drop 1,gone,blank,one\n"
        "  who, really?  is text with 60 different values in 60 training rows\n"
        "  gone          has no value in 60 training rows\n"
        "  blank         has no value in 60 training rows\n"
        "  one           is constant (\"1\" in all 60 training rows)");
  CHECK_NOTHROW(
      Encoder::fit(table, all_rows(60), {.target = "l", .drop = {"1", "gone", "blank", "one"}}));
}

TEST_CASE("numbers that float32 cannot hold are refused with their place") {
  const auto table_with = [](double x, double y) {
    Table table = table_of({numbers("n", {1, 2, x}), numbers("y", {0.5, 1.5, y})});
    table.lines = {2, 3, 4};
    return table;
  };
  CHECK(refusal(table_with(1e154, 0), {.target = "y"}) ==
        "t.csv:4:1: column \"n\": 1e+154 is beyond 3.4e38, the largest number of float32; correct "
        "it");
  CHECK(refusal(table_with(3, -1e300), {.target = "y"}) ==
        "t.csv:4:2: column \"y\": -1e+300 is beyond 3.4e38, the largest number of float32; correct "
        "it");
  const Encoder encoder = fit(table_with(3, 4), "y");
  CHECK(message_of<DataError>([&] { encoder.features(table_with(3.4e38, 4), all_rows(3)); })
            .starts_with("t.csv:4:1: column \"n\": 3.4e+38 is too far from the values that the "
                         "model was trained on, 2.0 ± 0.816"));
  CHECK(message_of<DataError>([&] {
          encoder.features(table_with(1e39, 4), all_rows(3));
        }).starts_with("t.csv:4:1: column \"n\": 1e+39 is beyond"));
  // The largest that can be had, and so small ones that their squares are 0.
  const Encoder wide = fit(table_with(3.4e38, 4), "y");
  const Tensor largest = wide.features(table_with(3.4e38, 4), all_rows(3));
  for (const float x : largest.values<float>()) CHECK(std::isfinite(x));
  CHECK(Encoder::from_json(wide.to_json(), "m").to_json() == wide.to_json());
  const Table tiny =
      table_of({numbers("n", {1e-200, 2e-200, 3e-200}), texts("l", {"x", "y", "x"})});
  CHECK(fit(tiny, "l").features(tiny, all_rows(3)).values<float>()[2] == doctest::Approx(1.224745));
}

TEST_CASE("dropped columns are left out, and a known scale is kept") {
  Table table = table_of({numbers("k", {7, 7}), numbers("p", {16, 16}), texts("l", {"x", "y"})});
  table.columns[1].scaling = Scaling{0, 16};
  const Encoder encoder = Encoder::fit(table, all_rows(2), {.target = "3", .drop = {"k"}});
  check_equal(encoder.features(table, all_rows(2)), Tensor::of<float>({2, 1}, {1, 1}));
  const Table digits = builtin("digits");
  const Dataset data = fit(digits, "digit").encode(digits, all_rows(1797));
  CHECK(data.x.shape() == Shape{1797, 64});
  CHECK(data.x.values<float>()[2] == 5.0F / 16);
  CHECK(data.classes.size() == 10);
}

TEST_CASE("an unknown label is refused with its line, one with a full stop understood") {
  Table table = table_of({numbers("n", {1, 2}), texts("l", {"<=50K", ">50K"})});
  const Encoder encoder = fit(table, "l");
  Table other = table_of({numbers("n", {1, 2}), texts("l", {">50K.", "rich"})});
  other.lines = {1, 2};
  const Dataset first = encoder.encode(other, std::vector<std::int64_t>{0});
  CHECK(first.labels.values<std::int32_t>()[0] == 1);
  CHECK(message_of<DataError>([&] { encoder.encode(other, all_rows(2)); }) ==
        "t.csv:2: column \"l\": \"rich\" is no class of the model; the classes are \"<=50K\" and "
        "\">50K\"");
}

TEST_CASE("an encoder comes back from its JSON with the same bits") {
  const Table table =
      table_of({numbers("n", {0.1, 1e-300, kNaN, 3e7}), texts("c", {"\"q\"", "", "\xC3\xA9", "z"}),
                texts("l", {"b", "a", "b", "a"}), numbers("y", {0.1, 0.2, 0.7, 1.0 / 3})});
  for (const char* target : {"l", "y"}) {
    const Encoder encoder =
        Encoder::fit(table, all_rows(4), {.target = target, .missing = {"?", "n/a"}});
    const Encoder loaded = Encoder::from_json(encoder.to_json(), "m.safetensors");
    const Dataset a = encoder.encode(table, all_rows(4));
    const Dataset b = loaded.encode(table, all_rows(4));
    check_equal(a.x, b.x);
    check_equal(a.labels, b.labels);
    check_equal(a.y, b.y);
    CHECK(a.classes == b.classes);
    CHECK(a.features == b.features);
    CHECK(loaded.to_json() == encoder.to_json());
    CHECK(loaded.original_units(0.3) == encoder.original_units(0.3));
    CHECK(loaded.csv_options().missing == std::vector<std::string>{"?", "n/a"});
    CHECK(loaded.csv_options().kinds.at("c") == ColumnKind::kText);
  }
  CHECK(message_of<UsageError>([&] {
          Encoder::fit(table, all_rows(4), {.target = "l", .missing = {"\xFF"}});
        }) == "missing: expected UTF-8 text, got \"\\xFF\"");
  const auto load = [](const std::string& text) {
    return message_of<FileError>([&] { Encoder::from_json(text, "m.safetensors"); });
  };
  CHECK(load("{").starts_with("m.safetensors: the encoder cannot be read: "));
  CHECK(load("[]").starts_with("m.safetensors: "));
  CHECK(load("{\"version\":2}").ends_with("version 2, expected 1"));
  std::string broken = fit(table, "l").to_json();
  broken.replace(broken.find("\"place\":2"), 9, "\"place\":9");
  CHECK(load(broken).ends_with("a column's place lies outside the table"));
}

TEST_CASE("the census data: no header, ? for missing, labels that end in a full stop") {
  const char* folder = std::getenv("CHAINRULE_DATA");
  if (folder == nullptr) {
    MESSAGE("skipped: CHAINRULE_DATA is not set");
    return;
  }
  const std::string base = std::string(folder) + "/tabular/";
  const Table train = read_csv(base + "adult-train.csv", {.missing = {"?"}});
  CHECK(train.rows() == 32561);
  CHECK(train.columns.size() == 15);
  CHECK_FALSE(train.has_header);
  const Encoder encoder =
      Encoder::fit(train, all_rows(train.rows()), {.target = "15", .missing = {"?"}});
  CHECK(encoder.classes() == std::vector<std::string>{"<=50K", ">50K"});
  CHECK(encoder.feature_names().size() == 108);
  const Table test = read_csv(base + "adult-test.csv", encoder.csv_options());
  CHECK(test.rows() == 16281);
  const Dataset data = encoder.encode(test, all_rows(test.rows()));
  std::int64_t rich = 0;
  for (const std::int32_t label : data.labels.values<std::int32_t>()) rich += label;
  CHECK(rich == 3846);
}

TEST_CASE("the housing data: empty cells and a column of text") {
  const char* folder = std::getenv("CHAINRULE_DATA");
  if (folder == nullptr) {
    MESSAGE("skipped: CHAINRULE_DATA is not set");
    return;
  }
  const Table table = read_csv(std::string(folder) + "/tabular/california-housing.csv");
  CHECK(table.rows() == 20640);
  const Encoder encoder = fit(table, "median_house_value");
  CHECK(encoder.task() == Task::kRegression);
  CHECK(encoder.feature_names().size() == 8 + 1 + 5);
  const Dataset data = encoder.encode(table, all_rows(table.rows()));
  CHECK(encoder.original_units(data.y.values<float>()[0]) == doctest::Approx(452600));
  double missing = 0;
  for (std::size_t i = 0; i < 20640; ++i) missing += data.x.values<float>()[i * 14 + 5];
  CHECK(missing == 207);
}
