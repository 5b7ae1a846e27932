// Statements and blocks.
#include <algorithm>
#include <array>
#include <utility>

#include "base/format.h"
#include "numpy/parse/parser.h"

namespace chainrule::numpy {
namespace {

// Statements that cannot be read, and what can be written instead.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kUnread = {{
    {"class", "a class is not read; write the forward pass as plain assignments"},
    {"while", "a while loop is not read; write one step, or a for loop over range(n)"},
    {"try", "\"try\" is not read; write the statements without it"},
    {"with", "\"with\" is not read; write the statements without it"},
    {"raise", "\"raise\" is not read; leave it out"},
    {"yield", "\"yield\" is not read; return the values"},
    {"async", "\"async\" is not read; write a plain def"},
    {"nonlocal", "\"nonlocal\" is not read; return the value instead"},
}};

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Block file() {
    Block block;
    while (peek().kind != TokenKind::kEnd) {
      if (peek().kind == TokenKind::kIndent) {
        fail(peek(), "this line is indented, but no line above opens a block");
      }
      statement(block);
    }
    return block;
  }

 private:
  std::shared_ptr<Statement> start(StatementKind kind) const {
    auto s = std::make_shared<Statement>();
    s->kind = kind;
    s->at = peek().at;
    return s;
  }

  void add(Block& block, std::shared_ptr<Statement> s) const {
    s->last_line = last_line();
    block.push_back(std::move(s));
  }

  Block body(std::string_view of) {
    if (!take_symbol(":")) unexpected(fmt::format("\":\" after {}", of));
    Block block;
    if (peek().kind != TokenKind::kNewline) {
      simple_line(block);
      return block;
    }
    take();
    if (peek().kind != TokenKind::kIndent) {
      unexpected(fmt::format("an indented block after {}", of));
    }
    if (++depth_ > 50) fail(peek(), "blocks are nested too deeply");
    take();
    while (peek().kind != TokenKind::kDedent && peek().kind != TokenKind::kEnd) statement(block);
    if (peek().kind == TokenKind::kDedent) take();
    --depth_;
    return block;
  }

  void statement(Block& block) {
    if (peek().kind == TokenKind::kName) {
      for (const auto& [word, message] : kUnread) {
        if (at_word(word)) fail(peek(), std::string(message));
      }
    }
    if (at_symbol("@")) fail(peek(), "a decorator is not read; leave it out");
    if (peek().kind == TokenKind::kIndent) {
      fail(peek(), "this line is indented deeper than the line above");
    }
    if (at_word("def")) return define(block);
    if (at_word("for")) return loop(block);
    if (at_word("if")) return condition(block);
    simple_line(block);
  }

  void define(Block& block) {
    auto s = start(StatementKind::kDefine);
    take();
    const std::string name = expect_name("the name of the function");
    expect("(", "after the function's name");
    const auto function = parameters(")");
    function->name = name;
    if (take_symbol("->")) expression();
    function->body = body("\"def\"");
    s->function = function;
    add(block, s);
  }

  void loop(Block& block) {
    auto s = start(StatementKind::kFor);
    take();
    s->targets.push_back(loop_target());
    if (!take_word("in")) unexpected("\"in\"");
    s->value = expressions();
    s->body = body("\"for\"");
    if (take_word("else")) s->other = body("\"else\"");
    add(block, s);
  }

  void condition(Block& block) {
    auto s = start(StatementKind::kIf);
    take();
    s->value = expression();
    s->body = body("\"if\"");
    if (at_word("elif")) {
      if (++depth_ > 100) fail(peek(), "too many \"elif\"");
      condition(s->other);
      --depth_;
    } else if (take_word("else")) {
      s->other = body("\"else\"");
    }
    add(block, s);
  }

  void simple_line(Block& block) {
    while (true) {
      simple(block);
      if (!take_symbol(";")) break;
      if (peek().kind == TokenKind::kNewline) break;
    }
    if (peek().kind == TokenKind::kEnd) return;
    if (peek().kind != TokenKind::kNewline) unexpected("the end of the statement");
    take();
  }

  void simple(Block& block) {
    if (at_word("import")) return import(block);
    if (at_word("from")) return import_from(block);
    auto s = start(StatementKind::kPass);
    if (take_word("return")) {
      s->kind = StatementKind::kReturn;
      if (peek().kind != TokenKind::kNewline && !at_symbol(";")) s->value = expressions();
    } else if (take_word("break")) {
      s->kind = StatementKind::kBreak;
    } else if (take_word("continue")) {
      s->kind = StatementKind::kContinue;
    } else if (at_word("pass") || at_word("global") || at_word("del") || at_word("assert")) {
      const std::string word = take().text;
      if (word == "global") {
        s->text = word;
        do s->names.push_back(expect_name("a name"));
        while (take_symbol(","));
      } else if (word != "pass") {
        expressions();
      }
    } else {
      return assignment(block);
    }
    add(block, s);
  }

  void assignment(Block& block) {
    auto s = start(StatementKind::kExpression);
    s->value = expressions();
    if (at_symbol(":") && s->value->kind == ExpressionKind::kName) {  // x: float = …
      take();
      expression();
      if (!at_symbol("=")) return;
    }
    if (at_symbol(":=")) fail(peek(), "\":=\" is not read; assign on a line of its own");
    if (at_symbol("=")) {
      s->kind = StatementKind::kAssign;
      while (at_symbol("=")) {
        check_target(*s->value);
        take();
        s->targets.push_back(s->value);
        s->value = expressions();
      }
    } else if (peek().kind == TokenKind::kSymbol && peek().text.size() > 1 &&
               peek().text.back() == '=' && peek().text != "==") {
      if (s->value->kind == ExpressionKind::kTuple) fail(peek(), "assign to one name only");
      check_target(*s->value);
      const std::string op = take().text;
      s->kind = StatementKind::kAugmented;
      s->text = op.substr(0, op.size() - 1);
      s->targets.push_back(s->value);
      s->value = expressions();
    }
    add(block, s);
  }

  void check_target(const Expression& target) const {
    switch (target.kind) {
      case ExpressionKind::kName:
      case ExpressionKind::kAttribute:
      case ExpressionKind::kSubscript: return;
      case ExpressionKind::kTuple:
      case ExpressionKind::kList:
        for (const ExpressionPtr& child : target.children) check_target(*child);
        return;
      default:
        fail(peek(), "expected a name or an element before \"=\"; for a comparison write ==");
    }
  }

  // a.b.c
  std::string dotted() {
    std::string name = expect_name("the name of a module");
    while (take_symbol(".")) name += "." + expect_name("the name of a module");
    return name;
  }

  void import(Block& block) {
    auto s = start(StatementKind::kImport);
    take();
    do {
      const std::string module = dotted();
      s->names.push_back(module);
      s->names.push_back(take_word("as") ? expect_name("a name after \"as\"")
                                         : module.substr(0, module.find('.')));
      if (s->names.back() != module && module.find('.') != std::string::npos &&
          s->names.back() == module.substr(0, module.find('.'))) {
        s->names[s->names.size() - 2] = s->names.back();
      }
    } while (take_symbol(","));
    add(block, s);
  }

  void import_from(Block& block) {
    auto s = start(StatementKind::kImportFrom);
    take();
    s->text = dotted();
    if (!take_word("import")) unexpected("\"import\"");
    const bool open = take_symbol("(");
    do {
      if (take_symbol("*")) break;
      if (open && at_symbol(")")) break;
      s->names.push_back(expect_name("a name to import"));
      s->names.push_back(take_word("as") ? expect_name("a name after \"as\"") : s->names.back());
    } while (take_symbol(","));
    if (open) expect(")", "after the names");
    add(block, s);
  }
};

}  // namespace

Block parse(std::string_view source, const std::string& file) {
  return Parser(tokens_of(source, file), file).file();
}

}  // namespace chainrule::numpy
