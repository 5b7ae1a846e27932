// The verdicts on a program's gradients and updates.
#pragma once

#include <string>
#include <vector>

#include "chainrule/backprop_check.h"
#include "explain/grade/backprop_study.h"

namespace chainrule::backprop {

/// What there is to say about each gradient, in the order of Study::gradients, and about updates
/// that are wrong; and the remarks.
struct Judgement {
  std::vector<GradientLine> lines;
  std::vector<std::string> remarks;
};

Judgement judge(Study& study);

/// A line of the report with the place and the text of an assignment.
GradientLine line_at(const NumpyProgram& program, const NumpyAssignment& assignment);

}  // namespace chainrule::backprop
