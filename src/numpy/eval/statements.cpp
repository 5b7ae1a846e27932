// Statements: what a name is from here on, which branch is taken, what a loop unrolls to.
#include <algorithm>
#include <new>

#include "base/format.h"
#include "chainrule/error.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {
namespace {

constexpr std::size_t kLoopLimit = 1000;  // statements that one loop may unroll to
constexpr std::size_t kStepLimit = 20000;
constexpr std::size_t kLongestExpression = 10000;  // that is kept with an assignment

std::size_t statement_count(const Block& block) {
  std::size_t count = 0;
  for (const StatementPtr& s : block) {
    if (s->kind == StatementKind::kDefine) continue;
    count += 1 + statement_count(s->body) + statement_count(s->other);
  }
  return count;
}

// `b` of "a, b = 1, 2"; the whole right side where it is no tuple.
const Expression* part(const Expression* written, std::size_t i, std::size_t count) {
  if (written == nullptr || written->kind != ExpressionKind::kTuple ||
      written->children.size() != count) {
    return written;
  }
  return written->children[i].get();
}

// "W1" of params["W1"], "hs_0" of hs[0].
std::string element_name(const std::string& object, const std::string& key) {
  std::string plain = key.size() > 1 && key.front() == '\'' ? key.substr(1, key.size() - 2) : "";
  if (!plain.empty()) return plain;
  std::string number = key;
  std::replace(number.begin(), number.end(), '-', 'm');
  return object + '_' + number;
}

}  // namespace

void Interpreter::run(const Block& program) {
  const Flow flow = block(program);
  if (flow != Flow::kOn) {
    fail_at(file_, statement_->at, "\"return\", \"break\" and \"continue\" have no meaning here");
  }
  for (std::size_t i = 0; i < assignments_.size(); ++i) {
    if (!assigned_arrays_[i] || assignments_[i].value) continue;
    try {
      assignments_[i].value = tape_.placed(assigned_arrays_[i]);
    } catch (const Error& error) {
      fail_at(file_, {assignments_[i].line, assignments_[i].column}, error.what());
    }
  }
}

Flow Interpreter::block(const Block& statements) {
  for (const StatementPtr& s : statements) {
    const Flow flow = statement(*s);
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

void Interpreter::count_step(const Statement& s) {
  if (++statements_ > kStepLimit) {
    refuse_at(file_, s.at,
              fmt::format("the program unrolls to more than {} statements; put one step of the "
                          "training at top level, without the loop",
                          kStepLimit));
  }
}

Flow Interpreter::statement(const Statement& s) {
  count_step(s);
  statement_ = &s;
  try {
    return run_statement(s);
  } catch (const LimitError& error) {
    if (error.line > 0) throw;
    refuse_at(file_, s.at, error.what());
  } catch (const DataError& error) {
    if (error.line > 0) throw;
    fail_at(file_, s.at, error.what());
  } catch (const std::bad_alloc&) {
    refuse_at(file_, s.at, "there is not enough memory for this line; give fewer rows");
  } catch (const Error& error) {
    fail_at(file_, s.at, error.what());
  }
}

Flow Interpreter::run_statement(const Statement& s) {
  switch (s.kind) {
    case StatementKind::kExpression:
      if (s.value->kind != ExpressionKind::kString) evaluate(*s.value);
      return Flow::kOn;
    case StatementKind::kAssign: assign(s); return Flow::kOn;
    case StatementKind::kAugmented: augment(s); return Flow::kOn;
    case StatementKind::kDefine: {
      Object function = made_function(s.function);
      scope_->names[s.function->name] = std::move(function);
      return Flow::kOn;
    }
    case StatementKind::kReturn:
      returned_ = s.value ? evaluate(*s.value) : Object();
      return Flow::kReturn;
    case StatementKind::kFor: return loop(s);
    case StatementKind::kIf: return block(truth(*s.value, evaluate(*s.value)) ? s.body : s.other);
    case StatementKind::kImport:
    case StatementKind::kImportFrom: import(s); return Flow::kOn;
    case StatementKind::kBreak: return Flow::kBreak;
    case StatementKind::kContinue: return Flow::kContinue;
    case StatementKind::kPass: break;
  }
  if (s.text == "global" && scope_ != globals_) {
    fail_at(file_, s.at, "\"global\" is not read; return the value and assign it at top level");
  }
  return Flow::kOn;
}

Flow Interpreter::loop(const Statement& s) {
  const Object over = evaluate(*s.value);
  const std::size_t statements = statement_count(s.body);
  std::size_t rounds = 0;
  if (const Range* range = over.as<Range>()) {
    rounds = static_cast<std::size_t>(range->size());
    if (rounds * statements > kLoopLimit) {
      refuse_at(file_, s.at,
                fmt::format("this loop would unroll to {} statements ({} rounds of {}), more than "
                            "{}; put one step at top level, without the loop",
                            rounds * statements, rounds, statements, kLoopLimit));
    }
  }
  const std::vector<Object> values = items(*s.value, over);
  if (values.size() * statements > kLoopLimit) {
    refuse_at(file_, s.at,
              fmt::format("this loop would unroll to {} statements, more than {}; put one step at "
                          "top level, without the loop",
                          values.size() * statements, kLoopLimit));
  }
  for (const Object& value : values) {
    statement_ = &s;
    const Expression& target = *s.targets[0];
    if (target.kind == ExpressionKind::kName) {
      scope_->names[target.text] = value;
    } else if (target.kind == ExpressionKind::kTuple) {
      const std::vector<Object> parts = items(*s.value, value);
      if (parts.size() != target.children.size()) {
        fail(target, fmt::format("{} names for {} values", target.children.size(), parts.size()));
      }
      for (std::size_t i = 0; i < parts.size(); ++i) {
        if (target.children[i]->kind == ExpressionKind::kName) {
          scope_->names[target.children[i]->text] = parts[i];
        } else if (target.children[i]->kind == ExpressionKind::kTuple) {
          const std::vector<Object> inner = items(*s.value, parts[i]);
          for (std::size_t k = 0; k < std::min(inner.size(), target.children[i]->children.size());
               ++k) {
            scope_->names[target.children[i]->children[k]->text] = inner[k];
          }
        }
      }
    } else {
      fail(target, "expected a name to loop with");
    }
    const Flow flow = block(s.body);
    if (flow == Flow::kReturn) return flow;
    if (flow == Flow::kBreak) return Flow::kOn;
  }
  return block(s.other);
}

void Interpreter::import(const Statement& s) {
  for (std::size_t i = 0; i + 1 < s.names.size(); i += 2) {
    const std::string& name = s.names[i];
    const std::string& alias = s.names[i + 1];
    if (s.kind == StatementKind::kImport) {
      scope_->names[alias] = {Module{name}};
    } else if (s.text == "numpy" || s.text == "numpy.random" || s.text == "math") {
      if (s.text == "numpy" && (name == "random" || name == "linalg")) {
        scope_->names[alias] = {Module{"numpy." + name}};
        continue;
      }
      const std::string full = (s.text == "numpy.random" ? "np.random." : "np.") + name;
      scope_->names[alias] = builtins().contains(full) ? Object{Builtin{full, nullptr}}
                                                       : Object{Opaque(s.text + "." + name)};
    } else if (s.text == "scipy.special" && name == "expit") {
      scope_->names[alias] = {Builtin{"sigmoid", nullptr}};
    } else if (!builtins().contains(name)) {
      scope_->names[alias] = {Opaque(s.text + "." + name)};
    }
  }
}

void Interpreter::assign(const Statement& s) {
  const Object value = evaluate(*s.value);
  for (const ExpressionPtr& target : s.targets) {
    statement_ = &s;
    assign_to(s, *target, value, s.value.get());
  }
}

void Interpreter::assign_to(const Statement& s, const Expression& target, Object value,
                            const Expression* written) {
  switch (target.kind) {
    case ExpressionKind::kName: {
      // What a program reads from a file is given by its shape.
      const auto given = options_.shapes.find(target.text);
      if (value.as<Opaque>() != nullptr && given != options_.shapes.end()) {
        value = tape_.undefined_source(target.text, given->second);
      }
      settle(value, target.text);
      record(target.text, value, false, written);
      record_items(target.text, value, written);
      scope_->names[target.text] = std::move(value);
      return;
    }
    case ExpressionKind::kTuple:
    case ExpressionKind::kList: {
      if (const Opaque* opaque = value.as<Opaque>()) {
        for (const ExpressionPtr& child : target.children) {
          assign_to(s, *child, Object{*opaque}, written);
        }
        return;
      }
      const std::vector<Object> parts = items(target, value);
      if (parts.size() != target.children.size()) {
        fail(target, fmt::format("{} names on the left, {} values on the right",
                                 target.children.size(), parts.size()));
      }
      for (std::size_t i = 0; i < parts.size(); ++i) {
        assign_to(s, *target.children[i], parts[i], part(written, i, parts.size()));
      }
      return;
    }
    case ExpressionKind::kSubscript: {
      const Object object = evaluate(*target.children[0]);
      const bool container = object.dict() != nullptr || object.list() != nullptr;
      if (!container) return set_element(target, value, "");
      const Object index = evaluate(*target.children[1]);
      const std::string key = key_of(*target.children[1], index);
      const std::string name = element_name(text(*target.children[0]), key);
      check_holds_itself(target, object, value);
      settle(value, name);
      record(name, value, false, written);
      if (Dict* dict = object.dict()) {
        dict->set(key, std::move(value));
        return;
      }
      List& list = *object.list();
      std::int64_t i = integer(*target.children[1], index, "the index");
      const auto size = static_cast<std::int64_t>(list.items.size());
      if (i < 0) i += size;
      if (i < 0 || i >= size) {
        fail(target, fmt::format("index {} of a list of {}", i, size));
      }
      list.items[static_cast<std::size_t>(i)] = std::move(value);
      return;
    }
    default: fail(target, "only names and elements are assigned to; use a plain name");
  }
}

// At top level a name is for good; inside a function it serves until the caller gives another.
void Interpreter::settle(Object& value, const std::string& name) {
  std::set<const void*> done;
  settle(value, name, done);
}

// `done` are the containers that were gone through: several may hold the same one.
void Interpreter::settle(Object& value, const std::string& name, std::set<const void*>& done) {
  if (List* list = value.list()) {
    if (list->tuple || !scope_->outermost || !done.insert(list).second) return;
    work(statement_->at, list->items.size());
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      if (list->items[i].array()) settle(list->items[i], name + "_" + std::to_string(i), done);
    }
    return;
  }
  if (Dict* dict = value.dict()) {
    const Depth depth(nesting_);
    if (nesting_ > kDeepestNesting) {
      refuse_at(file_, statement_->at, "dictionaries are nested too deeply here");
    }
    if (!done.insert(dict).second) return;
    work(statement_->at, dict->items.size());
    for (auto& [key, item] : dict->items) settle(item, element_name(name, key), done);
    return;
  }
  if (scope_->outermost) {
    tape_.settle(value, name);
    if (const ArrayPtr array = value.array()) {
      const bool own = !array->value || array->value.name() == name;
      if (array->hint.empty() || own) array->hint = name;
    }
    return;
  }
  const ArrayPtr array = value.array();
  if (!array) return;
  if (array->hint.empty()) array->hint = name;
  if (array->value && array->source.empty()) tape_.name(array->value, name, false);
}

// params = {"W1": …} gives values to the names of its keys.
void Interpreter::record_items(const std::string& name, const Object& value,
                               const Expression* written) {
  if (!scope_->outermost) return;
  if (const List* list = value.list(); list != nullptr && !list->tuple) {
    const bool each = written != nullptr && written->kind == ExpressionKind::kList &&
                      written->children.size() == list->items.size();
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      if (!list->items[i].array()) continue;
      record(name + "_" + std::to_string(i), list->items[i], false,
             each ? written->children[i].get() : written);
    }
    return;
  }
  const Dict* dict = value.dict();
  if (dict == nullptr) return;
  const bool literal = written != nullptr && written->kind == ExpressionKind::kDict &&
                       written->children.size() == 2 * dict->items.size();
  for (std::size_t i = 0; i < dict->items.size(); ++i) {
    const auto& [key, item] = dict->items[i];
    if (!item.numeric()) continue;
    record(element_name(name, key), item, false,
           literal ? written->children[2 * i + 1].get() : written);
  }
}

void Interpreter::record(const std::string& target, const Object& value, bool in_place,
                         const Expression* written) {
  constexpr std::size_t kStepsOfRecord = 5;
  work(statement_->at, kStepsOfRecord);
  NumpyAssignment& a = assignments_.emplace_back();
  a.target = target;
  if (written != nullptr) {
    const std::string_view source = source_of(*written);
    if (source.size() <= kLongestExpression) a.expression = source;
  }
  a.function = scope_->function;
  a.in_place = in_place;
  a.line = statement_->at.line;
  a.column = statement_->at.column;
  a.last_line = statement_->last_line;
  if (const Number* number = value.number()) a.value = number->named;
  assigned_arrays_.push_back(value.array());
  if (const ArrayPtr array = value.array()) a.value = array->value;
}

void Interpreter::augment(const Statement& s) {
  const Expression& target = *s.targets[0];
  if (target.kind == ExpressionKind::kSubscript) {
    const Object object = evaluate(*target.children[0]);
    if (object.array()) return set_element(target, evaluate(*s.value), s.text);
  } else if (target.kind != ExpressionKind::kName) {
    fail(target, "only names and elements are assigned to; use a plain name");
  }
  const Object before = evaluate(target);
  const Object value = evaluate(*s.value);
  statement_ = &s;
  if (List* list = before.list()) {
    if (s.text != "+") fail(target, "only += is read on a list");
    for (const Object& item : items(*s.value, value)) {
      check_holds_itself(target, before, item);
      list->items.push_back(item);
    }
    return;
  }
  Object after;
  try {
    after = arithmetic(target, s.text, before, value);
  } catch (const ShapeError& error) {
    fail(target, fmt::format("{} {}= {}: {}{}", text(target), s.text, text(*s.value), error.what(),
                             shapes_text(target, before, *s.value, value)));
  }
  const ArrayPtr array = before.array();
  if (!array || array->shape.empty()) {
    const std::size_t first = assignments_.size();
    assign_to(s, target, std::move(after), s.value.get());
    for (std::size_t i = first; i < assignments_.size(); ++i) assignments_[i].in_place = true;
    return;
  }
  const std::string name = changed_name(target, *array);
  change(target, array, after, name);
  record(name, {array}, true, s.value.get());
}

std::string Interpreter::changed_name(const Expression& e, const Array& array) const {
  const bool own = e.kind == ExpressionKind::kName && !names_.looped.contains(e.text);
  return own || array.hint.empty() ? text(e) : array.hint;
}

void Interpreter::change(const Expression& at, const ArrayPtr& array, const Object& next,
                         const std::string& name) {
  if (next.array() && next.array()->shape != array->shape) {
    fail(at,
         fmt::format("{} is {} and cannot become {} in place; write {} = {} …", text(at),
                     to_string(array->shape), to_string(next.array()->shape), text(at), text(at)));
  }
  if (array->kind != Kind::kReal && next.kind() == Kind::kReal) {
    fail(at, fmt::format("{} holds whole numbers, and NumPy refuses or cuts off real ones there; "
                         "make it real first, with {}.astype(float)",
                         text(at), text(at)));
  }
  if (array->base.lock()) {
    fail(at, fmt::format("{} is a part or another view of an array that is changed with it; write "
                         "{} = {} … or take a .copy()",
                         text(at), text(at), text(at)));
  }
  for (const std::weak_ptr<Array>& view : array->views) {
    if (const ArrayPtr v = view.lock()) v->changed_at = statement_->at.line;
  }
  array->views.clear();
  if (const ArrayPtr result = next.array()) {
    array->known = result->known;
    array->value = result->value;
  } else {  // a known number is the whole of a known array of one element
    array->known = std::make_shared<const std::vector<double>>(1, next.number()->value);
    array->value = {};
  }
  if (array->known && !array->value && !array->pending.empty()) return;  // still being filled in
  array->source.clear();
  array->pending.clear();
  Object self{array};
  settle(self, name);
}

void Interpreter::append(const Expression& call, const Object& to, Object item) {
  check_holds_itself(call, to, item);
  List& list = *to.list();
  const Expression& method = *call.children[0];
  const ArrayPtr array = item.array();
  const bool unnamed =
      array && (!array->value || array->value.name().empty()) && array->pending.empty();
  if (unnamed && method.kind == ExpressionKind::kAttribute && call.children.size() == 2) {
    const std::string name = text(*method.children[0]) + "_" + std::to_string(list.items.size());
    settle(item, name);
    record(name, item, false, call.children[1].get());
  }
  list.items.push_back(std::move(item));
}

void Interpreter::change_by_call(const Expression& call, const Expression& target,
                                 const ArrayPtr& array, const Object& next) {
  const std::string name = changed_name(target, *array);
  change(target, array, next, name);
  record(name, {array}, true, &call);
}

}  // namespace chainrule::numpy
