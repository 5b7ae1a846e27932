// The loops that compute one value of a graph in C.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "chainrule/graph.h"
#include "explain/emit/c_code.h"
#include "explain/emit/c_plan.h"
#include "graph/op.h"

namespace chainrule {

class CLoops {
 public:
  /// names: the array of each node that has one.  is_free(name): no array is called so.
  CLoops(const CPlan& plan, const std::vector<std::string>& names,
         std::function<bool(const std::string&)> is_free);

  /// Computes `v` into its array.
  ///
  /// throws  Error when there is no way to write its op in C.
  void compute(const Value& v, CBlock& block);
  /// Computes `v` into the array called `target`, of v's shape: an update, or a second name.
  void compute_into(const std::string& target, const Value& v, CBlock& block);

 private:
  using Index = std::vector<std::string>;  // one expression an axis

  struct Expression {
    std::string text;
    Binding binding = Binding::kAtom;
    bool is_simple = true;  // costs nothing to read twice
  };

  std::string fresh(const std::string& wanted);
  Expression local(const std::string& wanted, const std::string& value, CBlock& block);
  std::string open(std::int64_t extent, CBlock*& block);
  Index open_all(const Shape& shape, CBlock*& block);

  Expression read(const Value& v, const Index& at, CBlock& block);
  Expression meaning(const Value& v, const Index& at, CBlock& block);
  Expression view(const Node& node, const Index& at, CBlock& block);
  static Expression scaled(const Expression& x, double factor);
  Expression elementwise(const Node& node, const Index& at, CBlock& block);
  static std::string operand(const Expression& e, Binding outer, bool first, char before);
  Expression product(const Node& node, const Index& at, CBlock& block);
  Expression reduction(const Node& node, const Index& at, CBlock& block);
  Expression element(const Value& v, const Index& at) const;

  void assign(const std::string& target, const Value& v, CBlock& block);
  void argmax(const Node& node, const std::string& target, CBlock& block);
  void concatenate(const Node& node, const std::string& target, CBlock& block);
  void pad(const Node& node, const std::string& target, CBlock& block);
  void windows(const Node& node, const std::string& target, CBlock& block);
  void scatter_add(const Node& node, const std::string& target, CBlock& block);

  const CPlan& plan_;
  const std::vector<std::string>& names_;
  std::function<bool(const std::string&)> is_free_;
  std::vector<std::string> in_use_;  // loop variables and locals of the statement being written
};

/// x[i][0]
std::string c_element(const std::string& array, const std::vector<std::string>& at);

/// "real" or "int32_t".
std::string c_type(DType dtype);

}  // namespace chainrule
