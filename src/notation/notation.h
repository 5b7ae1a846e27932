// A graph's values written in one of several notations: mathematics in Unicode or LaTeX, code in
// NumPy or PyTorch. Each op brings its spelling; here the spellings are put into each other.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "chainrule/graph.h"
#include "graph/op.h"
#include "graph/value_map.h"

namespace chainrule {

enum class Notation {
  kText,   // dA1 ⊙ [Z1 > 0]
  kLatex,  // \mathrm{d}A_{1} \odot \left[Z_{1} > 0\right]
  kNumpy,  // dA1 * (Z1 > 0)
  kTorch,  // the same where PyTorch agrees with NumPy
};

/// The graph with those macro ops expanded that have no spelling in `notation`, and simplified. In
/// mathematics every op has one.
///
/// ensures  what simplify() ensures; every node of the result can be written.
std::unique_ptr<Graph> spelled_out(const Graph& graph, Notation notation);

/// What the code for a graph must stand under besides `import numpy as np` or `import torch`:
/// imports and definitions of functions, each once, with two empty lines between; often "".
std::string prelude(const Graph& graph, Notation notation);

/// A name as LaTeX: W1 is W_{1}, dZ1 is \mathrm{d}Z_{1}, y_hat is \hat{y}, alpha is \alpha.
std::string latex_name(const std::string& name);

/// A number: "0.333333" in text, "10^{-9}" in LaTeX, all digits in code.
std::string number_text(double value, Notation notation);

/// Writes the values of one graph. A value that has a name, is an output, is mentioned several
/// times, or stands at the end of a long chain has a line of its own, and the others refer to it by
/// name.
///
/// In code a line has the shape that the graph says; inside it, broadcasting is left to NumPy
/// wherever that gives the same.
///
/// Example:  const std::unique_ptr<Graph> g = spelled_out(graph, Notation::kNumpy);
///           const Writer writer(*g, Notation::kNumpy);
///           for (const Node& node : g->nodes()) {
///             const Value v = node.output();
///             if (writer.has_line(v)) std::cout << writer.line(v) << "\n";   // dA1 = dZ2 @ W2.T
///           }
class Writer {
 public:
  Writer(const Graph& graph, Notation notation);
  /// Of any graph: only what has a name has a line, and of a formula too large to be read the rest
  /// is "…".
  explicit Writer(Notation notation) : notation_(notation), most_nodes_(kMostNodes) {}

  /// Writes a node as `rule` says, where that gives a pattern that is not empty.
  void respell(std::function<Pattern(const Node&)> rule) { respell_ = std::move(rule); }

  bool has_line(const Value& v) const;
  std::string name(const Value& v) const;
  std::string right_side(const Value& v) const;
  std::string line(const Value& v) const { return name(v) + " = " + right_side(v); }
  /// How others refer to the value: by its name, or by its formula when it has no line.
  std::string mention(const Value& v) const { return reference(v).text; }

 private:
  struct Formula {
    std::string text;
    Binding binding = Binding::kAtom;
    Shape shape = {};        // in code: what NumPy makes of it, before it is stretched
    bool truth = false;      // in code: False and True, not yet numbers
    const Op* op = nullptr;  // the outermost
  };

  bool is_code() const { return notation_ == Notation::kNumpy || notation_ == Notation::kTorch; }
  Pattern pattern(const Node& node) const;
  bool is_transparent(const Value& v) const;
  int mentions_of(const Node& node, std::size_t i) const;
  void count_mentions(const Graph& graph);
  void find_deep_ones(const Graph& graph);
  Formula written(const Value& v) const;

  Formula reference(const Value& v) const;
  Formula formula(const Value& v) const;
  Formula scaled(const Node& node) const;
  Formula stretched(Formula f, const Value& v) const;
  Formula as_number(Formula f) const;
  std::string in_place(const Node& node, const Formula& f, std::size_t begin, Binding outer) const;
  std::string attribute(const Node& node, std::string_view field) const;

  Notation notation_;
  std::function<Pattern(const Node&)> respell_;
  ValueMap<int> mentions_;
  ValueMap<std::string> output_names_;
  ValueSet deep_;
  static constexpr std::size_t kMostNodes = 2000;
  std::size_t most_nodes_ = std::numeric_limits<std::size_t>::max();  // of one formula
  mutable std::size_t nodes_ = 0;  // of the formula that is being written
  mutable std::size_t depth_ = 0;
};

/// Gives a name to every value that has a line and none: dh1_in is a factor on the way back
/// through h1, t1 anything else.
void name_lines(Graph& graph, Notation notation);

/// One value, written on its own with all that has no name in its place.
///
/// requires  what it depends on can be written (see spelled_out).
///
/// Example:  expression(dZ1, Notation::kNumpy)   // "dA1 * (Z1 > 0)"
std::string expression(const Value& value, Notation notation);

}  // namespace chainrule
