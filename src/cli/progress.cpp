// The bar is written with one write a picture, over the line before and never clearing it first, at
// most ten times a second: so it does not flicker.
#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/format.h"

namespace chainrule::cli {
namespace {

constexpr double kSecondsBetween = 0.1;
constexpr std::int64_t kPlainLines = 20;

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return std::min<std::size_t>(size.ws_col, 120);
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(std::min(seconds, 1e7)));
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

// At most five characters, so that the line keeps its layout: 950, 131k, 2.4M.
std::string rate_text(double rate) {
  if (rate < 1e4) return fmt::format("{:.0f}", rate);
  return rate < 1e6 ? fmt::format("{:.0f}k", rate / 1e3) : fmt::format("{:.1f}M", rate / 1e6);
}

}  // namespace

View view_for_standard_output() { return isatty(STDOUT_FILENO) != 0 ? View::kBar : View::kLines; }

std::string bar_line(const Progress& progress, bool classifies, std::size_t width) {
  const int digits = static_cast<int>(std::to_string(progress.epochs).size());
  const std::string left = fmt::format("epoch {:>{}}/{} ", progress.epoch, digits, progress.epochs);
  std::string right = fmt::format(" loss {:.4f}", progress.training.loss);
  if (classifies) right += fmt::format(" acc {:5.1f}%", 100 * progress.training.accuracy);
  right += fmt::format(" {:>5} samples/s {:>5} left", rate_text(progress.rows_per_second),
                       clock_text(progress.seconds_left));
  // One column stays free: a terminal may wrap a line that fills it.
  const std::size_t used = left.size() + right.size() + 3;
  if (used + 4 > width) return (left + right.substr(1)).substr(0, width - 1);
  const std::size_t cells = width - used;
  const double share =
      progress.steps > 0 ? static_cast<double>(progress.step) / static_cast<double>(progress.steps)
                         : 0;
  const auto full = std::min(cells, static_cast<std::size_t>(share * static_cast<double>(cells)));
  std::string bar(full, '=');
  if (full < cells) bar += '>' + std::string(cells - full - 1, ' ');
  return left + "[" + bar + "]" + right;
}

std::string plain_line(const Progress& progress, bool classifies) {
  std::string line = fmt::format("epoch {}/{}  loss {:.4f}", progress.epoch, progress.epochs,
                                 progress.training.loss);
  if (classifies) line += fmt::format("  accuracy {:.1f} %", 100 * progress.training.accuracy);
  if (progress.validation.rows > 0) {
    line += fmt::format("  validation loss {:.4f}", progress.validation.loss);
    line += classifies ? fmt::format("  accuracy {:.1f} %", 100 * progress.validation.accuracy)
                       : fmt::format("  R² {:.4f}", progress.validation.r2);
  }
  return line + fmt::format("  {} samples/s", rate_text(progress.rows_per_second));
}

ProgressView::~ProgressView() {
  if (drawn_) std::fputs("\n", stdout);
  std::fflush(stdout);
}

void ProgressView::show(const Progress& progress) {
  if (view_ == View::kNone) return;
  if (view_ == View::kBar) return draw(progress);
  const std::int64_t every = (progress.epochs + kPlainLines - 1) / kPlainLines;
  const bool due = progress.epoch % every == 0 || progress.epoch == progress.epochs;
  if (progress.epoch_done && due) {
    std::fputs((plain_line(progress, classifies_) + "\n").c_str(), stdout);
    std::fflush(stdout);
  }
}

void ProgressView::draw(const Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const bool last = progress.step == progress.steps;
  if (drawn_ && !last &&
      std::chrono::duration<double>(now - last_drawn_).count() < kSecondsBetween) {
    return;
  }
  last_drawn_ = now;
  drawn_ = true;
  const std::string picture = "\r" + bar_line(progress, classifies_, terminal_width()) + "\033[K";
  std::fputs(picture.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace chainrule::cli
