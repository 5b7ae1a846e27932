// A graph as one C99 file: what the arrays are, three functions, and the numbers to begin with.
#include "chainrule/emit.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/simplify.h"
#include "compiler/passes.h"
#include "explain/emit/c_data.h"
#include "explain/emit/c_loops.h"
#include "explain/emit/c_names.h"
#include "explain/emit/c_plan.h"
#include "graph/op.h"
#include "notation/notation.h"

namespace chainrule {
namespace {

std::string dimensions(const Shape& shape) {
  std::string text;
  for (const std::int64_t extent : shape) text += fmt::format("[{}]", extent);
  return text;
}

constexpr std::size_t kLongestFormula = 160;

// A second name for a value that has an array under another.
struct Alias {
  std::string name;
  Value value;
};

class CFile {
 public:
  /// graph: of primitives.  formulas: of named values, before their macro ops were expanded.
  CFile(const Graph& graph, std::map<std::string, std::string> formulas, const TensorMap& numbers,
        const COptions& options)
      : graph_(graph),
        formulas_(std::move(formulas)),
        numbers_(numbers),
        options_(options),
        plan_(plan_c(graph)) {
    check();
    give_names();
  }

  std::string text() {
    const std::string code = functions();
    std::string file = header();
    file += "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n\n";
    return file + precision(code) + declarations() + code + main_function();
  }

 private:
  static std::size_t id(const Value& v) { return static_cast<std::size_t>(v.node().id); }
  const std::string& name(const Value& v) const { return array_names_[id(v)]; }

  void check() const {
    for (const Node& node : graph_.nodes()) {
      for (const Type& type : node.types) {
        if (element_count(type.shape) == 0) {
          throw Error(fmt::format("{} {} is empty, and C has no empty arrays",
                                  text_name(node.output()), to_string(type.shape)));
        }
      }
      if (!node.op->source) continue;
      const auto found = numbers_.find(node.names[0]);
      if (found == numbers_.end()) {
        throw UsageError(fmt::format("nothing given for \"{}\"", node.names[0]));
      }
      if (found->second.shape() != node.types[0].shape) {
        throw ShapeError(fmt::format("{}: expected {}, got {}", node.names[0],
                                     to_string(node.types[0].shape),
                                     to_string(found->second.shape())));
      }
    }
  }

  // The user's names first, then those of outputs, then what has none.
  void give_names() {
    array_names_.resize(graph_.nodes().size());
    for (const Node& node : graph_.nodes()) {
      if (!node.names[0].empty() && plan_.place(node.output()) != CPlace::kNone) {
        array_names_[static_cast<std::size_t>(node.id)] = names_.take(node.names[0]);
      }
    }
    for (const auto& [wanted, value] : graph_.outputs()) {
      std::string& array = array_names_[id(value)];
      const bool is_named = array.empty() || value.name() == wanted;
      if (array.empty()) array = names_.take(wanted);
      if (is_named) {
        output_names_[wanted] = array;
        continue;
      }
      aliases_.push_back({names_.take(wanted), value});
      output_names_[wanted] = aliases_.back().name;
    }
    for (const auto& [parameter, next] : graph_.updates()) {
      std::string& array = array_names_[id(next)];
      if (array.empty() && plan_.place(next) == CPlace::kArray) {
        array = names_.take("next_" + parameter.name());
        hidden_.push_back(next);
      }
    }
    name_the_rest();
  }

  // What has no name is called after what it is computed for: A2_sum.
  void name_the_rest() {
    std::string owner = "value";
    for (std::size_t i = graph_.nodes().size(); i-- > 0;) {
      const Node& node = graph_.nodes()[i];
      std::string& array = array_names_[i];
      if (plan_.place(node.output()) != CPlace::kArray) continue;
      if (!array.empty()) {
        owner = array;
        continue;
      }
      array = names_.take(fmt::format("{}_{}", owner, node.op->name));
      hidden_.push_back(node.output());
    }
  }

  bool is_hidden(const Value& v) const {
    return std::find(hidden_.begin(), hidden_.end(), v) != hidden_.end();
  }

  // ── declarations ───────────────────────────────────────────────────────────

  static std::string declaration(const std::string& name, const Value& v) {
    return fmt::format("{} {}{}", c_type(v.dtype()), name, dimensions(v.shape()));
  }

  std::string filled(const Value& v) const {
    const std::string left = declaration(name(v), v);
    const Tensor& tensor = numbers_.find(v.name())->second;
    return is_zero(tensor) ? left + ";  /* zeros */\n" : c_filled(left, v.type(), tensor);
  }

  std::string declarations() const {
    std::string text = section("inputs: write to them before forward()");
    for (const Value& v : graph_.inputs()) text += filled(v);
    text += "\n" + section("parameters");
    for (const Value& v : graph_.parameters()) text += filled(v);
    const char* const titles[] = {"results of forward()", "results of backward()",
                                  "results of update()"};
    for (const CPhase phase : {CPhase::kForward, CPhase::kBackward, CPhase::kUpdate}) {
      std::string lines;
      for (const Node& node : graph_.nodes()) {
        const Value v = node.output();
        if (plan_.place(v) != CPlace::kArray || plan_.phase(v) != phase) continue;
        lines += (is_hidden(v) ? "static " : "") + declaration(name(v), v) + ";\n";
      }
      for (const Alias& alias : aliases_) {
        if (plan_.phase(alias.value) == phase) {
          lines += declaration(alias.name, alias.value) + ";\n";
        }
      }
      if (!lines.empty()) text += "\n" + section(titles[static_cast<int>(phase)]) + lines;
    }
    return text;
  }

  static std::string section(const std::string& title) { return fmt::format("/* {} */\n", title); }

  // typedef and the functions of <math.h> that the code calls, in that precision.
  static std::string precision(const std::string& code) {
    std::string as_double;
    std::string as_float;
    for (const std::string function :
         {"exp", "expm1", "fabs", "log", "log1p", "pow", "sqrt", "tanh", "erf", "sin", "cos"}) {
      if (code.find("real_" + function + "(") == std::string::npos) continue;
      as_double += fmt::format("#define real_{0} {0}\n", function);
      as_float += fmt::format("#define real_{0} {0}f\n", function);
    }
    return "#ifdef CHAINRULE_DOUBLE\ntypedef double real;\n" + as_double +
           "#else\ntypedef float real;\n" + as_float + "#endif\n\n";
  }

  // ── functions ──────────────────────────────────────────────────────────────

  std::string functions() {
    CLoops loops(plan_, array_names_, [this](const std::string& n) { return names_.is_free(n); });
    std::string text;
    text += function("forward", CPhase::kForward, loops);
    text += function("backward", CPhase::kBackward, loops);
    text += function("update", CPhase::kUpdate, loops);
    return text;
  }

  bool has(CPhase phase) const {
    if (phase == CPhase::kForward) return true;
    if (phase == CPhase::kUpdate) return !graph_.updates().empty();
    return std::any_of(graph_.nodes().begin(), graph_.nodes().end(), [&](const Node& node) {
      return plan_.phase(node.output()) == phase && plan_.place(node.output()) == CPlace::kArray;
    });
  }

  // "/* Z1 = X·W1 + b1   [3, 3] */" above the loops of Z1 and of what is computed for it.
  std::string comment(const Value& v) const {
    const auto found = formulas_.find(v.name());
    const std::string formula =
        found != formulas_.end() ? found->second : expression(v, Notation::kText);
    return comment(v.name().empty() ? name(v) : v.name(), "=", formula, v.shape());
  }

  static std::string comment(const std::string& left, const std::string& sign,
                             const std::string& right, const Shape& shape) {
    if (right.size() > kLongestFormula)
      return fmt::format("  /* {} {} */\n", left, to_string(shape));
    return fmt::format("  /* {} {} {}{} */\n", left, sign, right,
                       shape.empty() ? "" : "   " + to_string(shape));
  }

  std::string function(const std::string& title, CPhase phase, CLoops& loops) const {
    if (!has(phase)) return "";
    std::vector<std::string> paragraphs;
    std::string unnamed;  // what has been computed for the next named value
    const auto code_of = [](auto compute) {
      CBlock block;
      compute(block);
      return block.scoped_text(1);
    };
    for (const Node& node : graph_.nodes()) {
      const Value v = node.output();
      if (plan_.place(v) != CPlace::kArray || plan_.phase(v) != phase) continue;
      unnamed += code_of([&](CBlock& block) { loops.compute(v, block); });
      if (is_hidden(v)) continue;
      paragraphs.push_back(comment(v) + std::exchange(unnamed, ""));
    }
    if (!unnamed.empty()) paragraphs.push_back(unnamed);
    for (const Alias& alias : aliases_) {
      const Value v = alias.value;
      if (plan_.phase(v) != phase) continue;
      paragraphs.push_back(comment(alias.name, "=", name(v), v.shape()) +
                           code_of([&](CBlock& b) { loops.compute_into(alias.name, v, b); }));
    }
    for (std::size_t i = 0; phase == CPhase::kUpdate && i < graph_.updates().size(); ++i) {
      const Value parameter = graph_.updates()[i].first;
      const Value next = graph_.updates()[i].second;
      const std::string formula =
          plan_.place(next) == CPlace::kNone ? expression(next, Notation::kText) : name(next);
      paragraphs.push_back(
          comment(parameter.name(), "←", formula, parameter.shape()) +
          code_of([&](CBlock& b) { loops.compute_into(name(parameter), next, b); }));
    }
    return fmt::format("\nvoid {}(void) {{\n{}}}\n", title, joined(paragraphs, "\n"));
  }

  std::string main_function() const {
    const auto loss = output_names_.find(options_.loss);
    if (loss == output_names_.end()) return "";
    std::string text = "\n#ifdef CHAINRULE_MAIN\n#include <stdio.h>\n\nint main(void) {\n";
    text += "  forward();\n";
    text += fmt::format("  printf(\"loss before: %.9g\\n\", (double){});\n", loss->second);
    if (has(CPhase::kUpdate)) {
      text += has(CPhase::kBackward) ? "  backward();\n  update();\n" : "  update();\n";
      text += "  forward();\n";
      text += fmt::format("  printf(\"loss after:  %.9g\\n\", (double){});\n", loss->second);
    }
    return text + "  return 0;\n}\n#endif\n";
  }

  static std::string shapes(const std::vector<std::pair<std::string, Shape>>& arrays) {
    std::string text;
    std::string line;
    for (const auto& [name, shape] : arrays) {
      const std::string next = name + (shape.empty() ? "" : " " + to_string(shape));
      if (!line.empty() && line.size() + next.size() > 72) {
        text += line + ",\n *              ";
        line.clear();
      }
      line += (line.empty() ? "" : ", ") + next;
    }
    return text + (line.empty() ? "none" : line);
  }

  std::int64_t bytes_as_float() const {
    std::int64_t count = 0;
    for (const Node& node : graph_.nodes()) {
      if (plan_.place(node.output()) == CPlace::kNone) continue;
      count += element_count(node.types[0].shape);
    }
    for (const Alias& alias : aliases_) count += element_count(alias.value.shape());
    return count * 4;
  }

  bool has_indices() const {
    return std::any_of(graph_.inputs().begin(), graph_.inputs().end(),
                       [](const Value& v) { return v.dtype() == DType::kI32; });
  }

  std::string header() const {
    std::vector<std::pair<std::string, Shape>> inputs;
    std::vector<std::pair<std::string, Shape>> parameters;
    std::vector<std::pair<std::string, Shape>> outputs;
    for (const Value& v : graph_.inputs()) inputs.emplace_back(name(v), v.shape());
    for (const Value& v : graph_.parameters()) parameters.emplace_back(name(v), v.shape());
    for (const auto& [wanted, v] : graph_.outputs()) {
      outputs.emplace_back(output_names_.at(wanted), v.shape());
    }
    const std::string origin = options_.origin.empty() ? graph_.name() : options_.origin;
    std::string text = fmt::format("/* {} as C99, written by chainrule.\n *\n", origin);
    text += " *   forward()    computes the values up to the loss\n";
    if (has(CPhase::kBackward)) {
      text += " *   backward()   computes the gradients; call forward() before\n";
    }
    if (has(CPhase::kUpdate)) {
      text += " *   update()     moves the parameters one step; call backward() before\n";
    }
    text += fmt::format(" *\n *   inputs      {}\n *   parameters  {}\n *   outputs     {}\n",
                        shapes(inputs), shapes(parameters), shapes(outputs));
    text += fmt::format(
        " *\n * Numbers are float, or double where CHAINRULE_DOUBLE is defined. All memory is "
        "static:\n"
        " * {} bytes as float.{}\n *\n"
        " * To try it, where the loss before and after one update is printed:\n *\n"
        " *   cc -std=c99 -DCHAINRULE_MAIN this_file.c -lm && ./a.out\n */\n\n",
        bytes_as_float(), has_indices() ? " Labels and indices are not checked." : "");
    return text;
  }

  const Graph& graph_;
  std::map<std::string, std::string> formulas_;
  const TensorMap& numbers_;
  const COptions& options_;
  CPlan plan_;
  CNames names_;
  std::vector<std::string> array_names_;  // by node; "" where there is no array
  std::map<std::string, std::string> output_names_;
  std::vector<Alias> aliases_;
  std::vector<Value> hidden_;  // arrays that nobody outside needs
};

}  // namespace

std::string emit_c(const Graph& graph, const TensorMap& numbers, const COptions& options) {
  const GraphPtr simple = simplify(graph);
  std::map<std::string, std::string> formulas;
  for (const Node& node : simple->nodes()) {
    if (node.op->source || node.names[0].empty()) continue;
    formulas[node.names[0]] = expression(node.output(), Notation::kText);
  }
  const GraphPtr primitives = simplify(*expand_macros(*simple, [](const Node&) { return false; }));
  return CFile(*primitives, std::move(formulas), numbers, options).text();
}

}  // namespace chainrule
