// A shape error leaves no graph to look at, so here the text is changed: a transpose put in or
// taken out, operands swapped, an axis exchanged. Whatever reads on is tried against the true
// derivative.
#include "explain/grade/backprop_repair.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "base/format.h"
#include "chainrule/error.h"
#include "explain/grade/backprop_study.h"
#include "notation/words.h"
#include "numpy/eval/reader.h"
#include "numpy/parse/limits.h"

namespace chainrule::backprop {
namespace {

constexpr double kMostSteps = 4e6;  // to be spent in trying changes

std::vector<std::string> split_lines(std::string_view source) {
  std::vector<std::string> lines(1);
  for (const char c : source) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

struct Change {
  std::string line;
  std::string mistake;
  std::string sentence;
};

// A name on the right-hand side, from begin to end, that is no function and no module.
struct Word {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool transposed = false;
};

std::vector<Word> words_of(const std::string& line) {
  std::vector<Word> words;
  const std::size_t comment = std::min(line.find('#'), line.size());
  std::size_t at = line.find('=');
  if (at == std::string::npos) return words;
  while (at < comment) {
    if (!is_word(line[at]) || std::isdigit(static_cast<unsigned char>(line[at])) != 0 ||
        is_word(line[at - 1]) || line[at - 1] == '.') {
      ++at;
      continue;
    }
    Word word{at, at, false};
    while (word.end < comment && is_word(line[word.end])) ++word.end;
    at = word.end;
    const std::string_view rest = std::string_view(line).substr(word.end, comment - word.end);
    word.transposed = rest.starts_with(".T") && (rest.size() == 2 || !is_word(rest[2]));
    const bool value = rest.empty() || word.transposed ||
                       (rest[0] != '(' && rest[0] != '.' && !rest.starts_with("=")) ||
                       rest.starts_with("==");
    if (value) words.push_back(word);
  }
  return words;
}

std::string toggled(const std::string& line, const Word& word) {
  std::string changed = line;
  if (word.transposed) {
    changed.erase(word.end, 2);
  } else {
    changed.insert(word.end, ".T");
  }
  return changed;
}

std::string name_at(const std::string& line, const Word& word) {
  return line.substr(word.begin, word.end - word.begin);
}

void change_transposes(const std::string& line, std::vector<Change>& changes) {
  const std::vector<Word> words = words_of(line);
  const auto described = [&](const Word& w) {
    return w.transposed ? fmt::format("{} is transposed and should not be.", name_at(line, w))
                        : fmt::format("{} must be transposed.", name_at(line, w));
  };
  for (const Word& w : words) {
    changes.push_back({toggled(line, w),
                       w.transposed ? "a transpose too many" : "forgot a transpose", described(w)});
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::size_t j = i + 1; j < words.size(); ++j) {
      changes.push_back({toggled(toggled(line, words[j]), words[i]), "forgot a transpose",
                         described(words[i]) + " " + described(words[j])});
    }
  }
}

// np.dot(a, b) as np.dot(b, a), and a @ b as b @ a, also with transposes changed.
void swap_operands(const std::string& line, std::vector<Change>& changes) {
  std::vector<std::string> swapped;
  const std::vector<Word> words = words_of(line);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::size_t a_end = words[i].end + (words[i].transposed ? 2 : 0);
    const std::size_t b_end = words[i + 1].end + (words[i + 1].transposed ? 2 : 0);
    const std::string between = line.substr(a_end, words[i + 1].begin - a_end);
    const auto plain = between.find_first_not_of(' ');
    if (plain == std::string::npos || (between[plain] != ',' && between[plain] != '@')) continue;
    swapped.push_back(line.substr(0, words[i].begin) +
                      line.substr(words[i + 1].begin, b_end - words[i + 1].begin) + between +
                      line.substr(words[i].begin, a_end - words[i].begin) + line.substr(b_end));
  }
  for (const std::string& s : swapped) {
    changes.push_back({s, "operands swapped", "The operands of the matrix product are swapped."});
  }
  for (const std::string& s : swapped) {
    std::vector<Change> turned;
    change_transposes(s, turned);
    for (Change& c : turned) {
      changes.push_back({c.line, "operands swapped",
                         "The operands of the matrix product are swapped. " + c.sentence});
    }
  }
}

void replace_each(const std::string& line, std::string_view from, std::string_view to,
                  const Change& as, std::vector<Change>& changes) {
  const std::size_t start = std::min(line.find('='), line.size());
  for (std::size_t at = line.find(from, start); at != std::string::npos;
       at = line.find(from, at + 1)) {
    std::string changed = line;
    changed.replace(at, from.size(), to);
    changes.push_back({changed, as.mistake, as.sentence});
  }
}

std::vector<Change> changes_of(const std::string& line) {
  std::vector<Change> changes;
  change_transposes(line, changes);
  swap_operands(line, changes);
  const Change axis{"", "the wrong axis", "The sum goes over the other axis."};
  for (const auto& [from, to] :
       {std::pair("axis=0", "axis=1"), std::pair("axis=1", "axis=0"),
        std::pair("axis = 0", "axis = 1"), std::pair("axis = 1", "axis = 0")}) {
    replace_each(line, from, to, axis, changes);
  }
  replace_each(line, "@", "*",
               {"", "a matrix product for *", "The factors must be multiplied element by element."},
               changes);
  std::vector<Change> products;
  replace_each(line, " * ", " @ ",
               {"", "* for a matrix product",
                "A matrix product (@ or np.dot) belongs there; * multiplies element by element."},
               products);
  for (const Change& product : products) {
    changes.push_back(product);
    std::vector<Change> turned;
    change_transposes(product.line, turned);
    swap_operands(product.line, turned);
    for (const Change& c : turned) changes.push_back({c.line, product.mistake, product.sentence});
  }
  return changes;
}

// One name for another: Z for A, one layer's weights for the next one's.
void exchange_names(const std::string& line, const std::set<std::string>& names,
                    std::vector<Change>& changes) {
  for (const Word& w : words_of(line)) {
    const std::string wrong = name_at(line, w);
    for (const std::string& right : names) {
      if (right == wrong || !names.contains(wrong)) continue;
      std::string changed = line;
      changed.replace(w.begin, wrong.size(), right);
      changes.push_back({changed, "the wrong operand",
                         fmt::format("It reads {} where {} belongs.", wrong, right)});
    }
  }
}

std::string target_of(const std::string& line) {
  const std::size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  std::size_t end = begin;
  while (end < line.size() && is_word(line[end])) ++end;
  return line.substr(begin, end - begin);
}

// dZ1 = dA1, dZ1 = dA1.copy(): a second name for one value.
bool is_plain_copy(const std::string& line, const std::string& expression) {
  const std::string name = expression.substr(0, expression.find(".copy()"));
  return line.find("1.0 *") == std::string::npos && !name.empty() &&
         std::all_of(name.begin(), name.end(), is_word);
}

class Reader {
 public:
  Reader(std::string_view source, const std::string& file, const NumpyOptions& options)
      : lines_(split_lines(source)), original_(lines_), file_(file), options_(options) {}

  Readable run() {
    std::optional<DataError> first;
    for (int attempt = 0; attempt < 50; ++attempt) {
      try {
        NumpyProgram program = read_numpy(joined(lines_), file_, options_);
        if (tell_apart(program)) continue;
        const int loss = program.assignments[program.forward - 1].line;
        for (const Repair& repair : repairs_) {
          if (repair.line <= loss) throw DataError(*first);
        }
        program.lines = original_;
        std::sort(repairs_.begin(), repairs_.end(),
                  [](const Repair& a, const Repair& b) { return a.line < b.line; });
        return {std::move(program), std::move(repairs_)};
      } catch (const numpy::LimitError&) {
        if (first) throw DataError(*first);
        throw;
      } catch (const DataError& error) {
        if (!first) first = error;
        if (error.line < 1 || error.line > static_cast<std::int64_t>(lines_.size())) throw;
        if (!mend(error)) throw DataError(*first);
      } catch (const ShapeError& error) {
        const int line = line_of_shape_error();
        if (line == 0) throw;
        const DataError placed(fmt::format("{}:{}:1: {}", file_, line, error.what()), file_, line,
                               1);
        if (!first) first = placed;
        if (!mend(placed)) throw DataError(*first);
      } catch (const UsageError&) {
        if (first) throw DataError(*first);  // without that line there is no loss
        throw;
      }
    }
    throw DataError(*first);
  }

 private:
  // Makes a value of its own of each gradient that is only another's name, so that it can be seen
  // which of the two a line reads.
  bool tell_apart(const NumpyProgram& program) {
    bool changed = false;
    for (std::size_t i = program.forward; i < program.assignments.size(); ++i) {
      const NumpyAssignment& a = program.assignments[i];
      std::string& line = lines_[static_cast<std::size_t>(a.line) - 1];
      if (a.in_place || a.line != a.last_line || !is_plain_copy(line, a.expression)) continue;
      const std::size_t at = line.find(a.expression, line.find('='));
      if (!a.value || a.value.shape().empty() || at == std::string::npos) continue;
      line.insert(at, "1.0 * ");
      changed = true;
    }
    return changed;
  }

  // An error without a place is on the last line of the shortest beginning that has it.
  int line_of_shape_error() {
    for (std::size_t n = 1; n <= lines_.size() && spent_ <= kMostSteps; ++n) {
      try {
        const std::vector<std::string> part(lines_.begin(),
                                            lines_.begin() + static_cast<std::ptrdiff_t>(n));
        (void)numpy::read_measured(joined(part), file_, options_, spent_);
      } catch (const ShapeError&) {
        return static_cast<int>(n);
      } catch (const Error&) {
        continue;  // without its end the program is another
      }
    }
    return 0;
  }

  // True when something was changed, so that it is worth reading again.
  bool mend(const DataError& error) {
    const auto at = static_cast<std::size_t>(error.line) - 1;
    const std::string before = lines_[at];
    if (before.find_first_not_of(" \t\r") == std::string::npos) return false;
    Repair repair{static_cast<int>(error.line), trimmed(original_[at]), error.what(), "", "", ""};
    std::optional<Change> readable;
    std::set<std::string> tried;
    std::vector<Change> changes;
    const std::set<std::string> names = names_before(at);
    // An update that cannot be computed has got a wrong gradient: nothing is wrong with itself.
    if (!forward_names_.contains(target_of(before))) {
      changes = changes_of(before);
      exchange_names(before, names, changes);
    }
    for (const Change& change : changes) {
      if (!tried.insert(change.line).second) continue;
      if (spent_ > kMostSteps) break;
      lines_[at] = change.line;
      const int quality = try_until(at);
      if (quality == 0) continue;
      if (!readable || quality == 2) readable = change;
      if (quality == 2) break;
    }
    if (readable) {
      lines_[at] = readable->line;
      repair.fixed = trimmed(readable->line);
      repair.mistake = readable->mistake;
      repair.sentence = readable->sentence;
    } else {
      lines_[at] = "";
    }
    repairs_.push_back(repair);
    return true;
  }

  std::set<std::string> names_before(std::size_t at) {
    const std::vector<std::string> part(lines_.begin(),
                                        lines_.begin() + static_cast<std::ptrdiff_t>(at));
    std::set<std::string> names;
    forward_names_.clear();
    try {
      const NumpyProgram program = read_numpy(joined(part), file_, options_);
      for (std::size_t i = 0; i < program.assignments.size(); ++i) {
        const NumpyAssignment& a = program.assignments[i];
        if (!a.value || a.value.shape().empty()) continue;
        names.insert(a.target);
        if (i < program.forward) forward_names_.insert(a.target);
      }
    } catch (const Error&) {
      // Then the line stands before the loss.
    }
    return names;
  }

  // 2 when the last line up to `at` is a gradient and right, 1 when it can be read, else 0.
  int try_until(std::size_t at) {
    const std::vector<std::string> part(lines_.begin(),
                                        lines_.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    try {
      const NumpyProgram program = numpy::read_measured(joined(part), file_, options_, spent_);
      constexpr double kStepsOfNode = 100;  // of a study, to compare values with each other
      spent_ += kStepsOfNode * static_cast<double>(program.graph->nodes().size());
      Study study(program);
      if (program.assignments.empty()) return 1;
      for (const Gradient& g : study.gradients) {
        if (g.versions.back() + 1 != program.assignments.size()) continue;
        const auto relation = study.bench.relate(g.value, g.truth);
        if (relation && !relation->transposed) return 2;
      }
      return 1;
    } catch (const Error&) {
      return 0;
    }
  }

  static std::string trimmed(std::string text) {
    text.erase(0, std::min(text.find_first_not_of(" \t"), text.size()));
    if (const auto comment = text.find('#'); comment != std::string::npos) text.erase(comment);
    text.erase(text.find_last_not_of(" \t\r\n") + 1);
    return text;
  }

  std::vector<std::string> lines_;
  std::vector<std::string> original_;
  std::string file_;
  NumpyOptions options_;
  std::vector<Repair> repairs_;
  std::set<std::string> forward_names_;
  double spent_ = 0;  // in trying changes
};

}  // namespace

Readable read_repaired(std::string_view source, const std::string& file,
                       const NumpyOptions& options) {
  return Reader(source, file, options).run();
}

}  // namespace chainrule::backprop
