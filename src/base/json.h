// JSON as a value: read, asked, made and written. The library behind it, nlohmann's, is included by
// one file only, because its header takes longer to compile than most files that need a little
// JSON.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chainrule {

/// Text that is not JSON, or a value that is not what was asked for. `byte` counts from 1 in the
/// text, 0 where there is none.
class JsonError : public std::runtime_error {
 public:
  explicit JsonError(const std::string& message, std::size_t at_byte = 0)
      : std::runtime_error(message), byte(at_byte) {}
  std::size_t byte;
};

/// A value that owns all that is in it: what at() and elements() give are copies.
class Json {
 public:
  Json(std::nullptr_t = nullptr);
  Json(bool value);
  Json(int value);
  Json(std::int64_t value);
  Json(std::uint64_t value);
  Json(double value);
  Json(const char* value);
  Json(std::string_view value);
  Json(const std::string& value);
  Json(const std::vector<std::string>& values);
  Json(const std::vector<std::int64_t>& values);
  Json(const std::vector<std::size_t>& values);
  Json(const std::vector<double>& values);
  Json(const std::set<std::string>& values);
  Json(const std::map<std::string, std::string>& values);
  /// An object when every element is a pair whose first is a text, as in {{"a", 1}, {"b", 2}}; else
  /// an array.
  Json(std::initializer_list<Json> elements);
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(Json other) noexcept;
  ~Json();

  static Json array();
  static Json object();

  /// throws  JsonError with the byte for text that is not JSON, that names a member of an object
  ///         twice or nests more than 100 deep.
  static Json parse(std::string_view text);

  bool is_null() const;
  bool is_object() const;
  bool is_array() const;
  bool is_string() const;
  bool is_number_unsigned() const;  // a whole number that is not negative

  /// The value as a T: bool, int, std::int64_t, std::uint64_t, double, std::string, a vector of
  /// std::string, std::int64_t or double, a map of texts.
  ///
  /// throws  JsonError when it is something else, or does not fit.
  template <typename T>
  T get() const;

  /// The number of elements or members; 0 for null.
  std::size_t size() const;
  bool contains(std::string_view name) const;
  /// A member or an element.
  ///
  /// throws  JsonError when there is none.
  Json at(std::string_view name) const;
  Json at(std::size_t index) const;
  /// The elements of an array; none of anything else.
  std::vector<Json> elements() const;
  /// The members of an object in the order in which they were written; none of anything else.
  std::vector<std::pair<std::string, Json>> members() const;

  /// Makes or replaces a member; null becomes an object.
  void set(const std::string& name, const Json& value);
  void push_back(const Json& element);

  /// The text on one line, numbers with the digits that read back exactly.
  ///
  /// throws  JsonError for a number that is not finite and for text that is not UTF-8: JSON has
  ///         neither.
  std::string dump() const;
  /// The same for what is looked at only: null for such a number, � for such bytes.
  std::string dump_leniently() const;

 private:
  struct Data;
  explicit Json(Data data);
  std::unique_ptr<Data> data_;
};

}  // namespace chainrule
