// The part of the parser that reads expressions; statements are built on it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "numpy/parse/syntax.h"

namespace chainrule::numpy {

/// Reads expressions off a list of tokens.
class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, const std::string& file)
      : tokens_(std::move(tokens)), file_(file) {}

 protected:
  const Token& peek(std::size_t ahead = 0) const;
  Token take();
  bool at_symbol(std::string_view text) const;
  bool at_word(std::string_view text) const;
  bool take_symbol(std::string_view text);
  bool take_word(std::string_view text);
  void expect(std::string_view symbol, std::string_view where);
  std::string expect_name(std::string_view what);
  [[noreturn]] void fail(const Token& token, const std::string& message) const;
  [[noreturn]] void unexpected(const std::string& expected) const;
  static std::string describe(const Token& token);

  ExpressionPtr expression();   // with lambda and if-else
  ExpressionPtr expressions();  // perhaps a tuple without parentheses
  ExpressionPtr loop_target();  // what stands between for and in
  std::shared_ptr<FunctionSyntax> parameters(std::string_view end);
  int last_line() const { return last_line_; }

  std::size_t depth_ = 0;  // of nested expressions and blocks

 private:
  std::shared_ptr<Expression> start(ExpressionKind kind, const Token& token) const;
  std::shared_ptr<Expression> around(ExpressionKind kind, ExpressionPtr first) const;
  // Refuses a tree so high that walking over it could exhaust the stack.
  ExpressionPtr finish(std::shared_ptr<Expression> e) const;
  ExpressionPtr binary(std::size_t level);
  ExpressionPtr inversion();
  ExpressionPtr comparison();
  ExpressionPtr unary();
  ExpressionPtr power();
  ExpressionPtr postfix();
  ExpressionPtr atom();
  ExpressionPtr string();
  ExpressionPtr parenthesis();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr lambda();
  ExpressionPtr call(ExpressionPtr function);
  ExpressionPtr subscript(ExpressionPtr object);
  ExpressionPtr subscript_item();
  ExpressionPtr comprehension(const Token& opening, ExpressionPtr element);

  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  int last_line_ = 1;
  std::size_t last_end_ = 0;
  const std::string& file_;
};

}  // namespace chainrule::numpy
