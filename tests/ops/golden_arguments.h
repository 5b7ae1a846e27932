// How a golden case is called.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "chainrule/graph.h"

namespace chainrule {

using Values = std::vector<Value>;

// The arguments of one case. What the builder never asked for is a misspelled name.
class Arguments {
 public:
  explicit Arguments(const nlohmann::json& values) : values_(values) {}

  bool has(const char* name) const { return values_.contains(name) && (asked_.insert(name), true); }
  double real(const char* name) const { return get<double>(name); }
  std::int64_t integer(const char* name) const { return get<std::int64_t>(name); }
  Shape integers(const char* name) const { return get<Shape>(name); }
  Shape axes() const { return has("axes") ? integers("axes") : Shape{}; }
  void set(double& option, const char* name) const {
    if (has(name)) option = real(name);
  }
  void set(bool& option, const char* name) const {
    if (has(name)) option = integer(name) != 0;
  }
  bool all_asked() const { return asked_.size() == values_.size(); }

 private:
  template <typename T>
  T get(const char* name) const {
    asked_.insert(name);
    return values_.at(name).get<T>();
  }

  const nlohmann::json& values_;
  mutable std::set<std::string> asked_;
};

using Build = std::function<Values(Graph&, const Values&, const Arguments&)>;

}  // namespace chainrule
