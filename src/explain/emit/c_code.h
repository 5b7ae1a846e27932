// Statements of C as a tree, so that braces, indentation and locals come out right by themselves.
#pragma once

#include <cstdint>
#include <list>
#include <string>

namespace chainrule {

/// Statements in sequence. A loop is a statement with a body.
class CBlock {
 public:
  void add(std::string statement);
  /// "for (int i = 0; i < count; ++i)"; what it returns stays valid while this block lives.
  CBlock& loop(const std::string& variable, std::int64_t count);
  bool empty() const { return statements_.empty(); }
  /// A variable is declared here and not in a loop's body.
  bool declares() const;
  /// The statements as lines, two spaces a level, a loop over one statement without braces.
  std::string text(int depth) const;
  /// The same in braces of their own when a variable is declared.
  std::string scoped_text(int depth) const;

 private:
  struct Statement;
  std::list<Statement> statements_;
};

struct CBlock::Statement {
  std::string text;  // "x = 1;", or the head of a loop
  CBlock body;
};

}  // namespace chainrule
