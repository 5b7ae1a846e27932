// Hand-written backward passes: right ones pass in whatever style, and planted mistakes are found on
// their line, named, and told apart from what only inherits them.
#include "chainrule/backprop_check.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "chainrule/error.h"

namespace chainrule {
namespace {

std::string program(const std::string& name) {
  std::ifstream in(std::string(CHAINRULE_SOURCE_DIR) + "/tests/explain/backprop/" + name);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

int line_of(const std::string& source, const std::string& text) {
  const std::size_t at = source.find(text);
  REQUIRE_MESSAGE(at != std::string::npos, text);
  return 1 + static_cast<int>(std::count(source.begin(),
                                         source.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

std::string replaced(std::string source, const std::string& from, const std::string& to) {
  const std::size_t at = source.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return source.replace(at, from.size(), to);
}

struct Replacement {
  std::string from;
  std::string to;
};

struct Planted {
  std::string file;
  std::vector<Replacement> replacements;  // the first holds the mistake
  std::string mistake;                    // its name
  std::string says;                       // a part of the explanation
  std::string correct;                    // the correct line
  std::vector<std::string> inherit;       // targets that are only wrong because of it
  std::string on_line;                    // text on the line of the mistake, when it is another
};

void check_planted(const Planted& planted) {
  std::string source = program(planted.file);
  for (const Replacement& r : planted.replacements) source = replaced(source, r.from, r.to);
  const BackpropReport report = check_backprop(source, planted.file);
  INFO(to_text(report));
  CHECK_FALSE(report.right);
  const std::string place =
      planted.on_line.empty() ? planted.replacements[0].to : planted.on_line;
  const int line = line_of(source, place);
  int mistakes = 0;
  for (const GradientLine& l : report.lines) {
    if (l.verdict == GradientVerdict::kWrong || l.verdict == GradientVerdict::kFails) {
      FAIL_CHECK("line " << l.line << " has no name for its mistake");
    }
    if (l.verdict != GradientVerdict::kMistake) continue;
    ++mistakes;
    CHECK(l.line == line);
    CHECK(l.mistake == planted.mistake);
    CHECK_MESSAGE(l.explanation.find(planted.says) != std::string::npos, l.explanation);
    CHECK(l.correct == planted.correct);
  }
  CHECK(mistakes == 1);
  std::vector<std::string> inherited;
  for (const GradientLine& l : report.lines) {
    if (l.verdict == GradientVerdict::kInherited) inherited.push_back(l.target);
  }
  CHECK(inherited == planted.inherit);
}

const std::vector<Planted> kPlanted{
    {"notebook.py",
     {{"db2 = np.sum(dZ2, axis=0, keepdims=True) / m", "db2 = dZ2 / m"}},
     "forgot the sum over the batch",
     "b2 is used for every row",
     "db2 = np.sum(dZ2, axis=0, keepdims=True) / m",
     {},
     {}},
};

}  // namespace

TEST_CASE("backprop check: right programs pass") {
  for (const char* name : {"notebook.py", "two_layer_net.py", "columns.py", "regression.py",
                           "batch_norm.py", "rnn.py"}) {
    const BackpropReport report = check_backprop(program(name), name);
    INFO(to_text(report));
    CHECK(report.right);
    for (const GradientLine& line : report.lines) CHECK(line.mistake.empty());
  }
}

TEST_CASE("backprop check: planted mistakes are named") {
  for (const Planted& planted : kPlanted) check_planted(planted);
}

}  // namespace chainrule
