// Expressions by recursive descent, in Python's order of precedence.
#include <algorithm>
#include <array>

#include "base/format.h"
#include "numpy/parse/limits.h"
#include "numpy/parse/parser.h"

namespace chainrule::numpy {
namespace {

constexpr std::size_t kDeepest = 200;  // brackets in brackets, before the stack is exhausted

// Loosest first. Comparisons and `not` stand between the second and the third.
const std::array<std::vector<std::string_view>, 7> kLevels = {{
    {"or"},
    {"and"},
    {"|"},
    {"^"},
    {"&"},
    {"+", "-"},
    {"*", "/", "//", "%", "@"},
}};

constexpr std::array<std::string_view, 33> kKeywords = {
    "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
    "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
    "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
    "or",    "pass",     "raise", "return", "try",  "while"};

bool is_keyword(std::string_view word) {
  const bool constant = word == "True" || word == "False" || word == "None";
  return !constant && (word == "with" || word == "yield" ||
                       std::find(kKeywords.begin(), kKeywords.end(), word) != kKeywords.end());
}

}  // namespace

const Token& ExpressionParser::peek(std::size_t ahead) const {
  return tokens_[std::min(next_ + ahead, tokens_.size() - 1)];
}

Token ExpressionParser::take() {
  const Token& token = peek();
  if (next_ + 1 < tokens_.size()) ++next_;
  if (token.kind != TokenKind::kNewline && token.kind != TokenKind::kDedent &&
      token.kind != TokenKind::kIndent) {
    last_line_ = token.end_line;
    last_end_ = token.end;
  }
  return token;
}

bool ExpressionParser::at_symbol(std::string_view text) const {
  return peek().kind == TokenKind::kSymbol && peek().text == text;
}
bool ExpressionParser::at_word(std::string_view text) const {
  return peek().kind == TokenKind::kName && peek().text == text;
}
bool ExpressionParser::take_symbol(std::string_view text) {
  if (!at_symbol(text)) return false;
  take();
  return true;
}
bool ExpressionParser::take_word(std::string_view text) {
  if (!at_word(text)) return false;
  take();
  return true;
}

std::string ExpressionParser::describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kNewline: return "the end of the line";
    case TokenKind::kEnd: return "the end of the file";
    case TokenKind::kIndent: return "a deeper indentation";
    case TokenKind::kDedent: return "the end of the block";
    case TokenKind::kString: return "a string";
    default: return "\"" + shown(token.text) + "\"";
  }
}

void ExpressionParser::fail(const Token& token, const std::string& message) const {
  fail_at(file_, token.at, message);
}

void ExpressionParser::unexpected(const std::string& expected) const {
  fail(peek(), fmt::format("expected {}, got {}", expected, describe(peek())));
}

void ExpressionParser::expect(std::string_view symbol, std::string_view where) {
  if (!take_symbol(symbol)) unexpected(fmt::format("\"{}\" {}", symbol, where));
}

std::string ExpressionParser::expect_name(std::string_view what) {
  if (peek().kind != TokenKind::kName || is_keyword(peek().text)) unexpected(std::string(what));
  return take().text;
}

std::shared_ptr<Expression> ExpressionParser::start(ExpressionKind kind, const Token& token) const {
  auto e = std::make_shared<Expression>();
  e->kind = kind;
  e->at = token.at;
  e->begin = token.begin;
  e->end = token.end;
  e->text = token.text;
  e->number = token.number;
  return e;
}

std::shared_ptr<Expression> ExpressionParser::around(ExpressionKind kind,
                                                     ExpressionPtr first) const {
  auto e = std::make_shared<Expression>();
  e->kind = kind;
  e->at = first->at;
  e->begin = first->begin;
  e->children.push_back(std::move(first));
  return e;
}

ExpressionPtr ExpressionParser::finish(std::shared_ptr<Expression> e) const {
  e->end = last_end_;
  std::size_t below = 0;
  for (const ExpressionPtr& child : e->children) {
    if (child) below = std::max(below, child->height);
  }
  if (e->function) {
    for (const ExpressionPtr& part : e->function->defaults) {
      if (part) below = std::max(below, part->height);
    }
    below = std::max(below, e->function->result->height);
  }
  e->height = below + 1;
  if (e->height > kDeepestTree) {
    refuse_at(file_, e->at, "this expression is nested too deeply; split it");
  }
  return e;
}

ExpressionPtr ExpressionParser::expressions() {
  ExpressionPtr first = expression();
  if (!at_symbol(",")) return first;
  auto tuple = around(ExpressionKind::kTuple, std::move(first));
  while (take_symbol(",")) {
    const TokenKind kind = peek().kind;
    if (kind == TokenKind::kNewline || kind == TokenKind::kEnd || at_symbol("=") ||
        at_symbol(")") || at_symbol("]")) {
      break;
    }
    tuple->children.push_back(expression());
  }
  return finish(tuple);
}

ExpressionPtr ExpressionParser::expression() {
  const Depth depth(depth_);
  if (depth_ > kDeepest) fail(peek(), "this expression is nested too deeply; split it");
  if (at_word("lambda")) return lambda();
  ExpressionPtr value = binary(0);
  if (!take_word("if")) return value;
  auto e = around(ExpressionKind::kConditional, std::move(value));
  e->children.push_back(binary(0));
  if (!take_word("else")) unexpected("\"else\" after \"… if …\"");
  e->children.push_back(expression());
  return finish(e);
}

ExpressionPtr ExpressionParser::binary(std::size_t level) {
  if (level == kLevels.size()) return unary();
  const auto operand = [&] { return level == 1 ? inversion() : binary(level + 1); };
  ExpressionPtr left = operand();
  for (std::size_t length = 0;; ++length) {
    // The tree leans to the left and is as deep as the chain is long.
    if (length > 500) fail(peek(), "this expression is too long; split it");
    const std::string_view text = peek().text;
    const TokenKind kind = level < 2 ? TokenKind::kName : TokenKind::kSymbol;
    const auto& operators = kLevels.at(level);
    if (peek().kind != kind ||
        std::find(operators.begin(), operators.end(), text) == operators.end()) {
      return left;
    }
    auto e = around(ExpressionKind::kBinary, std::move(left));
    e->text = take().text;
    e->children.push_back(operand());
    left = finish(e);
  }
}

ExpressionPtr ExpressionParser::inversion() {
  const Depth depth(depth_);
  if (depth_ > kDeepest) fail(peek(), "this expression is nested too deeply; split it");
  if (!at_word("not")) return comparison();
  auto e = start(ExpressionKind::kUnary, take());
  e->children.push_back(inversion());
  return finish(e);
}

ExpressionPtr ExpressionParser::comparison() {
  ExpressionPtr left = binary(2);
  std::shared_ptr<Expression> e;
  while (true) {
    std::string op;
    for (const std::string_view symbol : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (at_symbol(symbol)) op = symbol;
    }
    if (at_word("in") || at_word("is")) op = peek().text;
    if (at_word("not") && peek(1).text == "in") op = "not in";
    if (op.empty()) break;
    take();
    if (op == "not in") take();
    if (op == "is" && take_word("not")) op = "is not";
    if (!e) e = around(ExpressionKind::kCompare, left);
    e->operators.push_back(op);
    e->children.push_back(binary(2));
  }
  return e ? finish(e) : left;
}

ExpressionPtr ExpressionParser::unary() {
  const Depth depth(depth_);
  if (depth_ > kDeepest) fail(peek(), "this expression is nested too deeply; split it");
  if (!at_symbol("-") && !at_symbol("+") && !at_symbol("~")) return power();
  auto e = start(ExpressionKind::kUnary, take());
  e->children.push_back(unary());
  return finish(e);
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr base = postfix();
  if (!at_symbol("**")) return base;
  auto e = around(ExpressionKind::kBinary, std::move(base));
  e->text = take().text;
  e->children.push_back(unary());
  return finish(e);
}

ExpressionPtr ExpressionParser::postfix() {
  ExpressionPtr e = atom();
  // A chain of calls and subscripts makes a tree that is as deep as the chain is long.
  for (std::size_t length = 0;; ++length) {
    if (length > kDeepest) fail(peek(), "this expression is too long; split it");
    if (at_symbol("(")) {
      e = call(std::move(e));
    } else if (at_symbol("[")) {
      e = subscript(std::move(e));
    } else if (at_symbol(".")) {
      auto attribute = around(ExpressionKind::kAttribute, std::move(e));
      take();
      attribute->text = expect_name("a name after \".\"");
      e = finish(attribute);
    } else {
      return e;
    }
  }
}

ExpressionPtr ExpressionParser::atom() {
  const Token& token = peek();
  switch (token.kind) {
    case TokenKind::kInteger: return start(ExpressionKind::kInteger, take());
    case TokenKind::kReal: return start(ExpressionKind::kReal, take());
    case TokenKind::kString: return string();
    case TokenKind::kName:
      if (is_keyword(token.text)) unexpected("a value");
      return start(ExpressionKind::kName, take());
    default: break;
  }
  if (at_symbol("(")) return parenthesis();
  if (at_symbol("[")) return list();
  if (at_symbol("{")) return dict();
  if (at_symbol("...")) return start(ExpressionKind::kEllipsis, take());
  unexpected("a value");
}

ExpressionPtr ExpressionParser::string() {
  auto e = start(ExpressionKind::kString, take());
  while (peek().kind == TokenKind::kString) e->text += take().text;
  return finish(e);
}

ExpressionPtr ExpressionParser::parenthesis() {
  const Token opening = take();
  auto tuple = start(ExpressionKind::kTuple, opening);
  if (take_symbol(")")) return finish(tuple);
  ExpressionPtr first = expression();
  if (at_word("for")) {
    ExpressionPtr all = comprehension(opening, std::move(first));
    expect(")", "to close the parenthesis");
    return finish(std::make_shared<Expression>(*all));
  }
  const bool single = !at_symbol(",");
  tuple->children.push_back(std::move(first));
  while (take_symbol(",")) {
    if (at_symbol(")")) break;
    tuple->children.push_back(expression());
  }
  expect(")", "to close the parenthesis");
  if (!single) return finish(tuple);
  // The text of a parenthesised expression includes its parentheses.
  auto inner = std::make_shared<Expression>(*tuple->children[0]);
  inner->begin = opening.begin;
  inner->at = opening.at;
  return finish(inner);
}

ExpressionPtr ExpressionParser::comprehension(const Token& opening, ExpressionPtr element) {
  auto e = start(ExpressionKind::kListOf, opening);
  take();  // for
  e->children = {std::move(element), loop_target()};
  if (!take_word("in")) unexpected("\"in\"");
  e->children.push_back(binary(0));
  e->children.push_back(take_word("if") ? binary(0) : nullptr);
  if (at_word("for")) fail(peek(), "a second \"for\" in one list is not read; write a loop");
  return finish(e);
}

ExpressionPtr ExpressionParser::list() {
  const Token opening = take();
  auto e = start(ExpressionKind::kList, opening);
  if (take_symbol("]")) return finish(e);
  ExpressionPtr first = expression();
  if (at_word("for")) {
    ExpressionPtr all = comprehension(opening, std::move(first));
    expect("]", "to close the list");
    return finish(std::make_shared<Expression>(*all));
  }
  e->children.push_back(std::move(first));
  while (take_symbol(",")) {
    if (at_symbol("]")) break;
    e->children.push_back(expression());
  }
  expect("]", "or \",\" in the list");
  return finish(e);
}

ExpressionPtr ExpressionParser::dict() {
  auto e = start(ExpressionKind::kDict, take());
  while (!at_symbol("}")) {
    e->children.push_back(expression());
    expect(":", "after a key of the dictionary");
    e->children.push_back(expression());
    if (!take_symbol(",")) break;
  }
  expect("}", "or \",\" in the dictionary");
  return finish(e);
}

std::shared_ptr<FunctionSyntax> ExpressionParser::parameters(std::string_view end) {
  auto function = std::make_shared<FunctionSyntax>();
  while (!at_symbol(end)) {
    if (at_symbol("*") || at_symbol("**") || at_symbol("/")) {
      fail(peek(), "only plain parameters are read; write each one with its name");
    }
    function->parameters.push_back(expect_name("the name of a parameter"));
    if (end == ")" && take_symbol(":")) expression();  // an annotation
    function->defaults.push_back(take_symbol("=") ? expression() : nullptr);
    if (!take_symbol(",")) break;
  }
  expect(end, "after the parameters");
  return function;
}

ExpressionPtr ExpressionParser::lambda() {
  auto e = start(ExpressionKind::kLambda, take());
  const auto function = parameters(":");
  function->name = "lambda";
  function->result = expression();
  e->function = function;
  return finish(e);
}

ExpressionPtr ExpressionParser::call(ExpressionPtr function) {
  auto e = around(ExpressionKind::kCall, std::move(function));
  const Token opening = take();
  while (!at_symbol(")")) {
    if (at_symbol("*") || at_symbol("**")) {
      fail(peek(), "\"*\" in the arguments of a call is not read; write each argument");
    }
    std::string keyword;
    if (peek().kind == TokenKind::kName && peek(1).kind == TokenKind::kSymbol &&
        peek(1).text == "=") {
      keyword = take().text;
      take();
    }
    ExpressionPtr argument = expression();
    if (at_word("for")) argument = comprehension(opening, std::move(argument));
    e->children.push_back(std::move(argument));
    e->keywords.push_back(keyword);
    if (!take_symbol(",")) break;
  }
  expect(")", "or \",\" in the arguments");
  return finish(e);
}

ExpressionPtr ExpressionParser::subscript_item() {
  const Token first = peek();
  ExpressionPtr begin;
  if (!at_symbol(":")) begin = expression();
  if (!at_symbol(":")) return begin;
  auto e = start(ExpressionKind::kSlice, first);
  const auto part = [&]() -> ExpressionPtr {
    if (!take_symbol(":")) return nullptr;
    return at_symbol(":") || at_symbol(",") || at_symbol("]") ? nullptr : expression();
  };
  ExpressionPtr stop = part();
  ExpressionPtr step = part();
  e->children = {std::move(begin), std::move(stop), std::move(step)};
  return finish(e);
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr object) {
  auto e = around(ExpressionKind::kSubscript, std::move(object));
  take();
  ExpressionPtr first = subscript_item();
  if (at_symbol(",")) {
    auto tuple = around(ExpressionKind::kTuple, std::move(first));
    while (take_symbol(",")) {
      if (at_symbol("]")) break;
      tuple->children.push_back(subscript_item());
    }
    first = finish(tuple);
  }
  expect("]", "to close the index");
  e->children.push_back(std::move(first));
  return finish(e);
}

ExpressionPtr ExpressionParser::loop_target() {
  // As tight as a value, so that "in" is left alone.
  ExpressionPtr first = postfix();
  if (!at_symbol(",")) return first;
  auto tuple = around(ExpressionKind::kTuple, std::move(first));
  while (take_symbol(",")) tuple->children.push_back(postfix());
  return finish(tuple);
}

}  // namespace chainrule::numpy
