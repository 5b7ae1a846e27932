// Walks over the syntax tree.
#include "numpy/parse/syntax.h"

namespace chainrule::numpy {

void visit(const Block& block, const SeeStatement& see, bool inside) {
  for (const StatementPtr& s : block) {
    see(*s, inside);
    if (s->function) visit(s->function->body, see, true);
    visit(s->body, see, inside);
    visit(s->other, see, inside);
  }
}

void visit(const ExpressionPtr& expression, const SeeExpression& see) {
  if (!expression) return;
  see(*expression);
  for (const ExpressionPtr& child : expression->children) visit(child, see);
  if (expression->function) visit(expression->function->result, see);
}

}  // namespace chainrule::numpy
