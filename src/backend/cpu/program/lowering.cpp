// From graph to instructions. The order is the graph's own, with all updates last: an update may
// then write its parameter in place, because whoever reads the old value has run.
#include "backend/cpu/program/lowering.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "backend/cpu/program/slices.h"
#include "backend/cpu/program/tiny.h"
#include "base/format.h"
#include "chainrule/error.h"
#include "chainrule/simplify.h"
#include "compiler/memory.h"
#include "graph/value_map.h"

namespace chainrule::cpu {
namespace {

GraphPtr optimise(const Graph& graph) {
  // A graph that was fused before is taken apart, so that fusion sees all of it.
  // An update whose expansion is elementwise runs as one chain.
  const auto has_kernel = [](const Node& n) {
    return !is(n, "fused") && (find_kernel(n) != nullptr || n.op->one_pass);
  };
  // Simplified before expansion, for the rules that know macro ops by name, and again after it.
  GraphPtr g = simplify(*expand_macros(*simplify(graph), has_kernel));
  return fuse(*reuse_relu(*pool_before_relu(*fold_transposes(*g))));
}

// Primitives alone, for a tiny program; Adam and its like stay whole, as 1 − β₂ᵗ needs more digits
// than a register's.
GraphPtr as_primitives(const Graph& graph) {
  return simplify(
      *expand_macros(*simplify(graph), [](const Node& n) { return n.op->exact_scalars; }));
}

// The update op at the end of a fused node, if that is what it is.
const Node* update_root(const Node& node) {
  if (!is(node, "fused")) return nullptr;
  const Node& root = node.body->outputs().front().second.node();
  return root.op->update ? &root : nullptr;
}

class Lowering {
 public:
  Lowering(GraphPtr graph, std::shared_ptr<Parameters> parameters) {
    code_.graph = std::move(graph);
    code_.parameters = std::move(parameters);
    place_sources();
  }

  /// The graph as a tiny program, if it can be one.
  std::optional<Code> run_tiny() {
    std::shared_ptr<const TinyProgram> program = TinyProgram::make(graph(), slot_);
    if (!program) return std::nullopt;
    add(instruction([program](const Machine&) { program->compute(); }), false);
    add(instruction([program](const Machine&) { program->apply(); }), true);
    code_.compute.back()->flop = program->flop();
    code_.arena_bytes = program->bytes();
    code_.listing = program->listing();
    name_inputs();
    for (const auto& [name, value] : graph().outputs()) {
      Slot& slot = code_.slots.emplace_back();
      slot.data = reinterpret_cast<std::byte*>(program->result(value));
      code_.outputs[name] = {&slot, value.type()};
    }
    return std::move(code_);
  }

  Code run() {
    schedule();
    place_results();
    bind_instructions();
    copy_late_updates();
    name_inputs();
    for (const auto& [name, value] : graph().outputs()) {
      code_.outputs[name] = {slot(value), value.type()};
    }
    return std::move(code_);
  }

 private:
  const Graph& graph() const { return *code_.graph; }

  // ── order ──
  void schedule() {
    for (const Node& node : graph().nodes()) {
      for (const Value& input : node.inputs) readers_[input].push_back(&node);
    }
    for (const auto& [name, value] : graph().outputs()) kept_.insert(value);
    for (const auto& [parameter, next] : graph().updates()) next_of_[next] = parameter;
    find_final_updates();
    for (const Node& node : graph().nodes()) {
      if (!node.op->source && !is_final_update(node)) order_.push_back(&node);
    }
    first_update_ = order_.size();
    groups_ = slice_groups(order_);
    for (const Node& node : graph().nodes()) {
      if (is_final_update(node)) order_.push_back(&node);
    }
  }

  // Updates whose outputs nothing reads but the parameters they are for and other such updates: the
  // average of a weight reads the weight's next value.
  void find_final_updates() {
    for (auto node = graph().nodes().rbegin(); node != graph().nodes().rend(); ++node) {
      if (update_root(*node) == nullptr) continue;
      bool is_final = true;
      for (std::size_t i = 0; i < node->types.size(); ++i) {
        const auto readers = readers_.find(node->output(i));
        is_final = is_final && !kept_.contains(node->output(i)) &&
                   (readers == readers_.end() ||
                    std::all_of(readers->second.begin(), readers->second.end(),
                                [&](const Node* reader) { return is_final_update(*reader); }));
      }
      if (is_final) final_updates_.insert(node->id);
    }
  }

  bool is_final_update(const Node& node) const { return final_updates_.contains(node.id); }

  // The parameter over which output i of an update may be written: the one that it is the next
  // value of, when the update itself is the only late reader of the old value.
  std::optional<Value> in_place(const Node& node, std::size_t i) const {
    if (!is_final_update(node)) return std::nullopt;
    const auto next = next_of_.find(node.output(i));
    if (next == next_of_.end()) return std::nullopt;
    const Value parameter = next->second;
    const Value old = update_root(node)->inputs[i];  // in the body
    const auto& body_inputs = node.body->inputs();
    const auto at = std::find(body_inputs.begin(), body_inputs.end(), old);
    if (at == body_inputs.end()) return std::nullopt;
    if (node.inputs[static_cast<std::size_t>(at - body_inputs.begin())] != parameter) {
      return std::nullopt;
    }
    const std::vector<const Node*>& readers = readers_.at(parameter);
    const bool alone = std::none_of(readers.begin(), readers.end(), [&](const Node* reader) {
      return reader != &node && is_final_update(*reader);
    });
    return alone ? std::optional(parameter) : std::nullopt;
  }

  // The input over which a kernel may write output i, when nobody else reads it or its array.
  std::optional<Value> dying_input(const Node& node, std::size_t i) const {
    const Kernel* kernel = find_kernel(node);
    if (i != 0 || kernel == nullptr || kernel->overwrites < 0) return std::nullopt;
    const Value input = node.inputs[static_cast<std::size_t>(kernel->overwrites)];
    const bool alone = readers_.at(input).size() == 1 && !is(input, "reshape") &&
                       !kept_.contains(input) && !next_of_.contains(input);
    return alone && input.type() == node.types[i] ? std::optional(input) : std::nullopt;
  }

  // ── memory ──
  Slot* new_slot(const Value& v) { return slot_[v] = &code_.slots.emplace_back(); }

  Slot* own(const Value& v) {
    Tensor& tensor = code_.owned.emplace_back(v.dtype(), v.shape());
    Slot* slot = new_slot(v);
    slot->data = tensor.data();
    return slot;
  }

  void place_sources() {
    for (const Value& input : graph().inputs()) own(input);
    for (const Value& parameter : graph().parameters()) {
      Tensor& tensor = code_.parameters->at(parameter.name());
      if (tensor.shape() != parameter.shape() || tensor.dtype() != parameter.dtype()) {
        throw ShapeError("parameter " + parameter.name() + ": expected " +
                         to_string(parameter.type()) + ", got " +
                         to_string(Type{tensor.dtype(), tensor.shape()}));
      }
      new_slot(parameter)->data = tensor.data();
    }
    for (const Node& node : graph().nodes()) {
      if (!is(node, "constant")) continue;
      own(node.output());
      const std::span<float> values = code_.owned.back().values<float>();
      std::fill(values.begin(), values.end(), static_cast<float>(node.real("value")));
    }
  }

  // The steps that run together with this one, slice by slice: what one of them writes must outlive
  // them all.
  SliceGroup group_of(std::size_t step) const {
    for (const SliceGroup& group : groups_) {
      if (group.begin <= step && step < group.end) return group;
    }
    return {step, step + 1};
  }

  // A reshape is another name for the same array.
  static Value storage(Value v) {
    while (is(v, "reshape")) v = v.node().inputs[0];
    return v;
  }

  // Whether only a group's own steps read v, example by example: then it is never materialised.
  bool lives_within(const SliceGroup& group, const Value& v) const {
    if (group.end - group.begin < 2 || kept_.contains(v) || next_of_.contains(v)) {
      return false;
    }
    if (v.shape().empty() || v.extent(0) != sliced_examples(v.node())) return false;
    const auto readers = readers_.find(v);
    if (readers == readers_.end()) return false;
    return std::all_of(readers->second.begin(), readers->second.end(), [&](const Node* reader) {
      const auto first = order_.begin() + static_cast<std::ptrdiff_t>(group.begin);
      const auto last = order_.begin() + static_cast<std::ptrdiff_t>(group.end);
      return !is(*reader, "reshape") && std::find(first, last, reader) != last;
    });
  }

  void make_local(const SliceGroup& group, const Value& v) {
    Slot* const slot = new_slot(v);
    slot->local_example =
        static_cast<std::size_t>(element_count(v.shape()) / v.extent(0)) * size_of(v.dtype());
    std::size_t& used = local_bytes_[group.begin];
    slot->local = used;
    const std::size_t bytes =
        slot->local_example * static_cast<std::size_t>(examples_of_part(largest_of(group)));
    used += (bytes + 63) / 64 * 64;
  }

  // Floats of an example in the group's largest array.
  std::int64_t largest_of(const SliceGroup& group) const {
    std::int64_t largest = 0;
    for (std::size_t step = group.begin; step < group.end; ++step) {
      const Node& node = *order_[step];
      if (is(node, "reshape") || is(node, "constant")) continue;
      largest = std::max(largest, floats_of_example(node, sliced_examples(node)));
    }
    return largest;
  }

  void place_results() {
    ValueMap<std::size_t> buffer_of;
    std::vector<Lifetime> buffers;
    std::vector<Slot*> slots;
    const auto use_until = [&](const Value& v, std::size_t step) {
      const auto found = buffer_of.find(storage(v));
      if (found == buffer_of.end()) return;
      buffers[found->second].last = std::max(buffers[found->second].last, step);
    };
    for (std::size_t step = 0; step < order_.size(); ++step) {
      const Node& node = *order_[step];
      const SliceGroup together = group_of(step);
      for (const Value& input : node.inputs) use_until(input, together.end - 1);
      if (is(node, "reshape") || is(node, "constant")) continue;
      for (std::size_t i = 0; i < node.types.size(); ++i) {
        const Value v = node.output(i);
        if (const std::optional<Value> parameter = in_place(node, i)) {
          slot_[v] = slot_.at(*parameter);
          continue;
        }
        if (lives_within(together, v)) {
          make_local(together, v);
          continue;
        }
        if (const std::optional<Value> input = dying_input(node, i)) {
          if (const auto found = buffer_of.find(storage(*input)); found != buffer_of.end()) {
            buffer_of[v] = found->second;
            slot_[v] = slots[found->second];
            continue;
          }
        }
        buffer_of[v] = buffers.size();
        slots.push_back(new_slot(v));
        buffers.push_back({static_cast<std::size_t>(element_count(v.shape())) * size_of(v.dtype()),
                           together.begin, together.end - 1});
      }
    }
    for (const auto& [name, value] : graph().outputs()) use_until(value, order_.size());
    for (const auto& [parameter, next] : graph().updates()) use_until(next, order_.size());

    const MemoryPlan plan = plan_memory(buffers);
    code_.arena_bytes = plan.bytes;
    const auto words = static_cast<std::int64_t>(plan.bytes / sizeof(float));
    Tensor& arena = code_.owned.emplace_back(DType::kF32, Shape{words});
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i]->data = arena.data() + plan.offsets[i];
  }

  Slot* slot(const Value& v) const { return slot_.at(storage(v)); }

  // ── instructions ──
  void bind_instructions() {
    std::vector<InstructionPtr> together;
    SliceGroup running;
    const auto finish_group = [&] {
      if (!together.empty()) {
        add(run_together(std::move(together), examples_of_part(largest_of(running)),
                         local_bytes_[running.begin]),
            false);
      }
      together.clear();
    };
    for (std::size_t step = 0; step < order_.size(); ++step) {
      const Node& node = *order_[step];
      const SliceGroup group = group_of(step);
      if (step == group.begin) finish_group();
      if (is(node, "reshape") || is(node, "constant")) continue;
      const Kernel* kernel = find_kernel(node);
      if (kernel == nullptr) {
        throw Error("the CPU has no kernel for " + std::string(node.op->name));
      }
      Binding binding{node, {}, {}};
      for (const Value& input : node.inputs) binding.in.emplace_back(slot(input), &input.type());
      for (std::size_t i = 0; i < node.types.size(); ++i) {
        binding.out.emplace_back(slot(node.output(i)), &node.types[i]);
      }
      InstructionPtr made = kernel->lower(binding);
      const bool alone = group.end == step + 1 && group.begin == step;
      if (alone) {
        add(std::move(made), step >= first_update_);
      } else {
        running = group;
        together.push_back(std::move(made));
      }
      code_.listing.push_back((alone ? "" : "| ") + line_of(node));
    }
    finish_group();
  }

  void add(InstructionPtr made, bool update) {
    code_.scratch_bytes = std::max(code_.scratch_bytes, made->scratch_bytes);
    code_.shared_bytes = std::max(code_.shared_bytes, made->shared_bytes);
    (update ? code_.apply : code_.compute).push_back(std::move(made));
  }

  std::string line_of(const Node& node) const {
    std::string line;
    for (std::size_t i = 0; i < node.types.size(); ++i) {
      const Value v = node.output(i);
      line += fmt::format("{}{}: {}", i == 0 ? "" : ", ", text_name(v), to_string(v.type()));
      const std::byte* arena = code_.owned.back().data();
      if (slot(v)->local_example > 0) {
        line += " within the slice";
        continue;
      }
      const std::byte* data = slot(v)->data;
      line += data >= arena && data < arena + code_.arena_bytes ? fmt::format(" @{}", data - arena)
                                                                : std::string(" in place");
    }
    return line + " = " + std::string(node.op->name);
  }

  // Updates that could not be written in place are copied when everything else is done. A next
  // value that is itself a parameter is set aside first, since all updates happen at once.
  void copy_late_updates() {
    std::vector<InstructionPtr> copies;
    for (const auto& [parameter, next] : graph().updates()) {
      const Slot* to = slot(parameter);
      const Slot* from = slot(next);
      if (to == from) continue;
      const std::size_t bytes =
          static_cast<std::size_t>(element_count(parameter.shape())) * size_of(parameter.dtype());
      if (is(storage(next), "parameter")) {
        Tensor& aside = code_.owned.emplace_back(next.dtype(), next.shape());
        add(instruction([from, data = aside.data(), bytes](const Machine&) {
              std::memcpy(data, from->data, bytes);
            }),
            false);
        copies.push_back(instruction([to, data = aside.data(), bytes](const Machine&) {
          std::memcpy(to->data, data, bytes);
        }));
      } else {
        copies.push_back(instruction(
            [to, from, bytes](const Machine&) { std::memcpy(to->data, from->data, bytes); }));
      }
    }
    for (InstructionPtr& copy : copies) add(std::move(copy), true);
  }

  void name_inputs() {
    for (const Value& input : graph().inputs()) {
      code_.inputs[input.name()] = {slot(input), input.type()};
    }
  }

  Code code_;
  std::vector<const Node*> order_;
  std::size_t first_update_ = 0;
  std::vector<SliceGroup> groups_;                  // among the steps before the updates
  std::map<std::size_t, std::size_t> local_bytes_;  // by a group's first step
  ValueMap<std::vector<const Node*>> readers_;
  ValueMap<Value> next_of_;  // an update's output → its parameter
  ValueSet kept_;
  std::set<std::int64_t> final_updates_;
  ValueMap<Slot*> slot_;
};

}  // namespace

Code lower(const Graph& graph, const std::shared_ptr<Parameters>& parameters, bool tiny) {
  if (tiny && TinyProgram::fits(graph)) {
    GraphPtr primitives = as_primitives(graph);
    if (TinyProgram::fits(*primitives)) {
      std::optional<Code> code = Lowering(std::move(primitives), parameters).run_tiny();
      if (code) return std::move(*code);
    }
  }
  return Lowering(optimise(graph), parameters).run();
}

const Kernel* find_kernel(const Node& node) {
  for (const std::span<const Kernel> table :
       {fused_kernels(), dense_kernels(), movement_kernels(), image_kernels(), recurrent_kernels(),
        layer_norm_kernels(), attention_kernels()}) {
    for (const Kernel& kernel : table) {
      if (kernel.op != node.op->name) continue;
      return kernel.suits == nullptr || kernel.suits(node) ? &kernel : nullptr;
    }
  }
  return nullptr;
}

}  // namespace chainrule::cpu
