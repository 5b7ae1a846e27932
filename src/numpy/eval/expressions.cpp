// Expressions: names, attributes, calls and what they are worth.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/format.h"
#include "base/nearest.h"
#include "chainrule/error.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

constexpr std::size_t kDeepestCall = 60;
constexpr std::size_t kDeepestExpression = 1000;

// Calls that only show something, whose arguments need not be understood.
bool only_shows(std::string_view name) {
  return name == "print" || name == "display" || name == "input";
}

}  // namespace

void Interpreter::fail(const Expression& at, const std::string& message) const {
  fail_at(file_, at.at, message);
}

std::string Interpreter::text(const Expression& e) const { return shown(source_of(e)); }

Object Interpreter::evaluate(const Expression& e) {
  const Depth depth(eval_depth_);
  work(e, 1);
  if (eval_depth_ > kDeepestExpression) {
    refuse_at(file_, e.at, "this expression is nested too deeply; split it");
  }
  switch (e.kind) {
    case ExpressionKind::kName: return name(e);
    case ExpressionKind::kInteger: return {Number{Kind::kInteger, e.number, {}, nullptr}};
    case ExpressionKind::kReal: return numpy::real(e.number);
    case ExpressionKind::kString: return string(e);
    case ExpressionKind::kEllipsis: return {Opaque("...")};
    case ExpressionKind::kTuple:
    case ExpressionKind::kList: {
      auto list = std::make_shared<List>();
      list->tuple = e.kind == ExpressionKind::kTuple;
      for (const ExpressionPtr& child : e.children) list->items.push_back(evaluate(*child));
      return {list};
    }
    case ExpressionKind::kDict: {
      auto dict = std::make_shared<Dict>();
      for (std::size_t i = 0; i + 1 < e.children.size(); i += 2) {
        const std::string key = key_of(*e.children[i], evaluate(*e.children[i]));
        dict->set(key, evaluate(*e.children[i + 1]));
      }
      return {dict};
    }
    case ExpressionKind::kUnary: return unary(e);
    case ExpressionKind::kBinary: return binary(e);
    case ExpressionKind::kCompare: return compare(e);
    case ExpressionKind::kConditional:
      return evaluate(truth(*e.children[1], evaluate(*e.children[1])) ? *e.children[0]
                                                                      : *e.children[2]);
    case ExpressionKind::kCall: return call(e);
    case ExpressionKind::kAttribute: return attribute(e);
    case ExpressionKind::kSubscript: return subscript_expression(e);
    case ExpressionKind::kSlice: fail(e, "a slice has its place inside [ ] only");
    case ExpressionKind::kLambda: return made_function(e.function);
    case ExpressionKind::kListOf: return list_of(e);
  }
  fail(e, "this is not read");
}

Object Interpreter::made_function(std::shared_ptr<const FunctionSyntax> syntax) {
  auto function = std::make_shared<Function>();
  function->syntax = std::move(syntax);
  function->scope = scope_;
  if (scopes_.back() != scope_) scopes_.push_back(scope_);
  for (const ExpressionPtr& d : function->syntax->defaults) {
    function->defaults.push_back(d ? evaluate(*d) : Object());
  }
  return {std::move(function)};
}

// f"W{i}" is read where the braces hold a name that is a whole number or a text.
Object Interpreter::string(const Expression& e) {
  const std::string_view prefix = source_of(e).substr(0, 2);
  if (prefix.find_first_of("fF") == std::string_view::npos ||
      e.text.find('{') == std::string::npos) {
    return new_text(e, e.text);
  }
  std::string result;
  for (std::size_t i = 0; i < e.text.size(); ++i) {
    if (e.text[i] != '{') {
      result += e.text[i];
      continue;
    }
    const std::size_t end = e.text.find('}', i);
    if (end == std::string::npos) break;
    const Object* value = lookup(e.text.substr(i + 1, end - i - 1));
    if (value != nullptr && value->number() != nullptr && value->number()->kind == Kind::kInteger) {
      result += fmt::format("{:.0f}", value->number()->value);
    } else if (value != nullptr && value->text() != nullptr) {
      result += *value->text();
      if (result.size() > kLongestText) break;  // new_text() refuses it
    } else {
      result += e.text.substr(i, end - i + 1);
    }
    i = end;
  }
  return new_text(e, std::move(result));
}

Object Interpreter::list_of(const Expression& e) {
  auto list = std::make_shared<List>();
  const std::vector<Object> all = items(*e.children[2], evaluate(*e.children[2]));
  if (all.size() > 1000) fail(e, "a list of more than 1000 computed items is not read");
  for (const Object& item : all) {
    const Expression& target = *e.children[1];
    if (target.kind == ExpressionKind::kTuple) {
      const std::vector<Object> parts = items(target, item);
      for (std::size_t i = 0; i < std::min(parts.size(), target.children.size()); ++i) {
        scope_->names[target.children[i]->text] = parts[i];
      }
    } else {
      scope_->names[target.text] = item;
    }
    if (e.children[3] && !truth(*e.children[3], evaluate(*e.children[3]))) continue;
    list->items.push_back(evaluate(*e.children[0]));
  }
  return {list};
}

const Object* Interpreter::lookup(const std::string& name) const {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    const auto found = scope->names.find(name);
    if (found != scope->names.end()) return &found->second;
  }
  return nullptr;
}

Object Interpreter::name(const Expression& e) {
  if (e.text == "True") return boolean(true);
  if (e.text == "False") return boolean(false);
  if (e.text == "None") return {};
  if (e.text == "__name__") return {Text("__main__")};
  if (const Object* found = lookup(e.text)) {
    if (const ArrayPtr array = found->array(); array && array->changed_at > 0) {
      fail(e, fmt::format("{} shares its numbers with an array that line {} changes in place; take "
                          "a .copy() where {} is made, or make it after that line",
                          e.text, array->changed_at, e.text));
    }
    return *found;
  }
  const auto given = options_.shapes.find(e.text);
  if (given != options_.shapes.end()) {
    Object source = tape_.undefined_source(e.text, given->second);
    source.array()->hint = e.text;
    globals_->names[e.text] = source;
    return source;
  }
  if (builtins().contains(e.text)) return {Builtin{e.text, nullptr}};
  if (e.text == "np" || e.text == "numpy") return {Module{"numpy"}};
  if (e.text == "math") return {Module{"math"}};
  return undefined(e);
}

std::vector<std::string> Interpreter::known_names() const {
  std::vector<std::string> known;
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [name, object] : scope->names) known.push_back(name);
  }
  for (const auto& [name, rule] : builtins()) {
    if (name.find('.') == std::string::npos) known.push_back(name);
  }
  return known;
}

Object Interpreter::undefined(const Expression& e) {
  // Every other letter is one mistake away from a name of one letter.
  const std::string near = e.text.size() < 2 ? "" : nearest(e.text, known_names());
  fail(e, fmt::format("{} is not defined{}; give its shape with --shape {}=3,2, or assign it above",
                      e.text, near.empty() ? "" : fmt::format("; did you mean {}?", near), e.text));
}

Object Interpreter::attribute(const Expression& e) {
  const Object object = evaluate(*e.children[0]);
  if (const Module* module = object.as<Module>()) return module_attribute(e, module->path);
  if (const Opaque* opaque = object.as<Opaque>()) return {Opaque(opaque->what + "." + e.text)};
  if (object.as<std::shared_ptr<RandomState>>() != nullptr &&
      builtins().contains("np.random." + e.text)) {
    return {Builtin{"np.random." + e.text, std::make_shared<Object>(object)}};
  }
  if (object.numeric()) return array_attribute(e, object);
  const std::string method = (object.list() != nullptr   ? "list."
                              : object.dict() != nullptr ? "dict."
                              : object.text() != nullptr ? "str."
                                                         : "?.") +
                             e.text;
  if (builtins().contains(method)) return {Builtin{method, std::make_shared<Object>(object)}};
  if (const Builtin* builtin = object.as<Builtin>()) {  // np.add.at
    const std::string name = builtin->name + "." + e.text;
    if (builtins().contains(name)) return {Builtin{name, nullptr}};
  }
  if (object.text() != nullptr) return {Opaque("a string")};
  fail(e, fmt::format("{} has no attribute {} that is read", describe(object), e.text));
}

Object Interpreter::module_attribute(const Expression& e, const std::string& path) {
  const std::string& name = e.text;
  if (path == "numpy" && (name == "random" || name == "linalg")) return {Module{"numpy." + name}};
  if (path != "numpy" && path != "numpy.random" && path != "numpy.linalg" && path != "math") {
    return {Opaque(path + "." + name)};
  }
  if (name == "pi") return numpy::real(3.141592653589793);
  if (name == "e") return numpy::real(2.718281828459045);
  if (name == "inf") return numpy::real(INFINITY);
  if (name == "nan") return numpy::real(NAN);
  if (name == "newaxis") return {};
  const std::string prefix = path == "numpy.random"   ? "np.random."
                             : path == "numpy.linalg" ? "np.linalg."
                                                      : "np.";
  if (builtins().contains(prefix + name)) return {Builtin{prefix + name, nullptr}};
  if (name.starts_with("float") || name.starts_with("int") || name.starts_with("uint") ||
      name == "bool_" || name == "double") {
    return {Builtin{name.find("int") != std::string::npos ? "int" : "float", nullptr}};
  }
  if (name == "set_printoptions" || name == "errstate" || name == "seterr") return {Opaque(name)};
  std::vector<std::string> known;
  for (const auto& [full, rule] : builtins()) {
    if (full.starts_with(prefix)) known.push_back(full);
  }
  static const std::map<std::string, std::string, std::less<>> kInstead = {
      {"einsum", "write the product with @ and .T"},
      {"tensordot", "write the product with @ and .reshape"},
      {"prod", "write the product with *"},
      {"cumsum", "write the sums with a matrix of ones, np.where and @"},
      {"arctan", "there are np.tanh, np.exp, np.log and np.sqrt"},
      {"load", "give the data by shape, as in --shape X=3,2"},
      {"loadtxt", "give the data by shape, as in --shape X=3,2"},
      {"genfromtxt", "give the data by shape, as in --shape X=3,2"},
      {"inv", "write the gradient step instead"},
      {"binomial", "write (np.random.rand(3, 2) < p)"},
  };
  if (const auto found = kInstead.find(name); found != kInstead.end()) {
    if (name.starts_with("load") || name == "genfromtxt") return {Opaque(prefix + name)};
    fail(e, fmt::format("{} is not read; {}", text(e), found->second));
  }
  const std::string near = nearest(prefix + name, known);
  if (name == "default_rng" || name == "Generator") {
    fail(e,
         "np.random.default_rng is not read; write np.random.seed(0) and np.random.randn(3, 2), "
         "whose numbers are known");
  }
  fail(e, fmt::format("{} is not read{}", text(e),
                      near.empty() ? "; write it with sums, products, np.exp, np.log, np.where and "
                                     "the like"
                                   : fmt::format("; did you mean {}?", near)));
}

Object Interpreter::call(const Expression& e) {
  const Expression& callee = *e.children[0];
  if (callee.kind == ExpressionKind::kName && only_shows(callee.text) &&
      lookup(callee.text) == nullptr) {
    return {};
  }
  const Object function = evaluate(callee);
  if (const Opaque* opaque = function.as<Opaque>()) return {Opaque(opaque->what + "(…)")};
  std::vector<Object> arguments;
  for (std::size_t i = 1; i < e.children.size(); ++i) arguments.push_back(evaluate(*e.children[i]));
  return call_object(e, function, std::move(arguments), e.keywords);
}

Object Interpreter::call_object(const Expression& e, const Object& function,
                                std::vector<Object> arguments, std::vector<std::string> keywords) {
  if (const auto* defined = function.as<std::shared_ptr<Function>>()) {
    return call_function(e, **defined, std::move(arguments), std::move(keywords));
  }
  const Builtin* builtin = function.as<Builtin>();
  if (builtin == nullptr) {
    fail(e, fmt::format("{} is {}, no function", text(*e.children[0]), describe(function)));
  }
  Arguments given(*this, e, builtin->name);
  if (builtin->self) given.positional.push_back(*builtin->self);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (keywords[i].empty()) {
      given.positional.push_back(std::move(arguments[i]));
    } else {
      given.keywords[keywords[i]] = std::move(arguments[i]);
    }
  }
  try {
    Object result = builtins().find(builtin->name)->second(given);
    if (given.next < given.positional.size()) {
      given.fail("more arguments than are read here");
    }
    for (const auto& [keyword, value] : given.keywords) {
      if (keyword == "dtype" || keyword == "copy" || keyword == "order") continue;
      given.fail(fmt::format("the argument {}= is not read here", keyword));
    }
    return result;
  } catch (const ShapeError& error) {
    fail(e, fmt::format("{}: {}{}", text(e), error.what(), operands_text(e)));
  } catch (const UsageError& error) {
    fail(e, fmt::format("{}: {}", text(e), error.what()));
  }
}

// "; X is [3, 2], W is [4, 3]"
std::string Interpreter::operands_text(const Expression& e) const {
  std::string result;
  const auto add = [&](const Expression& part) {
    if (part.kind != ExpressionKind::kName) return;
    const Object* object = lookup(part.text);
    if (object == nullptr || !object->array()) return;
    result += fmt::format("{} {} is {}", result.empty() ? ";" : ",", part.text,
                          to_string(object->array()->shape));
  };
  for (const ExpressionPtr& child : e.children) {
    if (!child) continue;
    add(*child);
    if (child->kind == ExpressionKind::kAttribute || child->kind == ExpressionKind::kList ||
        child->kind == ExpressionKind::kTuple) {
      for (const ExpressionPtr& part : child->children) add(*part);
    }
  }
  return result;
}

Object Interpreter::call_function(const Expression& e, const Function& function,
                                  std::vector<Object> arguments,
                                  std::vector<std::string> keywords) {
  const Depth depth(depth_);
  const FunctionSyntax& syntax = *function.syntax;
  if (depth_ > kDeepestCall) {
    refuse_at(file_, e.at, fmt::format("{} calls itself too deeply", syntax.name));
  }
  auto scope = std::make_shared<Scope>();
  scope->parent = function.scope;
  scope->function = syntax.name;
  // A program whose whole text stands in main() is at top level there.
  scope->outermost = scope_->outermost && syntax.parameters.empty() && syntax.name == "main";
  std::size_t position = 0;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string parameter = keywords[i];
    if (parameter.empty()) {
      if (position >= syntax.parameters.size()) {
        fail(e, fmt::format("{} takes {} arguments, got {}", syntax.name, syntax.parameters.size(),
                            arguments.size()));
      }
      parameter = syntax.parameters[position++];
    } else if (std::find(syntax.parameters.begin(), syntax.parameters.end(), parameter) ==
               syntax.parameters.end()) {
      fail(e, unknown_name("argument of " + syntax.name, parameter, syntax.parameters));
    }
    scope->names[parameter] = std::move(arguments[i]);
  }
  for (std::size_t i = 0; i < syntax.parameters.size(); ++i) {
    if (scope->names.contains(syntax.parameters[i])) continue;
    if (!syntax.defaults[i]) {
      fail(e, fmt::format("{} needs the argument {}", syntax.name, syntax.parameters[i]));
    }
    scope->names[syntax.parameters[i]] = function.defaults[i];
  }
  const std::shared_ptr<Scope> caller = scope_;
  const Statement* statement = statement_;
  scope_ = scope;
  Object result;
  if (syntax.result) {
    result = evaluate(*syntax.result);
  } else if (block(syntax.body) == Flow::kReturn) {
    result = std::move(returned_);
  }
  scope_ = caller;
  statement_ = statement;
  return result;
}

}  // namespace chainrule::numpy
