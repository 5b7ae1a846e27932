// The values of a program: how they are shared, and how long chains of them are taken apart.
#include "numpy/eval/value.h"

#include <iterator>
#include <utility>

namespace chainrule::numpy {
namespace {

constexpr std::size_t kLongestName = 80;  // of what is not read

void move_items(std::vector<Object>& from, std::vector<Object>& to) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  from.clear();
}

std::vector<Object> values_of(Dict& dict) {
  std::vector<Object> values;
  for (auto& [key, value] : dict.items) values.push_back(std::move(value));
  dict.items.clear();
  return values;
}

// The T that only `object` holds; null when it holds none, or others do too.
template <typename T>
T* sole(Object& object) {
  auto* held = std::get_if<std::shared_ptr<T>>(&object.is);
  return held != nullptr && held->use_count() == 1 ? held->get() : nullptr;
}

// Lets the objects go, and what only they hold, one after another.
void take_apart(std::vector<Object> open) {
  while (!open.empty()) {
    Object object = std::move(open.back());
    open.pop_back();
    if (List* list = sole<List>(object)) move_items(list->items, open);
    if (Function* function = sole<Function>(object)) move_items(function->defaults, open);
    if (Dict* dict = sole<Dict>(object)) {
      std::vector<Object> values = values_of(*dict);
      move_items(values, open);
    }
    auto* builtin = std::get_if<Builtin>(&object.is);
    if (builtin != nullptr && builtin->self.use_count() == 1) {
      open.push_back(std::move(*builtin->self));
    }
  }
}

}  // namespace

void Number::add_sources(const Number& other) {
  if (!other.sources || other.sources->empty()) return;
  if (!sources || sources->empty()) {
    sources = other.sources;
    return;
  }
  std::vector<std::string> all = *sources;
  all.insert(all.end(), other.sources->begin(), other.sources->end());
  sources = std::make_shared<const std::vector<std::string>>(std::move(all));
}

List::~List() { take_apart(std::move(items)); }
Dict::~Dict() { take_apart(values_of(*this)); }
Function::~Function() { take_apart(std::move(defaults)); }

Object* Dict::find(const std::string& key) {
  const auto place = places_.find(key);
  return place == places_.end() ? nullptr : &items[place->second].second;
}

void Dict::set(const std::string& key, Object value) {
  if (Object* known = find(key)) {
    *known = std::move(value);
    return;
  }
  places_.emplace(key, items.size());
  items.emplace_back(key, std::move(value));
}

Opaque::Opaque(std::string name) : what(std::move(name)) {
  if (what.size() <= kLongestName) return;
  std::size_t end = kLongestName;
  while (end > 0 && (what[end] & 0xC0) == 0x80) --end;  // not in the middle of a character
  what.resize(end);
  what += "…";
}

}  // namespace chainrule::numpy
