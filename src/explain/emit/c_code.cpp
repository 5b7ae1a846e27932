// Statements of C as a tree, printed.
#include "explain/emit/c_code.h"

#include <algorithm>
#include <utility>

#include "base/format.h"

namespace chainrule {
namespace {

constexpr std::size_t kWidth = 100;

// A statement too long for a line goes on in the next.
std::string folded(const std::string& text, const std::string& indent) {
  std::string lines;
  std::string line = indent;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at + 1), text.size());
    if (line.size() + (end - at) > kWidth && line.size() > indent.size()) {
      lines += line + "\n";
      line = indent + "    ";
      if (text[at] == ' ') ++at;
    }
    line += text.substr(at, end - at);
    at = end;
  }
  return lines + line + "\n";
}

}  // namespace

void CBlock::add(std::string statement) { statements_.push_back({std::move(statement), {}}); }

CBlock& CBlock::loop(const std::string& variable, std::int64_t count) {
  statements_.push_back({fmt::format("for (int {0} = 0; {0} < {1}; ++{0})", variable, count), {}});
  return statements_.back().body;
}

bool CBlock::declares() const {
  return std::any_of(statements_.begin(), statements_.end(), [](const Statement& s) {
    return s.text.starts_with("real ") || s.text.starts_with("const ") ||
           s.text.starts_with("int32_t ");
  });
}

std::string CBlock::scoped_text(int depth) const {
  if (!declares()) return text(depth);
  const std::string indent(2 * static_cast<std::size_t>(depth), ' ');
  return indent + "{\n" + text(depth + 1) + indent + "}\n";
}

std::string CBlock::text(int depth) const {
  const std::string indent(2 * static_cast<std::size_t>(depth), ' ');
  std::string lines;
  for (const Statement& statement : statements_) {
    if (statement.body.empty()) {
      lines += folded(statement.text, indent);
      continue;
    }
    const bool braces = statement.body.statements_.size() > 1;
    lines += indent + statement.text + (braces ? " {\n" : "\n");
    lines += statement.body.text(depth + 1);
    if (braces) lines += indent + "}\n";
  }
  return lines;
}

}  // namespace chainrule
