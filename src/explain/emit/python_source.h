// What the emitters must know of the text of a Python file: its style, its statements, and under
// which expression a value of the graph can be had after the loss.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "chainrule/numpy_program.h"
#include "numpy/parse/syntax.h"

namespace chainrule {

/// How the file writes a matrix product.
enum class ProductStyle {
  kOperator,
  kDot,
  kMatmul,
  kMethod
};  // a @ b, np.dot, np.matmul, a.dot(b)

/// How the file calls the derivative with respect to W1.
enum class GradientStyle {
  kD,
  kGradPrefix,
  kGradSuffix,
  kDUnderscore
};  // dW1 grad_W1 W1_grad d_W1

struct PythonStyle {
  std::string numpy = "np";  // what the file calls the module; "" when it does not import it whole
  ProductStyle product = ProductStyle::kOperator;
  GradientStyle gradient = GradientStyle::kD;
};

/// "grad_W1" of "W1", "dW1" of "params['W1']", "dhs_0" of "hs[0]".
std::string gradient_name(const std::string& expression, GradientStyle style);

/// What `name` is the gradient of by any custom: "W1" of "dW1", "d_W1", "grad_W1", "W1_grad"; "".
std::string gradient_base(const std::string& name);

/// A program's text, by its syntax tree and its words.
class PythonSource {
 public:
  /// requires  `program` was read from its lines, and outlives this.
  explicit PythonSource(const NumpyProgram& program);

  PythonStyle style() const;

  /// The names that mean something at top level: variables, functions, modules.
  const std::set<std::string>& names() const { return names_; }

  /// For each line of the file, from 0: the first line of the top-level statement that it belongs
  /// to, the else of an if included; blank lines and comments belong to what follows.
  const std::vector<std::size_t>& starts() const { return starts_; }

  /// A line of the file without its comment.
  const std::string& code(std::size_t line) const { return code_[line]; }

  /// Every identifier in the top-level statement that begins on that line.
  std::set<std::string> identifiers(std::size_t start) const;

  /// Where the values of the forward pass can be found at top level after the loss: by node of the
  /// program's graph, a Python expression, or "" where there is none.
  std::vector<std::string> expressions() const;

 private:
  void read_words(const std::vector<numpy::Token>& tokens);
  std::string element(const std::string& name) const;

  const NumpyProgram& program_;
  numpy::Block statements_;
  std::set<std::string> variables_;  // that hold something at top level
  std::set<std::string> names_;
  std::map<std::string, std::string> containers_;  // of a key, the dictionary that has it
  std::vector<std::size_t> starts_;
  std::vector<std::string> code_;
  std::map<std::size_t, std::set<std::string>> identifiers_;  // by the statement's first line
};

}  // namespace chainrule
