// What the page is made of: the words of its stages and how each number came about.
#pragma once

#include "base/json.h"
#include "chainrule/trace.h"

namespace chainrule {

/// A stage of the slider. `lines` names the values that come about in it and `mark` the chief one.
struct PageStage {
  std::string kind;  // input | forward | loss | gradient | backward | update
  std::size_t layer = 0;
  std::string mark;
  std::string title;
  std::string text;
  std::vector<std::string> lines;
};

/// The stages in order.
std::vector<PageStage> page_stages(const Trace& trace);

/// How one number of a value comes about, as far as it can be said in a line; null where it cannot.
///
///     {op: elementwise, of: [names]}   the formula, number by number
///     {op: softmax, of}                along a row
///     {op: terms, parts}               a sum of parts, each of them one of
///         {kind: product, a, at, b, bt}    of matrices, either of them transposed
///         {kind: rows, of}                 the sum over the rows
///         {kind: bias, of}                 one number for each column
///         {kind: same, of}                 the number at the same place
Json page_recipe(const TraceValue& value);

}  // namespace chainrule
