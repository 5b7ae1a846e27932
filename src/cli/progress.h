// How a training looks while it runs: one line that is drawn again on a terminal, plain lines
// elsewhere.
#pragma once

#include <chrono>
#include <string>

#include "chainrule/train.h"

namespace chainrule::cli {

enum class View { kNone, kLines, kBar };

/// kBar when standard output is a terminal.
View view_for_standard_output();

/// "epoch 12/67 [=====>       ] loss 0.0312 acc  99.1%  131k samples/s  0:03 left", shorter than
/// `width`.
std::string bar_line(const Progress& progress, bool classifies, std::size_t width);

/// "epoch 12/67  loss 0.0312  accuracy 99.1 %  validation loss 0.0611  accuracy 98.1 %  131k
/// samples/s"
std::string plain_line(const Progress& progress, bool classifies);

class ProgressView {
 public:
  ProgressView(View view, bool classifies) : view_(view), classifies_(classifies) {}
  /// Ends the line that is being drawn, so that what is printed next stands on its own.
  ~ProgressView();
  ProgressView(const ProgressView&) = delete;
  ProgressView& operator=(const ProgressView&) = delete;

  void show(const Progress& progress);

 private:
  void draw(const Progress& progress);

  View view_;
  bool classifies_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_drawn_;
};

}  // namespace chainrule::cli
