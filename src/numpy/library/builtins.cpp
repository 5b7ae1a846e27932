// The table of the functions that are known, and how a rule takes its arguments.
#include <algorithm>

#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "numpy/eval/interpreter.h"

namespace chainrule::numpy {

const BuiltinTable& builtins() {
  static const BuiltinTable table = [] {
    BuiltinTable t;
    add_elementwise(t);
    add_reductions(t);
    add_products(t);
    add_creation(t);
    add_shapes(t);
    add_random(t);
    add_networks(t);
    add_python(t);
    return t;
  }();
  return table;
}

const Object* Arguments::take(std::string_view keyword) {
  if (next < positional.size()) return &positional[next++];
  return this->keyword(keyword);
}

const Object* Arguments::keyword(std::string_view keyword) {
  const auto found = keywords.find(keyword);
  if (found == keywords.end()) return nullptr;
  // A rule takes each argument once; the value moves among the positional ones, which stay.
  positional.insert(positional.begin() + static_cast<std::ptrdiff_t>(next),
                    std::move(found->second));
  keywords.erase(found);
  return &positional[next++];
}

const Object& Arguments::need(std::string_view keyword) {
  const Object* object = take(keyword);
  if (object == nullptr) fail(fmt::format("the argument {} is missing", keyword));
  return *object;
}

std::vector<Object> Arguments::rest() {
  std::vector<Object> all(positional.begin() + static_cast<std::ptrdiff_t>(next), positional.end());
  next = positional.size();
  return all;
}

Object Arguments::array_or_number(std::string_view keyword) {
  Object object = need(keyword);
  if (object.numeric()) return object;
  if (const Opaque* opaque = object.as<Opaque>()) {
    fail(fmt::format("{} is not read; give such data by shape, as in --shape X=3,2", opaque->what));
  }
  return in.to_array(call, object);
}

double Arguments::real(std::string_view keyword) { return in.real(call, need(keyword), keyword); }
double Arguments::real_or(std::string_view keyword, double otherwise) {
  const Object* object = take(keyword);
  return object == nullptr || object->nothing() ? otherwise : in.real(call, *object, keyword);
}
std::int64_t Arguments::integer(std::string_view keyword) {
  return in.integer(call, need(keyword), keyword);
}
std::int64_t Arguments::integer_or(std::string_view keyword, std::int64_t otherwise) {
  const Object* object = take(keyword);
  return object == nullptr || object->nothing() ? otherwise : in.integer(call, *object, keyword);
}
bool Arguments::flag(std::string_view keyword) {
  const Object* object = take(keyword);
  return object != nullptr && in.truth(call, *object);
}
Shape Arguments::shape(std::string_view keyword) { return in.shape(call, need(keyword), keyword); }

void Arguments::fail(const std::string& message) const {
  in.fail(call, in.text(call) + ": " + message);
}

}  // namespace chainrule::numpy
