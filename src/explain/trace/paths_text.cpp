// The paths of a weight as a table: above it the formula of each local derivative, with a letter
// where an index differs from path to path.
#include <algorithm>
#include <functional>
#include <map>

#include "base/format.h"
#include "chainrule/trace_text.h"
#include "explain/trace/station_derivative.h"
#include "graph/op.h"
#include "notation/entry.h"
#include "notation/text_table.h"
#include "notation/words.h"

namespace chainrule {
namespace {

std::string number(double value) { return fmt::format("{:.6g}", value); }

std::vector<std::size_t> indices(const TraceEntry& entry) {
  const Shape& shape = entry.value->value.shape();
  std::vector<std::size_t> index(shape.size());
  std::size_t element = entry.element;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index[axis] = element % static_cast<std::size_t>(shape[axis]);
    element /= static_cast<std::size_t>(shape[axis]);
  }
  return index;
}

// The subscripts of each station: a number where all paths have the same, else a letter. Indices
// that go together share their letter; b counts the rows of the batch.
class Subscripts {
 public:
  explicit Subscripts(const std::vector<WeightPath>& paths) {
    std::map<std::string, std::map<std::size_t, std::string>> seen;
    for (const WeightPath& path : paths) {
      for (const TraceEntry& entry : path.entries) {
        const std::vector<std::size_t> index = indices(entry);
        for (std::size_t axis = 0; axis < index.size(); ++axis) {
          seen[entry.value->name][axis] += std::to_string(index[axis]) + " ";
        }
      }
    }
    std::map<std::string, std::string> letters;
    std::size_t next = 0;
    for (const WeightPath& path : paths) {
      for (const TraceEntry& entry : path.entries) {
        std::vector<std::string>& text = texts_[entry.value->name];
        if (!text.empty()) continue;
        for (const auto& [axis, values] : seen[entry.value->name]) {
          const std::string first = values.substr(0, values.find(' '));
          const bool same = is_constant(values, first);
          if (!same && !letters.contains(values)) {
            const bool is_row = axis == 0 && letters.empty();
            letters[values] =
                is_row ? "b" : std::string(1, static_cast<char>('j' + next++ % ('z' - 'j' + 1)));
          }
          text.push_back(same ? first : letters[values]);
        }
      }
    }
  }

  const std::vector<std::string>& of(const TraceValue& value) { return texts_[value.name]; }

  std::string entry(const TraceValue& value) { return value.name + bracketed(of(value)); }

  static std::string bracketed(const std::vector<std::string>& index) {
    return index.empty() ? "" : fmt::format("[{}]", joined(index, ","));
  }

 private:
  static bool is_constant(const std::string& values, const std::string& first) {
    for (std::size_t at = 0; at < values.size(); at = values.find(' ', at) + 1) {
      if (values.compare(at, first.size() + 1, first + " ") != 0) return false;
    }
    return true;
  }

  std::map<std::string, std::vector<std::string>> texts_;
};

bool is_elementwise_in_names(const Value& v, const Shape& shape, bool top = true) {
  if (!top && !v.name().empty()) return true;
  if (is(v, "constant")) return true;
  const Node& node = v.node();
  if (node.op->source || v.shape() != shape) return false;
  if (!node.op->elementwise && node.op->formula.of(node).text != "{0}") return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](const Value& input) {
    return is_elementwise_in_names(input, node.op->elementwise ? shape : input.shape(), false);
  });
}

// "1 - A1 ⊙ A1" with subscripts: "1 - A1[b,2]·A1[b,2]".
std::string with_subscripts(const Trace& trace, const std::string& formula,
                            const std::vector<std::string>& index) {
  std::string text;
  for (std::size_t at = 0; at < formula.size();) {
    std::size_t end = at;
    const auto is_letter = [&](std::size_t i) { return is_word(formula[i]) || formula[i] == '\''; };
    while (end < formula.size() && is_letter(end)) ++end;
    if (end == at) {
      text += formula[at++];
      continue;
    }
    const std::string word = formula.substr(at, end - at);
    const TraceValue* value = trace.find(word);
    text += word;
    if (value != nullptr) {
      const std::size_t rank = std::min(value->value.shape().size(), index.size());
      text += Subscripts::bracketed({index.end() - static_cast<std::ptrdiff_t>(rank), index.end()});
    }
    at = end;
  }
  for (std::size_t at = text.find(" ⊙ "); at != std::string::npos; at = text.find(" ⊙ ")) {
    text.replace(at, std::string_view(" ⊙ ").size(), "·");
  }
  return text;
}

// The formula of ∂to/∂from, or "" where it is not that of one number.
std::string factor_formula(const Trace& trace, Subscripts& subscripts, StationDerivative& local,
                           const TraceValue& from, const TraceValue& to) {
  const std::vector<std::string>& f = subscripts.of(from);
  const std::vector<std::string>& t = subscripts.of(to);
  if (const auto other = local.other_factor(from)) {
    return other->name + (other->first ? Subscripts::bracketed({f[1], t[1]})
                                       : Subscripts::bracketed({t[0], f[0]}));
  }
  const TraceValue* gradient = trace.gradient_of(from.name);
  if (to.name == "loss" && gradient != nullptr &&
      is_elementwise_in_names(gradient->value, from.value.shape())) {
    return with_subscripts(trace, gradient->formula, f);
  }
  const std::string formula = local.formula(from);
  return formula.size() > 72 ? "" : with_subscripts(trace, formula, f);
}

class PathsText {
 public:
  PathsText(const Trace& trace, const TraceEntry& weight, const WeightPaths& paths)
      : trace_(trace), weight_(weight), paths_(paths), subscripts_(paths.largest) {}

  std::string text() {
    head();
    if (!paths_.largest.empty()) {
      factors();
      table();
    }
    blocked();
    total();
    return text_;
  }

 private:
  void head() {
    const std::string name = to_text(weight_);
    const double value = weight_.value->numbers.as(DType::kF64).values<double>()[weight_.element];
    text_ += fmt::format(
        "{} = {}   ({})\n\n∂loss/∂{} is the sum, over every path from {} to the loss, of the "
        "product of the "
        "local\nderivatives along it.\n",
        name, number(value),
        weight_.value->parameter + subscript(weight_.value->value.shape(), weight_.element), name,
        name);
  }

  void factors() {
    std::vector<const TraceValue*> stations;
    for (const WeightPath& path : paths_.largest) {
      for (const TraceEntry& entry : path.entries) {
        if (std::find(stations.begin(), stations.end(), entry.value) == stations.end()) {
          stations.push_back(entry.value);
        }
      }
    }
    std::vector<std::pair<const TraceValue*, const TraceValue*>> edges;
    for (const WeightPath& path : paths_.largest) {
      for (std::size_t i = 0; i + 1 < path.entries.size(); ++i) {
        edges.emplace_back(path.entries[i].value, path.entries[i + 1].value);
      }
    }
    std::sort(edges.begin(), edges.end(), [](const auto& a, const auto& b) {
      const auto key = [](const auto& e) {
        return std::pair(e.second->value.node().id, e.first->value.node().id);
      };
      return key(a) < key(b);
    });
    edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
    TextTable lines("lll");
    for (const auto& edge : edges) {
      const TraceValue& from = *edge.first;
      const TraceValue& to = *edge.second;
      StationDerivative local(trace_, stations, to);
      std::string formula = factor_formula(trace_, subscripts_, local, from, to);
      if (formula.empty() && always_one({from.name, to.name})) formula = "1";
      lines.add({fmt::format("∂{}/∂{}", subscripts_.entry(to), subscripts_.entry(from)),
                 formula.empty() ? "" : "= " + formula,
                 fmt::format("since {} = {}", to.name, to.formula)});
    }
    text_ += "\n" + lines.to_text();
  }

  bool always_one(const std::pair<std::string, std::string>& edge) const {
    for (const WeightPath& path : paths_.largest) {
      for (std::size_t i = 0; i < path.factors.size(); ++i) {
        const bool here = path.entries[i].value->name == edge.first &&
                          path.entries[i + 1].value->name == edge.second;
        if (here && path.factors[i] != 1) return false;
      }
    }
    return true;
  }

  static std::string way(const WeightPath& path) {
    std::string text;
    for (const TraceEntry& entry : path.entries)
      text += (text.empty() ? "" : " → ") + to_text(entry);
    return text;
  }

  static std::vector<std::string> row(const WeightPath& path, std::size_t factors) {
    std::vector<std::string> cells{way(path)};
    for (std::size_t i = 0; i < factors; ++i) {
      const bool there = i < path.factors.size();
      cells.emplace_back(i > 0 && there ? "·" : "");
      cells.push_back(there ? number(path.factors[i]) : "");
    }
    cells.emplace_back("=");
    cells.push_back(number(path.product));
    return cells;
  }

  // One line a path where that is readable; else its factors stand on a line of their own.
  static std::string table_of(const std::vector<WeightPath>& paths, std::size_t count) {
    constexpr std::size_t kWidest = 6;
    std::size_t most = 0;
    for (std::size_t i = 0; i < count; ++i) most = std::max(most, paths[i].factors.size());
    if (most > kWidest) return lines_of(paths, count);
    std::string alignment = "l";
    for (std::size_t i = 0; i < most; ++i) alignment += "lr";
    TextTable table(alignment + "lr", 1);
    for (std::size_t i = 0; i < count; ++i) table.add(row(paths[i], most));
    return table.to_text();
  }

  static std::string lines_of(const std::vector<WeightPath>& paths, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
      std::string factors;
      for (const double factor : paths[i].factors) {
        factors += (factors.empty() ? "" : " · ") + number(factor);
      }
      text +=
          fmt::format("  {}\n      {} = {}\n", way(paths[i]), factors, number(paths[i].product));
    }
    return text;
  }

  void table() {
    const auto shown = static_cast<double>(paths_.largest.size());
    text_ += shown == paths_.count ? "\n"
                                   : fmt::format("\nthe {} largest of {:.15g} paths\n",
                                                 paths_.largest.size(), paths_.count);
    text_ += table_of(paths_.largest, paths_.largest.size());
  }

  void blocked() {
    if (paths_.blocked.empty()) return;
    constexpr std::size_t kShown = 8;
    const std::size_t shown = std::min(kShown, paths_.blocked.size());
    text_ += "\nwhere a factor is 0 the path ends:\n" + table_of(paths_.blocked, shown);
    if (paths_.blocked.size() > shown) text_ += "  … and more\n";
  }

  void total() {
    const auto shown = static_cast<double>(paths_.largest.size());
    text_ += "\n";
    if (shown != paths_.count) {
      text_ +=
          fmt::format("sum of these {}: {}, of the other {:.15g}: {}\n", paths_.largest.size(),
                      number(paths_.sum - paths_.rest), paths_.count - shown, number(paths_.rest));
    }
    TextTable sums("lr");
    sums.add({fmt::format("sum of all {:.15g} paths", paths_.count),
              fmt::format("{:.10g}", paths_.sum)});
    sums.add({"gradient()", fmt::format("{:.10g}", paths_.gradient)});
    text_ += sums.to_text("");
  }

  const Trace& trace_;
  const TraceEntry& weight_;
  const WeightPaths& paths_;
  Subscripts subscripts_;
  std::string text_;
};

}  // namespace

std::string to_text(const Trace& trace, const TraceEntry& weight, const WeightPaths& paths) {
  return PathsText(trace, weight, paths).text();
}

}  // namespace chainrule
