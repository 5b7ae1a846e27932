// The syntax tree of the part of Python that numerical programs use.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "numpy/parse/token.h"

namespace chainrule::numpy {

struct Expression;
struct Statement;
using ExpressionPtr = std::shared_ptr<const Expression>;
using StatementPtr = std::shared_ptr<const Statement>;
using Block = std::vector<StatementPtr>;

enum class ExpressionKind {
  kName,         // text
  kInteger,      // number
  kReal,         // number
  kString,       // text
  kEllipsis,     //
  kTuple,        // children
  kList,         // children
  kDict,         // children: key, value, key, value …
  kUnary,        // text is - + ~ not; children: operand
  kBinary,       // text is + - * / // % ** @ & | ^ and or; children: two
  kCompare,      // operators; children: one more than operators
  kConditional,  // children: value if true, condition, value if false
  kCall,         // children: function, arguments; keywords: one an argument, "" when positional
  kAttribute,    // text; children: object
  kSubscript,    // children: object, index
  kSlice,        // children: start, stop, step; null when absent
  kLambda,       // function
  kListOf,       // [e for x in y if c]; children: e, x, y, c or null
};

/// `def` and `lambda`.
struct FunctionSyntax {
  std::string name;  // "lambda" for one
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  // one a parameter; null when there is none
  Block body;
  ExpressionPtr result;  // of a lambda
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kName;
  std::size_t height = 1;  // of its tree, functions included
  Position at;
  std::size_t begin = 0;  // bytes of the source
  std::size_t end = 0;
  std::string text;
  double number = 0;
  std::vector<ExpressionPtr> children;
  std::vector<std::string> operators;
  std::vector<std::string> keywords;
  std::shared_ptr<const FunctionSyntax> function;
};

enum class StatementKind {
  kExpression,  // value
  kAssign,      // targets = value
  kAugmented,   // targets[0] text= value, where text is the operator
  kDefine,      // function
  kReturn,      // value or null
  kFor,         // for targets[0] in value: body, else: other
  kIf,          // if value: body, else: other
  kImport,      // names: module, alias, …;
  kImportFrom,  // text is the module; names: name, alias, …
  kPass,        // nothing to do
  kBreak,
  kContinue,
};

struct Statement {
  StatementKind kind = StatementKind::kPass;
  Position at;
  int last_line = 1;
  std::vector<ExpressionPtr> targets;
  ExpressionPtr value;
  std::string text;
  std::vector<std::string> names;
  Block body;
  Block other;
  std::shared_ptr<const FunctionSyntax> function;
};

/// Shows every statement, in the order of the file: those of blocks and, with `inside`, those of
/// functions too.
using SeeStatement = std::function<void(const Statement& s, bool inside)>;
void visit(const Block& block, const SeeStatement& see, bool inside = false);

/// Shows an expression and every one in it, from the outside inwards; none for null.
using SeeExpression = std::function<void(const Expression& e)>;
void visit(const ExpressionPtr& expression, const SeeExpression& see);

/// The statements of a file.
///
/// throws  DataError at the first thing that is not Python, or not of the part that is read.
Block parse(std::string_view source, const std::string& file);

}  // namespace chainrule::numpy
