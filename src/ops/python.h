// How ops spell their attributes in Python, and in LaTeX where it needs more than a pattern.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/op.h"

namespace chainrule {

/// "(2, 3)", "(3,)", "()".
std::string python_tuple(const std::vector<std::int64_t>& integers);

/// True when the permutation swaps the last two axes and nothing else.
bool swaps_last_axes(const std::vector<std::int64_t>& permutation);

/// "np.sum({0}, axis=0, keepdims=True)" of "np.sum({0}", by the attributes `axes` and `keep_axes`.
Pattern numpy_reduction(const Node& n, const std::string& opening);
/// The same in PyTorch's words, where an axis is a dim.
Pattern torch_reduction(const Node& n, const std::string& opening);
/// `\sum_{\text{axis 0}}` of `\sum`; the axes are named only when they are not all.
std::string latex_over_axes(const Node& n, const std::string& symbol);

/// "1:3, :" by the attributes `starts` and `stops`.
std::string python_ranges(const Node& n);
/// "((1, 0), (0, 2))" by the attributes `before` and `after`.
std::string python_widths(const Node& n);
/// "((0, 1), (0, 1))": the first `rank` axes of both operands of a tensordot.
std::string paired_axes(std::size_t rank);

}  // namespace chainrule
