// What nlohmann's library calls ordered_json, and its exceptions as ours.
#include "base/json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/printable.h"

namespace chainrule {

using Native = nlohmann::ordered_json;

struct Json::Data {
  Native value;
};

namespace {

constexpr int kDeepest = 100;

// "[json.exception.type_error.302] type must be string" without the name of the exception.
std::string plain(const nlohmann::json::exception& error) {
  const std::string what = error.what();
  const std::size_t tag = what.starts_with('[') ? what.find("] ") : std::string::npos;
  return tag == std::string::npos ? what : what.substr(tag + 2);
}

template <typename F>
auto translated(F f) {
  try {
    return f();
  } catch (const nlohmann::json::exception& error) {
    throw JsonError(plain(error));
  }
}

// The library would cut 2.5 to 2 and wrap what does not fit.
template <typename T>
T whole(const Native& value) {
  bool fits = value.is_number_integer();
  if (value.is_number_unsigned()) {
    fits = value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<T>::max());
  } else if (fits) {
    const auto negative = value.get<std::int64_t>();
    fits =
        std::is_signed_v<T> && negative >= static_cast<std::int64_t>(std::numeric_limits<T>::min());
  }
  if (!fits) throw JsonError("expected a whole number, got " + value.dump());
  return value.get<T>();
}

void require_finite(const Native& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    throw JsonError("a number that is not finite cannot be written");
  }
  if (value.is_structured()) {
    for (const Native& element : value) require_finite(element);
  }
}

}  // namespace

Json::Json(Data data) : data_(std::make_unique<Data>(std::move(data))) {}
Json::Json(std::nullptr_t) : Json(Data{nullptr}) {}
Json::Json(bool value) : Json(Data{Native(value)}) {}
Json::Json(int value) : Json(Data{Native(value)}) {}
Json::Json(std::int64_t value) : Json(Data{Native(value)}) {}
Json::Json(std::uint64_t value) : Json(Data{Native(value)}) {}
Json::Json(double value) : Json(Data{Native(value)}) {}
Json::Json(const char* value) : Json(Data{Native(value)}) {}
Json::Json(std::string_view value) : Json(Data{Native(std::string(value))}) {}
Json::Json(const std::string& value) : Json(Data{Native(value)}) {}
Json::Json(const std::vector<std::string>& values) : Json(Data{Native(values)}) {}
Json::Json(const std::vector<std::int64_t>& values) : Json(Data{Native(values)}) {}
Json::Json(const std::vector<std::size_t>& values) : Json(Data{Native(values)}) {}
Json::Json(const std::vector<double>& values) : Json(Data{Native(values)}) {}
Json::Json(const std::set<std::string>& values) : Json(Data{Native(values)}) {}
Json::Json(const std::map<std::string, std::string>& values) : Json(Data{Native(values)}) {}

Json::Json(std::initializer_list<Json> elements) : Json(Data{Native::array()}) {
  bool pairs = true;
  for (const Json& element : elements) {
    const Native& value = element.data_->value;
    pairs = pairs && value.is_array() && value.size() == 2 && value[0].is_string();
  }
  Native& all = data_->value;
  if (pairs) all = Native::object();
  for (const Json& element : elements) {
    const Native& value = element.data_->value;
    if (pairs) {
      all[value[0].get<std::string>()] = value[1];
    } else {
      all.push_back(value);
    }
  }
}

Json::Json(const Json& other) : Json(Data{other.data_->value}) {}
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(Json other) noexcept {
  data_.swap(other.data_);
  return *this;
}
Json::~Json() = default;

Json Json::array() { return Json(Data{Native::array()}); }
Json Json::object() { return Json(Data{Native::object()}); }

Json Json::parse(std::string_view text) {
  std::vector<std::set<std::string>> names;
  const auto check = [&](int depth, Native::parse_event_t event, Native& parsed) {
    using Event = Native::parse_event_t;
    if (depth > kDeepest) throw JsonError("nested more than " + std::to_string(kDeepest) + " deep");
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end) names.pop_back();
    if (event == Event::key && !names.back().insert(parsed.get<std::string>()).second) {
      throw JsonError("names " + in_quotes(parsed.get<std::string>()) + " twice");
    }
    return true;
  };
  try {
    return Json(Data{Native::parse(text.begin(), text.end(), check)});
  } catch (const nlohmann::json::parse_error& error) {
    throw JsonError("not valid JSON at byte " + std::to_string(error.byte), error.byte);
  } catch (const nlohmann::json::exception& error) {
    throw JsonError("not valid JSON: " + plain(error));
  }
}

bool Json::is_null() const { return data_->value.is_null(); }
bool Json::is_object() const { return data_->value.is_object(); }
bool Json::is_array() const { return data_->value.is_array(); }
bool Json::is_string() const { return data_->value.is_string(); }
bool Json::is_number_unsigned() const { return data_->value.is_number_unsigned(); }

template <>
int Json::get() const {
  return whole<int>(data_->value);
}
template <>
std::int64_t Json::get() const {
  return whole<std::int64_t>(data_->value);
}
template <>
std::uint64_t Json::get() const {
  return whole<std::uint64_t>(data_->value);
}
template <>
std::vector<std::int64_t> Json::get() const {
  std::vector<std::int64_t> numbers;
  if (!is_array()) throw JsonError("expected an array of whole numbers");
  for (const Native& element : data_->value) numbers.push_back(whole<std::int64_t>(element));
  return numbers;
}
template <typename T>
T Json::get() const {
  return translated([&] { return data_->value.get<T>(); });
}
template bool Json::get() const;
template double Json::get() const;
template std::string Json::get() const;
template std::vector<double> Json::get() const;
template std::vector<std::string> Json::get() const;
template std::map<std::string, std::string> Json::get() const;

std::size_t Json::size() const { return data_->value.size(); }

bool Json::contains(std::string_view name) const {
  return is_object() && data_->value.contains(std::string(name));
}

Json Json::at(std::string_view name) const {
  if (!contains(name)) throw JsonError("\"" + std::string(name) + "\" is missing");
  return Json(Data{data_->value.at(std::string(name))});
}

Json Json::at(std::size_t index) const {
  return translated([&] { return Json(Data{data_->value.at(index)}); });
}

std::vector<Json> Json::elements() const {
  std::vector<Json> copies;
  if (!is_array()) return copies;
  for (const Native& element : data_->value) copies.push_back(Json(Data{element}));
  return copies;
}

std::vector<std::pair<std::string, Json>> Json::members() const {
  std::vector<std::pair<std::string, Json>> copies;
  if (!is_object()) return copies;
  for (const auto& [name, member] : data_->value.items()) {
    copies.emplace_back(name, Json(Data{member}));
  }
  return copies;
}

void Json::set(const std::string& name, const Json& value) {
  translated([&] { data_->value[name] = value.data_->value; });
}

void Json::push_back(const Json& element) {
  translated([&] { data_->value.push_back(element.data_->value); });
}

std::string Json::dump() const {
  require_finite(data_->value);
  return translated([&] { return data_->value.dump(); });
}

std::string Json::dump_leniently() const {
  return data_->value.dump(-1, ' ', false, Native::error_handler_t::replace);
}

}  // namespace chainrule
