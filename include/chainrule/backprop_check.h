// Somebody's own backpropagation, marked: each hand-written gradient line of a NumPy program is
// held against the true derivative of its loss.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chainrule/numpy_program.h"

namespace chainrule {

/// What became of one gradient line.
enum class GradientVerdict {
  kRight,      // the derivative
  kFactor,     // a constant times the derivative, which later lines make good
  kPart,       // one of several lines that build the gradient; the last of them is judged
  kInherited,  // right in itself: wrong only because a gradient that it reads is wrong
  kMistake,    // wrong, and it is known how: see `mistake`
  kWrong,      // wrong, in no way that has a name here
  kFails,      // cannot be computed
};

/// One line of the backward pass, or of the update, and what there is to say about it.
struct GradientLine {
  int line = 0;
  int last_line = 0;
  std::string text;    // the line, as the user wrote it
  std::string target;  // "dW1"
  std::string of;      // "W1"; empty for a helper whose meaning is not known
  GradientVerdict verdict = GradientVerdict::kRight;
  std::string mistake;      // the mistake's short name, as "forgot the sum over the batch"
  std::string explanation;  // a sentence or two; may be empty for kRight and kPart
  std::string correct;      // the line as it should be, in the user's names; empty when it is right
  double factor = 1;        // value = factor · derivative, where that holds
  double difference =
      0;  // largest |value − derivative| with the file's numbers; NaN: shapes differ
};

struct BackpropReport {
  std::string file;
  std::string loss;  // its name
  std::vector<GradientLine> lines;
  std::vector<std::string> remarks;  // what is no mistake and yet worth saying
  bool right = false;                // every parameter gradient and every update is right
};

/// Checks the backward pass that a NumPy program contains.
///
/// A gradient line is an assignment after the loss whose name is that of an earlier value with an
/// affix: dW1, grad_W1, W1_grad, dL_dW1, d_W1, gW1. Its value is compared with gradient(loss, W1)
/// in float64, on random numbers of the same shapes (so that a relu that happens to be always
/// active hides nothing). A line that is wrong is evaluated again with the true values of the
/// gradients that it reads: if that makes it right, it only inherits their error. If not, the
/// mistakes that people make are tried one after another, and the one that turns the line into the
/// derivative is named.
///
/// throws  DataError, UsageError as read_numpy, for the forward pass; Error when the file has no
///         gradient line.
///
/// Example:  std::cout << to_text(check_backprop(text, "backprop.py"));
BackpropReport check_backprop(std::string_view source, const std::string& file,
                              const NumpyOptions& options = {});

/// The report on one page.
std::string to_text(const BackpropReport& report);

}  // namespace chainrule
