// A NumPy file completed: the lines that derive and apply the gradients, put where they belong, in
// the style of the file. Not a character of the author's own lines changes, except that a backward
// pass and an update that stand there already become comments.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/format.h"
#include "chainrule/derivation.h"
#include "chainrule/emit.h"
#include "chainrule/error.h"
#include "explain/derive/training_step.h"
#include "explain/emit/derived_lines.h"
#include "explain/emit/python_source.h"
#include "graph/op.h"

namespace chainrule {
namespace {

bool is_blank(const std::string& line) {
  return line.find_first_not_of(" \t\r") == std::string::npos;
}

class Completion {
 public:
  explicit Completion(const NumpyProgram& program)
      : program_(program),
        source_(program),
        starts_(source_.starts()),
        rate_(learning_rate_of(program)) {
    find_old_lines();
    derived_ = derived_lines(program, source_, old_gradients_);
    drop_orphans();
  }

  std::string text() const {
    const std::size_t end_of_loss = after_loss();
    const std::size_t backward = place_of_backward(end_of_loss);
    const std::size_t update = first_from(old_updates_, backward).value_or(backward);
    std::string text;
    for (std::size_t i = 0; i <= program_.lines.size(); ++i) {
      if (i == backward) text += backward_lines(i, old_backward_.contains(i));
      if (i == update) text += update_lines(i, update == backward, old_updates_.contains(i));
      if (i == program_.lines.size()) break;
      const std::string& line = program_.lines[i];
      if (is_repeated(i)) continue;
      const bool is_old = old_.contains(starts_[i]) && i >= starts_[i] && !is_comment_before(i);
      text += (is_old && !is_blank(line) ? "# " + line : line) + "\n";
    }
    return text;
  }

 private:
  static std::size_t line_index(const NumpyAssignment& a) {
    return static_cast<std::size_t>(a.line) - 1;
  }

  // A comment above a statement stays as it is.
  bool is_comment_before(std::size_t line) const { return line < starts_[line]; }

  // An old line that says what a new one says.
  bool is_repeated(std::size_t line) const {
    const auto trimmed = [](std::string text) {
      const std::size_t end = text.find_last_not_of(" \t\r");
      return text.erase(end == std::string::npos ? 0 : end + 1);
    };
    if (!old_.contains(starts_[line])) return false;
    const std::string text = trimmed(source_.code(line));
    const auto is_same = [&](const DerivedLine& d) { return d.text == text; };
    if (std::any_of(derived_.lines.begin(), derived_.lines.end(), is_same)) return true;
    return std::any_of(derived_.steps.begin(), derived_.steps.end(), [&](const auto& step) {
      return step_line(step.first, step.second) == text;
    });
  }

  std::string step_line(const std::string& parameter, const std::string& gradient) const {
    return uses_steps_in_place(parameter)
               ? fmt::format("{} -= {} * {}", parameter, rate_.name, gradient)
               : fmt::format("{0} = {0} - {1} * {2}", parameter, rate_.name, gradient);
  }

  // The statements after the loss that make a gradient or change a parameter.
  void find_old_lines() {
    std::map<std::string, Value> holds;
    for (std::size_t i = 0; i < program_.forward; ++i) {
      const NumpyAssignment& a = program_.assignments[i];
      if (a.function.empty() && a.value) holds[a.target] = a.value;
    }
    const std::vector<bool> in_loss = nodes_of_loss(program_);
    const auto in_loss_as_real = [&](const Value& v) {
      return in_loss[static_cast<std::size_t>(v.node().id)] && v.dtype() == DType::kF32;
    };
    for (std::size_t i = program_.forward; i < program_.assignments.size(); ++i) {
      const NumpyAssignment& a = program_.assignments[i];
      if (!a.function.empty()) continue;
      const std::size_t start = starts_[line_index(a)];
      const auto base = holds.find(gradient_base(a.target));
      if (base != holds.end() && in_loss_as_real(base->second)) {
        old_backward_.insert(start);
        old_gradients_[a.target] = base->second;
      }
      const std::vector<Value> parameters = derivation_targets(program_.loss);
      if (std::any_of(parameters.begin(), parameters.end(),
                      [&](const Value& p) { return p.name() == a.target; })) {
        old_updates_.insert(start);
      }
    }
    old_ = old_backward_;
    old_.insert(old_updates_.begin(), old_updates_.end());
  }

  // What stands on a name that only the old lines gave goes with them.
  void drop_orphans() {
    std::set<std::string> defined;
    for (const DerivedLine& line : derived_.lines) defined.insert(line.name);
    for (bool found = true; found;) {
      found = false;
      std::set<std::string> gone;
      std::set<std::string> kept;
      for (const NumpyAssignment& a : program_.assignments) {
        (old_.contains(starts_[line_index(a)]) ? gone : kept).insert(a.target);
      }
      for (const std::string& name : defined) gone.erase(name);
      for (const std::string& name : kept) gone.erase(name);
      for (const std::size_t start : std::set<std::size_t>(starts_.begin(), starts_.end())) {
        if (old_.contains(start) || start < after_loss() || start >= starts_.size()) continue;
        const std::set<std::string> used = source_.identifiers(start);
        const bool is_orphan = std::any_of(
            gone.begin(), gone.end(), [&](const std::string& name) { return used.contains(name); });
        if (is_orphan) found = old_.insert(start).second || found;
      }
    }
  }

  // The line behind the loss and the prints that follow it at once.
  std::size_t after_loss() const {
    std::size_t line = 0;
    for (std::size_t i = 0; i < program_.forward; ++i) {
      const NumpyAssignment& a = program_.assignments[i];
      if (a.function.empty()) line = std::max(line, line_index(a));
    }
    const auto end_of = [&](std::size_t start) {
      std::size_t end = start;
      while (end < starts_.size() && (starts_[end] == start || end < start)) ++end;
      while (end > start + 1 && is_blank(program_.lines[end - 1])) --end;
      return end;
    };
    std::size_t end = end_of(starts_[line]);
    while (end < starts_.size() && starts_[end] == end &&
           program_.lines[end].starts_with("print(")) {
      end = end_of(end);
    }
    return end;
  }

  static std::optional<std::size_t> first_from(const std::set<std::size_t>& starts,
                                               std::size_t from) {
    const auto found = starts.lower_bound(from);
    return found == starts.end() ? std::nullopt : std::optional(*found);
  }

  // In place of the old one, unless what it needs has been overwritten by then.
  std::size_t place_of_backward(std::size_t end_of_loss) const {
    std::optional<std::size_t> place = first_from(old_backward_, end_of_loss);
    if (!place) place = first_from(old_updates_, end_of_loss);
    if (!place) return end_of_loss;
    std::set<std::string> before;
    for (std::size_t i = 0; i < program_.assignments.size(); ++i) {
      const NumpyAssignment& a = program_.assignments[i];
      if (i < program_.forward) before.insert(a.target);
      const bool overwrites = i >= program_.forward && line_index(a) < *place;
      if (overwrites && before.contains(a.target)) return end_of_loss;
    }
    return *place;
  }

  // ── the new lines ──────────────────────────────────────────────────────────

  std::string gap(std::size_t at) const {
    return at > 0 && !is_blank(program_.lines[at - 1]) ? "\n" : "";
  }

  std::string backward_lines(std::size_t at, bool replaces) const {
    std::string loss = "the loss";
    for (const NumpyAssignment& a : program_.assignments) {
      if (a.value == program_.loss) loss = a.target;
    }
    const bool under_comment = replaces && at > 0 && !is_blank(program_.lines[at - 1]);
    std::string text = under_comment ? "" : gap(at);
    text += fmt::format("# The derivatives of {}, by chainrule.{}\n", loss,
                        replaces ? " The lines that stood here follow as comments." : "");
    text += derived_.imports;
    std::size_t width = 0;
    for (const DerivedLine& line : derived_.lines) {
      if (line.text.size() <= kLongestAligned) width = std::max(width, line.text.size());
    }
    for (const DerivedLine& line : derived_.lines) {
      text += fmt::format("{:<{}}  # {}\n", line.text, width, line.shape);
    }
    return text;
  }

  bool uses_steps_in_place(const std::string& parameter) const {
    // NumPy refuses to subtract real numbers from whole ones in place.
    for (const NumpyAssignment& a : program_.assignments) {
      if (a.target != parameter) continue;
      const std::size_t array = a.expression.find("array(");
      return array == std::string::npos || a.expression.find('.', array) != std::string::npos;
    }
    return true;
  }

  std::string update_lines(std::size_t at, bool follows, bool replaces) const {
    const bool under_comment = replaces && !follows && at > 0 && !is_blank(program_.lines[at - 1]);
    std::string text = follows ? "\n" : under_comment ? "" : gap(at);
    text += "# One step of gradient descent.\n";
    const bool defined = rate_.line > 0 && static_cast<std::size_t>(rate_.line) <= at;
    if (!defined) text += fmt::format("{} = {}\n", rate_.name, rate_.value);
    for (const auto& [parameter, gradient] : derived_.steps) {
      text += step_line(parameter, gradient) + "\n";
    }
    const bool more = at < program_.lines.size() && !is_blank(program_.lines[at]);
    return text + (more && !replaces ? "\n" : "");
  }

  static constexpr std::size_t kLongestAligned = 60;

  const NumpyProgram& program_;
  PythonSource source_;
  const std::vector<std::size_t>& starts_;
  LearningRate rate_;
  std::set<std::size_t> old_backward_;  // first lines of statements
  std::set<std::size_t> old_updates_;
  std::set<std::size_t> old_;                   // all that become comments
  std::map<std::string, Value> old_gradients_;  // what the old lines called the gradient of what
  DerivedLines derived_;
};

}  // namespace

std::string emit_numpy(const NumpyProgram& program) { return Completion(program).text(); }

}  // namespace chainrule
