// read_numpy(): the program is read several times. The first reading finds out what each source is
// used for (indices, sizes, the loss); the next ones give it its place accordingly.
#include "chainrule/numpy_program.h"

#include <algorithm>
#include <set>

#include "base/format.h"
#include "base/nearest.h"
#include "chainrule/error.h"
#include "chainrule/ops.h"
#include "graph/op.h"
#include "numpy/eval/interpreter.h"
#include "numpy/eval/reader.h"

namespace chainrule {
namespace {

using namespace numpy;

constexpr std::size_t kLargestFile = 4'000'000;

std::vector<std::string> lines_of(std::string_view source) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < source.size();) {
    const std::size_t end = std::min(source.find('\n', begin), source.size());
    std::string_view line = source.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    begin = end + 1;
  }
  return lines;
}

// The sources that a value is computed from.
std::set<std::int64_t> sources_below(Value value) {
  std::set<std::int64_t> seen;
  std::set<std::int64_t> sources;
  std::vector<Value> open{value};
  while (!open.empty()) {
    const Value v = open.back();
    open.pop_back();
    if (!seen.insert(v.node().id).second) continue;
    if (is(v, "input") || is(v, "parameter")) sources.insert(v.node().id);
    open.insert(open.end(), v.node().inputs.begin(), v.node().inputs.end());
  }
  return sources;
}

class LossFinder {
 public:
  LossFinder(const Graph& graph, const std::vector<NumpyAssignment>& assignments,
             const Names& names)
      : assignments_(assignments), names_(names), depends_(graph.nodes().size(), false) {
    for (const Node& node : graph.nodes()) {
      depends_[static_cast<std::size_t>(node.id)] =
          is(node, "input") || is(node, "parameter") ||
          std::any_of(node.inputs.begin(), node.inputs.end(),
                      [&](const Value& v) { return depends_on_source(v); });
    }
  }

  // The position of the assignment that defines the loss, or npos.
  std::size_t find(const std::string& wanted, const std::string& file) const {
    if (!wanted.empty()) return last_of(wanted, wanted_first(wanted, file));
    std::size_t best = npos;
    for (std::size_t i = 0; i < assignments_.size(); ++i) {
      const int rank = loss_rank(assignments_[i].target);
      if (rank < 0 || !is_scalar(assignments_[i])) continue;
      const bool better = best == npos || rank < loss_rank(assignments_[best].target);
      if (better || (rank == kLike && loss_rank(assignments_[best].target) == kLike)) best = i;
    }
    if (best != npos) return last_of(assignments_[best].target, best);
    for (std::size_t i = 0; i < assignments_.size(); ++i) {
      const bool gradient = is_gradient_name(assignments_[i].target, names_);
      if (gradient && best != npos) break;
      if (!gradient && is_scalar(assignments_[i])) best = i;
    }
    return best;
  }

  static constexpr std::size_t npos = static_cast<std::size_t>(-1);

 private:
  static constexpr int kLike = 16;  // "data_loss": any name with loss in it

  bool depends_on_source(const Value& v) const {
    return depends_[static_cast<std::size_t>(v.node().id)];
  }

  bool is_scalar(const NumpyAssignment& a) const {
    return a.value && a.value.dtype() == DType::kF32 && element_count(a.value.shape()) == 1 &&
           !a.value.node().op->source && depends_on_source(a.value);
  }

  // loss = …, loss += … : the last one before the backward pass.
  std::size_t last_of(const std::string& name, std::size_t first) const {
    std::size_t last = first;
    bool recomputed = false;
    for (std::size_t i = first + 1; i < assignments_.size() && !recomputed; ++i) {
      const NumpyAssignment& a = assignments_[i];
      const bool gradient =
          is_gradient_name(a.target, names_) && a.value && !is(a.value, "constant");
      const bool update = names_.updated.contains(a.target) && !is_loss_name(a.target) &&
                          is_weight_name(a.target) && a.value && !is(a.value, "constant");
      recomputed = gradient || update;
      if (a.target == name && is_scalar(a)) last = i;
    }
    return last;
  }

  std::size_t wanted_first(const std::string& wanted, const std::string& file) const {
    std::vector<std::string> scalars;
    std::set<std::string> known;
    const NumpyAssignment* other = nullptr;
    for (std::size_t i = 0; i < assignments_.size(); ++i) {
      const NumpyAssignment& a = assignments_[i];
      if (a.target == wanted && is_scalar(a)) return i;
      if (a.target == wanted) other = &a;
      if (is_scalar(a) && known.insert(a.target).second) scalars.push_back(a.target);
    }
    if (other != nullptr && other->value && element_count(other->value.shape()) != 1) {
      throw UsageError(
          fmt::format("{}: the loss {} has the shape {}; expected a single number, such "
                      "as np.mean({})",
                      file, wanted, to_string(other->value.shape()), wanted));
    }
    if (other != nullptr) {
      throw UsageError(
          fmt::format("{}: {} does not depend on any array or variable, so it is no "
                      "loss",
                      file, wanted));
    }
    throw UsageError(file + ": " + unknown_name("loss", wanted, scalars));
  }

  const std::vector<NumpyAssignment>& assignments_;
  const Names& names_;
  std::vector<bool> depends_;  // by node: on an input or a parameter
};

// Adds up what an interpreter takes, however it ends.
class Meter {
 public:
  Meter(const Interpreter& interpreter, double& spent) : interpreter_(interpreter), spent_(spent) {}
  ~Meter() { spent_ += interpreter_.spent(); }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

 private:
  const Interpreter& interpreter_;
  double& spent_;
};

struct Reading {
  std::unique_ptr<Interpreter> interpreter;
  std::size_t loss = LossFinder::npos;
};

Reading read_once(std::string_view source, const std::string& file, const NumpyOptions& options,
                  const Block& program, const Names& names, const Uses& uses, double& spent) {
  Reading reading;
  reading.interpreter = std::make_unique<Interpreter>(source, file, options, names, uses);
  Interpreter& interpreter = *reading.interpreter;
  const Meter meter(interpreter, spent);
  interpreter.run(program);
  // A program of plain numbers has no loss before its variables are known to be such.
  const bool numbers_only = uses.first_reading && !interpreter.tape().seen().any_array;
  if (numbers_only) return reading;
  reading.loss = LossFinder(interpreter.tape().graph(), interpreter.assignments(), names)
                     .find(options.loss, file);
  if (reading.loss != LossFinder::npos) {
    const Value loss = interpreter.assignments()[reading.loss].value;
    const std::set<std::int64_t> below = sources_below(loss);
    for (const Value& s : interpreter.tape().sources()) {
      if (!below.contains(s.node().id)) continue;
      interpreter.tape().seen().sources[interpreter.tape().key_of(s)].in_loss = true;
    }
  }
  return reading;
}

// A number that does not take part in the loss is a setting after all.
void learn(Uses& uses, Interpreter& interpreter) {
  Uses& seen = interpreter.tape().seen();
  for (const Value& s : interpreter.tape().sources()) {
    SourceUse& use = seen.sources[interpreter.tape().key_of(s)];
    if (!uses.first_reading && s.shape().empty() && !use.in_loss) use.as_size = true;
  }
  for (const auto& [key, use] : uses.sources) {
    seen.sources[key].as_size = seen.sources[key].as_size || use.as_size;
  }
  uses = seen;
  uses.first_reading = false;
}

}  // namespace

NumpyProgram read_numpy(std::string_view source, const std::string& file,
                        const NumpyOptions& options) {
  double spent = 0;
  return numpy::read_measured(source, file, options, spent);
}

NumpyProgram numpy::read_measured(std::string_view source, const std::string& file,
                                  const NumpyOptions& options, double& spent) {
  spent += static_cast<double>(source.size()) / 4;  // to be parsed
  if (source.size() > kLargestFile) {
    throw DataError(file + ": a program of more than 4 MB is not read", file);
  }
  const Block block = parse(source, file);
  const Names names = names_of(block);
  Uses uses;
  Reading reading;
  constexpr int kReadings = 4;
  for (int i = 0; i < kReadings; ++i) {
    reading = {};  // what the reading before has made is not needed beside the next one
    reading = read_once(source, file, options, block, names, uses, spent);
    if (i + 1 < kReadings) learn(uses, *reading.interpreter);
  }
  Interpreter& interpreter = *reading.interpreter;
  if (reading.loss == LossFinder::npos) {
    throw UsageError(file +
                     ": there is no loss: no assignment gives a single number that depends on "
                     "an array or a variable; assign one, as in loss = np.mean(…), or name it "
                     "with --loss NAME");
  }
  NumpyProgram program;
  program.file = file;
  program.lines = lines_of(source);
  program.feed = std::move(interpreter.tape().feed());
  program.assignments = std::move(interpreter.assignments());
  program.forward = reading.loss + 1;
  program.loss = program.assignments[reading.loss].value;
  if (!program.loss.shape().empty()) program.loss = reshape(program.loss, {});
  program.graph = interpreter.tape().take_graph();
  return program;
}

}  // namespace chainrule
