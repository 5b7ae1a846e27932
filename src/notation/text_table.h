// Columns as wide as their widest cell.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace chainrule {

/// Lines of cells; the first line is the head. Widths count letters, not bytes.
class TextTable {
 public:
  /// `alignment` has a letter a column: l, r.
  explicit TextTable(std::string alignment, std::size_t gap = 2)
      : alignment_(std::move(alignment)), gap_(gap) {}

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string to_text(const std::string& indent = "  ") const;

 private:
  std::string alignment_;
  std::size_t gap_;
  std::vector<std::vector<std::string>> rows_;
};

/// The width of UTF-8 text in letters.
std::size_t letters(const std::string& text);

}  // namespace chainrule
