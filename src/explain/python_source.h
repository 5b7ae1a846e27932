// What the emitters must know of the text of a Python file: its style, its statements, and under
// which expression a value of the graph can be had after the loss.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chainrule/numpy_program.h"

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
PythonStyle style_of(const NumpyProgram& program);

/// "grad_W1" of "W1", "dW1" of "params['W1']", "dhs_0" of "hs[0]".
std::string gradient_name(const std::string& expression, GradientStyle style);

/// What `name` is the gradient of by any custom: "W1" of "dW1", "d_W1", "grad_W1", "W1_grad"; "".
std::string gradient_base(const std::string& name);

/// The lines of a file without comments and the insides of strings, for searching.
std::vector<std::string> bare_lines(const std::vector<std::string>& lines);

/// Every identifier in the lines.
std::set<std::string> identifiers(const std::vector<std::string>& bare);

/// The names that mean something at top level: variables, functions, modules.
std::set<std::string> top_level_names(const std::vector<std::string>& bare);

/// For each line of the file, from 0: the first line of the top-level statement that it belongs to,
/// decorators and the else of an if included; blank lines and comments belong to what follows.
std::vector<std::size_t> top_level_starts(const std::vector<std::string>& bare);

/// Where the values of the forward pass can be found at top level after the loss: by node of the
/// program's graph, a Python expression, or "" where there is none.
std::vector<std::string> python_expressions(const NumpyProgram& program);

}  // namespace chainrule
