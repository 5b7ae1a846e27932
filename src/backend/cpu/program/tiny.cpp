// From a graph of primitives to operations on registers. What only moves numbers (reshape,
// transpose, broadcast_to, slice) is no operation: a value is a register and the lanes in which its
// numbers stand, and whoever reads it composes its own shuffle with them.
#include "backend/cpu/program/tiny.h"

#include <algorithm>
#include <numeric>

#include "backend/cpu/program/functions.h"
#include "base/format.h"
#include "chainrule/error.h"
#include "graph/op.h"

namespace chainrule::cpu {
namespace {

constexpr TinyLanes identity() {
  TinyLanes lanes{};
  std::iota(lanes.begin(), lanes.end(), 0);
  return lanes;
}

bool is_movement(const Node& node) {
  return is(node, "reshape") || is(node, "transpose") || is(node, "broadcast_to") ||
         is(node, "slice");
}

// Where each number of the result comes from: the op's own meaning, applied to 0, 1, 2 ….
TinyLanes lanes_moved_by(const Node& node) {
  const Shape& from = node.inputs[0].shape();
  Array numbers{from, std::vector<double>(static_cast<std::size_t>(element_count(from)))};
  std::iota(numbers.data.begin(), numbers.data.end(), 0.0);
  const auto count = static_cast<std::size_t>(element_count(node.types[0].shape));
  Array moved{node.types[0].shape, std::vector<double>(count)};
  const Array* const in[] = {&numbers};
  node.op->eval({node, in, {&moved, 1}});
  TinyLanes lanes{};
  for (std::size_t i = 0; i < count; ++i) lanes[i] = static_cast<std::int32_t>(moved.data[i]);
  return lanes;
}

// For each term of a reduction the lane that each result takes it from.
std::vector<TinyLanes> terms_of_reduction(const Node& node) {
  const Shape& x = node.inputs[0].shape();
  const std::vector<std::int64_t>& axes = node.integers("axes");
  const auto is_reduced = [&](std::size_t axis) {
    return std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(axis)) != axes.end();
  };
  std::vector<TinyLanes> terms;
  std::vector<std::size_t> found(kTinyLanes, 0);
  for (std::int64_t i = 0; i < element_count(x); ++i) {
    std::int64_t rest = i;
    std::size_t to = 0;
    std::size_t stride = 1;
    for (std::size_t axis = x.size(); axis-- > 0; rest /= x[axis]) {
      if (is_reduced(axis)) continue;
      to += static_cast<std::size_t>(rest % x[axis]) * stride;
      stride *= static_cast<std::size_t>(x[axis]);
    }
    const std::size_t term = found[to]++;
    if (term == terms.size()) terms.emplace_back();
    terms[term][to] = static_cast<std::int32_t>(i);
  }
  return terms;
}

}  // namespace

class TinyBuilder {
 public:
  TinyBuilder(const Graph& graph, const ValueMap<Slot*>& slots)
      : graph_(graph), slots_(slots), program_(std::make_unique<TinyProgram>()) {}

  std::unique_ptr<TinyProgram> run() {
    for (const Node& node : graph_.nodes()) {
      if (!add(node)) return nullptr;
    }
    for (const auto& output : graph_.outputs()) {
      program_->results_[output.second] = const_cast<float*>(read(output.second));
    }
    add_updates();
    return std::move(program_);
  }

 private:
  // A value: the register it stands in, and the lane of each of its numbers.
  struct Place {
    const float* memory = nullptr;
    TinyLanes lanes = identity();
  };

  float* new_register() { return program_->registers_.emplace_back().lane; }

  const TinyLanes* keep(std::vector<TinyLanes> lanes) {
    return program_->lanes_.emplace_back(std::move(lanes)).data();
  }

  TinyOperation& emit(TinyFunction function, const Value& result) {
    TinyOperation& operation = program_->compute_.emplace_back();
    operation.run = function;
    operation.to = new_register();
    places_[result] = {operation.to, identity()};
    program_->listing_.push_back(fmt::format("{} = {}", text_name(result), result.node().op->name));
    return operation;
  }

  // The sixteen numbers of a value in their own order, shuffled into a register where need be.
  const float* read(const Value& v) {
    Place& place = places_.at(v);
    const auto count = static_cast<std::size_t>(element_count(v.shape()));
    const TinyLanes straight = identity();
    if (std::equal(straight.begin(), straight.begin() + static_cast<std::ptrdiff_t>(count),
                   place.lanes.begin())) {
      return place.memory;
    }
    TinyOperation& operation = program_->compute_.emplace_back();
    operation.run = functions_.shuffle;
    operation.to = new_register();
    operation.a = place.memory;
    operation.a_lanes = keep({place.lanes});
    place = {operation.to, straight};
    return place.memory;
  }

  // The terms of a sum over v, seen through the lanes in which v's numbers stand.
  const TinyLanes* through(const Value& v, std::vector<TinyLanes> terms) {
    const TinyLanes& lanes = places_.at(v).lanes;
    for (TinyLanes& term : terms) {
      for (std::int32_t& lane : term) lane = lanes[static_cast<std::size_t>(lane)];
    }
    return keep(std::move(terms));
  }

  bool add(const Node& node) {
    if (node.op->source) return add_source(node);
    if (is(node, "constant")) return add_constant(node);
    if (is_movement(node)) return add_movement(node);
    if (is(node, "sum") || is(node, "mean")) return add_reduction(node, functions_.sum);
    if (is(node, "max")) return add_reduction(node, functions_.maximum);
    if (is(node, "matmul")) return add_product(node);
    if (is(node, "one_hot")) return add_one_hot(node);
    return add_elementwise(node);
  }

  bool add_source(const Node& node) {
    const Slot* slot = slots_.at(node.output());
    if (is(node, "parameter")) {
      places_[node.output()] = {reinterpret_cast<const float*>(slot->data), identity()};
      return true;
    }
    TinyOperation& operation = emit(functions_.load, node.output());
    operation.slot = slot;
    operation.count = static_cast<std::int32_t>(element_count(node.types[0].shape));
    return true;
  }

  bool add_constant(const Node& node) {
    float* to = new_register();
    std::fill_n(to, kTinyLanes, static_cast<float>(node.real("value")));
    places_[node.output()] = {to, identity()};
    return true;
  }

  bool add_movement(const Node& node) {
    Place place = places_.at(node.inputs[0]);
    const TinyLanes moved = lanes_moved_by(node);
    const TinyLanes before = place.lanes;
    std::ranges::transform(moved, place.lanes.begin(), [&](std::int32_t lane) {
      return before[static_cast<std::size_t>(lane)];
    });
    // A constant's lanes are all alike.
    if (is(node.inputs[0], "constant")) place.lanes = identity();
    places_[node.output()] = place;
    return true;
  }

  bool add_reduction(const Node& node, TinyFunction function) {
    const std::vector<TinyLanes> terms = terms_of_reduction(node);
    const Value x = node.inputs[0];
    const TinyLanes* lanes = through(x, terms);
    TinyOperation& operation = emit(function, node.output());
    operation.a = places_.at(x).memory;
    operation.a_lanes = lanes;
    operation.terms = static_cast<std::int32_t>(terms.size());
    if (is(node, "mean")) operation.scale = 1.0F / static_cast<float>(terms.size());
    return true;
  }

  bool add_product(const Node& node) {
    const Value a = node.inputs[0];
    const Value b = node.inputs[1];
    const std::int64_t m_count = node.output().extent(-2);
    const std::int64_t n_count = node.output().extent(-1);
    const std::int64_t k_count = a.extent(-1);
    if (k_count == 0 || node.flag("transpose_a") || node.flag("transpose_b")) return false;
    std::vector<TinyLanes> a_terms(static_cast<std::size_t>(k_count));
    std::vector<TinyLanes> b_terms(static_cast<std::size_t>(k_count));
    for (std::int64_t i = 0; i < element_count(node.types[0].shape); ++i) {
      const std::int64_t n = i % n_count;
      const std::int64_t row = i / n_count;  // of all matrices one below the other
      const std::int64_t matrix = row / m_count;
      for (std::int64_t k = 0; k < k_count; ++k) {
        const auto at = static_cast<std::size_t>(i);
        const auto term = static_cast<std::size_t>(k);
        a_terms[term][at] = static_cast<std::int32_t>(row * k_count + k);
        b_terms[term][at] = static_cast<std::int32_t>((matrix * k_count + k) * n_count + n);
      }
    }
    const TinyLanes* a_lanes = through(a, a_terms);
    const TinyLanes* b_lanes = through(b, b_terms);
    TinyOperation& operation = emit(functions_.product, node.output());
    operation.a = places_.at(a).memory;
    operation.b = places_.at(b).memory;
    operation.a_lanes = a_lanes;
    operation.b_lanes = b_lanes;
    operation.terms = static_cast<std::int32_t>(k_count);
    program_->flop_ += 2.0 * static_cast<double>(element_count(node.types[0].shape) * k_count);
    return true;
  }

  bool add_one_hot(const Node& node) {
    const std::int64_t classes = node.integer("classes");
    std::vector<TinyLanes> label_and_class(2);
    for (std::int64_t i = 0; i < element_count(node.types[0].shape); ++i) {
      label_and_class[0][static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i / classes);
      label_and_class[1][static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i % classes);
    }
    const float* labels = read(node.inputs[0]);
    TinyOperation& operation = emit(functions_.one_hot, node.output());
    operation.a = labels;
    operation.a_lanes = keep(std::move(label_and_class));
    operation.count = static_cast<std::int32_t>(element_count(node.inputs[0].shape()));
    operation.classes = static_cast<std::int32_t>(classes);
    return true;
  }

  bool add_elementwise(const Node& node) {
    const std::optional<Fn> fn = function_of(node);
    if (!fn) return false;
    const float* operands[3] = {};
    for (std::size_t i = 0; i < 3; ++i) {
      operands[i] = i < node.inputs.size() ? read(node.inputs[i]) : operands[0];
    }
    TinyOperation& operation =
        emit(functions_.elementwise[static_cast<std::size_t>(*fn)], node.output());
    operation.a = operands[0];
    operation.b = operands[1];
    operation.c = operands[2];
    return true;
  }

  // All updates happen at once, after the loss was found finite: next values are complete in
  // registers of their own before the first parameter is written.
  void add_updates() {
    for (const auto& [parameter, next] : graph_.updates()) {
      const float* from = read(next);
      if (is(next, "parameter")) {
        TinyOperation& aside = program_->compute_.emplace_back();
        aside.run = functions_.copy;
        aside.to = new_register();
        aside.a = from;
        from = aside.to;
      }
      TinyOperation& operation = program_->apply_.emplace_back();
      operation.run = functions_.copy;
      operation.to = reinterpret_cast<float*>(slots_.at(parameter)->data);
      operation.a = from;
    }
  }

  const Graph& graph_;
  const ValueMap<Slot*>& slots_;
  const TinyFunctions functions_ = tiny_functions();
  std::unique_ptr<TinyProgram> program_;
  ValueMap<Place> places_;
};

bool TinyProgram::fits(const Graph& graph) {
  return std::ranges::all_of(graph.nodes(), [](const Node& node) {
    return std::ranges::all_of(node.types, [](const Type& type) {
      const std::int64_t count = element_count(type.shape);
      return count > 0 && count <= static_cast<std::int64_t>(kTinyLanes);
    });
  });
}

std::unique_ptr<TinyProgram> TinyProgram::make(const Graph& graph, const ValueMap<Slot*>& slots) {
  return TinyBuilder(graph, slots).run();
}

}  // namespace chainrule::cpu
