// One refusal a run for each of twenty columns would take twenty runs.
#include "data/unusable.h"

#include <algorithm>

#include "base/file.h"
#include "base/printable.h"
#include "chainrule/error.h"

namespace chainrule {
namespace {

// A column as --drop takes it on a command line: its name, or its number where a shell, or the
// comma between two columns, would not let the name through.
std::string as_option(const Table& table, std::size_t place) {
  const std::string& name = table.columns[place].name;
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '.' || c == '-';
  });
  const std::string number = std::to_string(place + 1);
  const bool number_is_name = std::any_of(table.columns.begin(), table.columns.end(),
                                          [&](const Column& c) { return c.name == number; });
  return plain || number_is_name ? name : number;
}

// Of UTF-8, in characters.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

void refuse_unusable(const Table& table, const std::vector<UnusableColumn>& columns) {
  constexpr std::size_t kWidest = 24;
  std::string drop;
  std::size_t width = 0;
  for (const UnusableColumn& c : columns) {
    drop += (drop.empty() ? "" : ",") + as_option(table, c.place);
    width = std::max(width, width_of(printable(table.columns[c.place].name, kWidest)));
  }
  const std::string start = file_name(table.source) + ": ";
  if (columns.size() == 1) {
    throw DataError(start + "column " + in_quotes(table.columns[columns[0].place].name) + " " +
                        columns[0].why + "; remove it or pass --drop " + drop,
                    table.source);
  }
  std::string text = start + std::to_string(columns.size()) +
                     " columns cannot be learned from; remove them or pass --drop " + drop;
  for (const UnusableColumn& c : columns) {
    const std::string name = printable(table.columns[c.place].name, kWidest);
    text += "\n  " + name + std::string(width - width_of(name), ' ') + "  " + c.why;
  }
  throw DataError(text, table.source);
}

}  // namespace chainrule
