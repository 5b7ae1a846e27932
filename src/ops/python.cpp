// Axes, shapes, ranges and widths as Python writes them.
#include "ops/python.h"

#include <numeric>

namespace chainrule {
namespace {

bool all_axes(const Node& n) { return n.integers("axes").size() == n.inputs[0].shape().size(); }

std::string axes_text(const std::vector<std::int64_t>& axes) {
  return axes.size() == 1 ? std::to_string(axes[0]) : python_tuple(axes);
}

}  // namespace

std::string python_tuple(const std::vector<std::int64_t>& integers) {
  std::string text = "(";
  for (std::size_t i = 0; i < integers.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(integers[i]);
  }
  return text + (integers.size() == 1 ? ",)" : ")");
}

bool swaps_last_axes(const std::vector<std::int64_t>& permutation) {
  const std::size_t rank = permutation.size();
  if (rank < 2) return false;
  std::vector<std::int64_t> expected(rank);
  std::iota(expected.begin(), expected.end(), 0);
  std::swap(expected[rank - 1], expected[rank - 2]);
  return permutation == expected;
}

Pattern numpy_reduction(const Node& n, const std::string& opening) {
  std::string text = opening;
  if (!all_axes(n)) text += ", axis=" + axes_text(n.integers("axes"));
  if (n.flag("keep_axes")) text += ", keepdims=True";
  return {text + ")"};
}

Pattern torch_reduction(const Node& n, const std::string& opening) {
  std::string text = opening;
  if (!all_axes(n) || n.flag("keep_axes")) text += ", dim=" + axes_text(n.integers("axes"));
  if (n.flag("keep_axes")) text += ", keepdim=True";
  return {text + ")"};
}

std::string latex_over_axes(const Node& n, const std::string& symbol) {
  if (all_axes(n)) return symbol;
  std::string text = symbol + R"(_{\text{axis )";
  const std::vector<std::int64_t>& axes = n.integers("axes");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(axes[i]);
  }
  return text + "}}";
}

std::string python_ranges(const Node& n) {
  const Shape& x = n.inputs[0].shape();
  const std::vector<std::int64_t>& starts = n.integers("starts");
  const std::vector<std::int64_t>& stops = n.integers("stops");
  std::string text;
  std::size_t written = 0;  // axes at the end that are taken whole are not written
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (starts[i] != 0 || stops[i] != x[i]) written = i + 1;
  }
  for (std::size_t i = 0; i < written; ++i) {
    text += i == 0 ? "" : ", ";
    if (starts[i] != 0) text += std::to_string(starts[i]);
    text += ":";
    if (stops[i] != x[i]) text += std::to_string(stops[i]);
  }
  return text.empty() ? "..." : text;
}

std::string python_widths(const Node& n) {
  const std::vector<std::int64_t>& before = n.integers("before");
  const std::vector<std::int64_t>& after = n.integers("after");
  std::string text = "(";
  for (std::size_t i = 0; i < before.size(); ++i) {
    text += (i == 0 ? "" : ", ") + python_tuple({before[i], after[i]});
  }
  return text + (before.size() == 1 ? ",)" : ")");
}

std::string paired_axes(std::size_t rank) {
  std::vector<std::int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  const std::string one = python_tuple(axes);
  return "(" + one + ", " + one + ")";
}

}  // namespace chainrule
