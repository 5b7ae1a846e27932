// The report of a check as a page of text.
#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "chainrule/backprop_check.h"

namespace chainrule {
namespace {

constexpr std::size_t kWidth = 96;

std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t to) {
  return text + std::string(to - std::min(to, width(text)), ' ');
}

std::string verdict_text(const GradientLine& line) {
  switch (line.verdict) {
    case GradientVerdict::kRight: return "right";
    case GradientVerdict::kFactor: return "right up to a factor";
    case GradientVerdict::kPart: return "part";
    case GradientVerdict::kInherited: return "inherits an error";
    case GradientVerdict::kMistake:
    case GradientVerdict::kWrong:
    case GradientVerdict::kFails: break;
  }
  return "WRONG: " + line.mistake;
}

std::string difference_text(const GradientLine& line) {
  if (std::isnan(line.difference)) return "-";
  return line.difference == 0 ? "0" : fmt::format("{:.1e}", line.difference);
}

std::string wrapped(const std::string& text, std::size_t indent) {
  std::string result;
  std::size_t column = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > 0 && indent + column + 1 + width(word) > kWidth) {
      result += "\n" + std::string(indent, ' ');
      column = 0;
    } else if (column > 0) {
      result += ' ';
      ++column;
    }
    result += word;
    column += width(word);
    at = end + 1;
  }
  return std::string(indent, ' ') + result + "\n";
}

bool is_own_mistake(const GradientLine& line) {
  return line.verdict == GradientVerdict::kMistake || line.verdict == GradientVerdict::kWrong ||
         line.verdict == GradientVerdict::kFails;
}

std::string summary(const BackpropReport& report) {
  const auto mistakes = std::count_if(report.lines.begin(), report.lines.end(), is_own_mistake);
  const auto inherited = std::count_if(
      report.lines.begin(), report.lines.end(),
      [](const GradientLine& line) { return line.verdict == GradientVerdict::kInherited; });
  if (mistakes == 0 && inherited == 0) return "All gradients are right.\n";
  std::string text = mistakes == 1 ? "1 mistake" : fmt::format("{} mistakes", mistakes);
  if (mistakes > 0) {
    const auto first = std::find_if(report.lines.begin(), report.lines.end(), is_own_mistake);
    text += fmt::format("{} line {}", mistakes == 1 ? " on" : ", the first on", first->line);
  }
  if (inherited > 0) {
    text += inherited == 1 ? "; 1 further line only inherits its error"
                           : fmt::format("; {} further lines only inherit an error", inherited);
  }
  return text + ".\n";
}

}  // namespace

std::string to_text(const BackpropReport& report) {
  std::size_t text_width = 4;
  std::size_t verdict_width = 7;
  for (const GradientLine& line : report.lines) {
    text_width = std::max(text_width, std::min<std::size_t>(52, width(line.text)));
    verdict_width = std::max(verdict_width, width(verdict_text(line)));
  }
  std::string page = fmt::format("{}: each gradient line against the derivative of {}\n\n",
                                 report.file, report.loss);
  page += fmt::format("{:>5}  {}  {}  {}\n", "line", padded("code", text_width),
                      padded("verdict", verdict_width), "difference");
  for (const GradientLine& line : report.lines) {
    page += fmt::format("{:>5}  {}  {}  {}\n", line.line, padded(line.text, text_width),
                        padded(verdict_text(line), verdict_width), difference_text(line));
    if (!line.explanation.empty()) page += wrapped(line.explanation, 9);
    if (!line.correct.empty()) page += fmt::format("{:9}correct: {}\n", "", line.correct);
  }
  page += "\n" + summary(report);
  for (const std::string& remark : report.remarks) page += remark + "\n";
  return page;
}

}  // namespace chainrule
