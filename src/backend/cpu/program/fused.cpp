// Fused nodes on the CPU: an elementwise chain in one pass over memory, a matrix product whose
// blocks are finished by a chain while in cache, and parameter updates, also right behind the
// product that makes the gradient, so that the gradient itself is never stored.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "backend/cpu/kernels/chain.h"
#include "backend/cpu/kernels/instruction.h"
#include "backend/cpu/kernels/reduce.h"
#include "backend/cpu/kernels/update.h"
#include "backend/cpu/program/functions.h"
#include "backend/cpu/program/product_plans.h"
#include "backend/cpu/program/slices.h"
#include "backend/cpu/program/update_chain.h"
#include "chainrule/error.h"
#include "compiler/passes.h"

namespace chainrule::cpu {
namespace {

// Which of a fused node's inputs stands behind a value of its body.
std::size_t input_index(const Node& fused, const Value& v) {
  const std::vector<Value>& inputs = fused.body->inputs();
  return static_cast<std::size_t>(std::find(inputs.begin(), inputs.end(), v) - inputs.begin());
}

const Node* find_product(const Node& fused) {
  for (const Node& node : fused.body->nodes()) {
    if (node.op->product) return &node;
  }
  return nullptr;
}

// The two operands of a product and its plan.
struct Product {
  std::shared_ptr<const ProductPlan> plan;
  Operand a;
  Operand b;

  // Scratch for the product itself, then for one block of its result.
  std::size_t block_offset() const { return (plan->scratch_bytes() + 63) / 64 * 64; }
  std::size_t scratch_bytes() const {
    return block_offset() + static_cast<std::size_t>(plan->largest_block()) * sizeof(float);
  }
};

Product product_of(const Binding& binding, const Node& product) {
  return {make_product_plan(product), binding.in[input_index(binding.node, product.inputs[0])],
          binding.in[input_index(binding.node, product.inputs[1])]};
}

// Computes every block of a product into its thread's scratch and calls finish(rectangle, block).
template <typename F>
void run_product(const Machine& machine, const Product& product, F finish) {
  const ProductPlan& plan = *product.plan;
  plan.prepare(product.b.f32(), *machine.pool);
  const auto chunk_on = [&](std::int64_t chunk, int worker) {
    std::byte* scratch = machine.scratch_of(worker);
    float* block = reinterpret_cast<float*>(scratch + product.block_offset());
    const Rectangle b = plan.block(chunk);
    plan.run(chunk, product.a.f32(), product.b.f32(), block, b.columns, scratch);
    finish(b, block);
  };
  if (plan.chunks() == 1) {
    chunk_on(0, 0);
  } else {
    machine.pool->run(plan.chunks(), chunk_on);
  }
}

// A convolution whose images are finished slice by slice; its chunks are those of one image after
// the other.
template <typename F>
InstructionPtr sliced_product(const Product& product, std::int64_t examples, F finish) {
  class Convolution final : public Sliced {
   public:
    Convolution(const Product& convolution, std::int64_t of, F function)
        : Sliced(of), product_(convolution), finish_(std::move(function)) {
      scratch_bytes = product_.scratch_bytes();
      flop = product_.plan->flop();
    }
    void before(const Machine& machine) const override {
      product_.plan->prepare(product_.b.f32(), *machine.pool);
    }
    void run_part(const SlicePart& part) const override {
      const std::int64_t chunks_of_image = product_.plan->chunks() / slices().examples;
      std::byte* scratch = part.scratch();
      const float* a = part.f32(product_.a);
      float* block = reinterpret_cast<float*>(scratch + product_.block_offset());
      for (std::int64_t chunk = part.begin * chunks_of_image; chunk < part.end * chunks_of_image;
           ++chunk) {
        const Rectangle r = product_.plan->block(chunk);
        product_.plan->run(chunk, a, product_.b.f32(), block, r.columns, scratch);
        finish_(r, block, part);
      }
    }

   private:
    Product product_;
    F finish_;
  };
  return std::make_unique<Convolution>(product, examples, std::move(finish));
}

// ── elementwise chains ───────────────────────────────────────────────────────

struct BoundChain {
  Chain chain;
  std::vector<Operand> inputs;  // of the chain, in its order; the first is the product, if any

  // Pointers are looked up on every run, since inputs may be bound elsewhere in between.
  static constexpr std::size_t kMostInputs = 64;
  struct Pointers {
    const float* in[kMostInputs];
  };
  Pointers pointers() const {
    Pointers p;
    for (std::size_t i = 0; i < inputs.size(); ++i) p.in[i] = inputs[i].f32();
    return p;
  }
  Pointers pointers(const SlicePart& part) const {
    Pointers p;
    for (std::size_t i = 0; i < inputs.size(); ++i) p.in[i] = part.f32(inputs[i]);
    return p;
  }
};

BoundChain chain_of(const Binding& binding, const Node* product) {
  BoundChain bound;
  std::map<std::int64_t, Chain::Register> registers;
  const auto add_input = [&](const Operand& operand, ChainOperand walk) {
    bound.inputs.push_back(operand);
    return bound.chain.add_input(walk);
  };
  // The product's place is held by its own output type; run_rectangle reads the block instead.
  if (product != nullptr) registers[product->id] = add_input(binding.out[0], {});

  const Node* const sum = sum_of_chain(binding.node);
  const Value result =
      sum != nullptr ? sum->inputs[0] : binding.node.body->outputs().front().second;
  const auto whole = [&](const Value& v) {
    const bool one = element_count(result.shape()) == 1;
    return add_input(binding.in[input_index(binding.node, v)],
                     one ? ChainOperand{1, 1} : ChainOperand{});
  };
  for (const Node& node : binding.node.body->nodes()) {
    if (node.op->source || &node == product || &node == sum) continue;
    if (is(node, "constant")) {
      registers[node.id] = bound.chain.add_constant(static_cast<float>(node.real("value")));
    } else if (is(node, "broadcast_to")) {
      const Value from = node.inputs[0];
      if (is(from, "constant")) {
        registers[node.id] = registers.at(from.node().id);
        continue;
      }
      const Walk walk = broadcast_walk(from.shape(), node.types[0].shape).value();
      registers[node.id] =
          add_input(binding.in[input_index(binding.node, from)], {walk.inner, walk.period});
    } else {
      const std::optional<Fn> fn = function_of(node);
      if (!fn) throw Error("the CPU has no elementwise function " + std::string(node.op->name));
      Chain::Register operands[3] = {0, 0, 0};
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const Node& from = node.inputs[i].node();
        if (!registers.contains(from.id)) registers[from.id] = whole(node.inputs[i]);
        operands[i] = registers.at(from.id);
      }
      registers[node.id] = bound.chain.add(fn.value(), operands[0], operands[1], operands[2]);
    }
  }
  bound.chain.add_output(registers.at(result.node().id));
  bound.chain.finish();
  if (bound.inputs.size() > BoundChain::kMostInputs) {
    throw Error("a fused chain reads more than 64 arrays");
  }
  return bound;
}

InstructionPtr lower_chain(const Binding& binding) {
  if (const std::int64_t examples = sliced_examples(binding.node); examples > 0) {
    return sliced(examples, [bound = chain_of(binding, nullptr), out = binding.out[0],
                             of_one = binding.out[0].size() / examples](const SlicePart& part) {
      const BoundChain::Pointers p = bound.pointers(part);
      float* const outputs[] = {part.f32(out)};
      bound.chain.run(p.in, outputs, part.begin * of_one, part.end * of_one);
    });
  }
  return instruction([bound = chain_of(binding, nullptr), out = binding.out[0],
                      count = binding.out[0].size()](const Machine& machine) {
    const BoundChain::Pointers p = bound.pointers();
    float* const outputs[] = {out.f32()};
    for_each_chunk(machine, count, kElementsPerChunk,
                   [&](std::int64_t begin, std::int64_t end, int) {
                     bound.chain.run(p.in, outputs, begin, end);
                   });
  });
}

// A chain whose results are only summed, for each channel: block by block into scratch and from
// there into the sum of the slice.
class SummedChain final : public Sliced {
 public:
  SummedChain(const Binding& binding, const Node& sum, std::int64_t examples)
      : Sliced(examples),
        bound_(chain_of(binding, nullptr)),
        out_(binding.out[0]),
        channels_(out_.size()),
        rows_of_one_(element_count(sum.inputs[0].shape()) / examples /
                     std::max<std::int64_t>(1, channels_)),
        scale_(is(sum, "mean") ? 1.0F / static_cast<float>(rows_of_one_ * examples) : 1.0F),
        totals_(channels_) {
    scratch_bytes = static_cast<std::size_t>((rows_of_block() + 1) * channels_) * sizeof(float);
  }
  void run_part(const SlicePart& part) const override {
    if (channels_ == 0) return;
    const BoundChain::Pointers p = bound_.pointers(part);
    float* const own = reinterpret_cast<float*>(part.scratch());
    float* const block = own + channels_;
    const std::int64_t begin = part.begin * rows_of_one_;
    const std::int64_t end = part.end * rows_of_one_;
    for (std::int64_t row = begin; row < end; row += rows_of_block()) {
      const std::int64_t rows = std::min(rows_of_block(), end - row);
      float* const outputs[] = {block};
      bound_.chain.run_apart(p.in, outputs, row * channels_, (row + rows) * channels_);
      sum(block, own, {rows, channels_, 0, 1, 0, channels_});
      totals_.add(own, part.slice, part.first && row == begin);
    }
  }
  void after(const Machine&) const override { totals_.finish(out_.f32(), scale_); }

 private:
  std::int64_t rows_of_block() const {
    constexpr std::int64_t kFloatsInL1 = 4096;
    return std::max<std::int64_t>(1, kFloatsInL1 / std::max<std::int64_t>(1, channels_));
  }

  BoundChain bound_;
  Operand out_;
  std::int64_t channels_;
  std::int64_t rows_of_one_;  // of an example
  float scale_;
  SliceTotals totals_;
};

InstructionPtr lower_product_chain(const Binding& binding, const Node& node) {
  const Product product = product_of(binding, node);
  const std::int64_t row_length = product.plan->columns();
  if (const std::int64_t examples = sliced_examples(binding.node); examples > 0) {
    return sliced_product(
        product, examples,
        [bound = chain_of(binding, &node), out = binding.out[0], row_length](
            const Rectangle& rectangle, const float* block, const SlicePart& part) {
          const BoundChain::Pointers p = bound.pointers(part);
          float* const outputs[] = {part.f32(out)};
          bound.chain.run_rectangle(p.in, outputs, rectangle, row_length, block, rectangle.columns);
        });
  }
  InstructionPtr made = instruction([product, bound = chain_of(binding, &node),
                                     out = binding.out[0], row_length](const Machine& machine) {
    const BoundChain::Pointers p = bound.pointers();
    float* const outputs[] = {out.f32()};
    run_product(machine, product, [&](const Rectangle& rectangle, const float* block) {
      bound.chain.run_rectangle(p.in, outputs, rectangle, row_length, block, rectangle.columns);
    });
  });
  made->scratch_bytes = product.scratch_bytes();
  made->flop = product.plan->flop();
  return made;
}

// ── updates ──────────────────────────────────────────────────────────────────

// A scalar that is a constant of the body or an array of one element.
struct Scalar {
  std::optional<Operand> operand;
  double value = 0;
  double get() const { return operand ? static_cast<double>(*operand->f32()) : value; }
};

// An update op of a fused body, with its arrays: the parameter and its states, each with the old
// and the next place, which are the same when the update is in place.
struct Update {
  std::vector<Operand> old;
  std::vector<Operand> next;
  std::optional<Operand> gradient;  // none when the product right before makes it
  std::vector<Scalar> scalars;

  float* state(std::size_t i) const { return i < next.size() ? next[i].f32() : nullptr; }

  // A rule works in place, so old values that lie elsewhere are copied to their next place first.
  void copy_old_values() const {
    for (std::size_t i = 0; i < old.size(); ++i) {
      if (old[i].f32() != next[i].f32()) {
        std::copy_n(old[i].f32(), old[i].size(), next[i].f32());
      }
    }
  }
};

Update update_of(const Binding& binding, const Node& root) {
  const auto operand = [&](const Value& v) { return binding.in[input_index(binding.node, v)]; };
  Update update;
  const std::size_t states = root.types.size();
  for (std::size_t i = 0; i < states; ++i) update.old.push_back(operand(root.inputs[i]));
  update.next = binding.out;
  if (!root.inputs[states].node().op->product) update.gradient = operand(root.inputs[states]);
  for (std::size_t i = states + 1; i < root.inputs.size(); ++i) {
    const Value v = root.inputs[i];
    update.scalars.push_back(is(v, "constant") ? Scalar{std::nullopt, v.node().real("value")}
                                               : Scalar{operand(v), 0});
  }
  return update;
}

// The instruction for an update whose rule is made anew for each run, from the learning rate and
// the step, and applied to a range of the arrays or to a rectangle behind a product.
template <typename MakeRule, typename Apply>
InstructionPtr lower_update(const Binding& binding, const Node* matmul, const Update& update,
                            MakeRule make_rule, Apply apply) {
  if (matmul == nullptr) {
    return instruction([=, count = binding.out[0].size()](const Machine& machine) {
      update.copy_old_values();
      const auto rule = make_rule(update.scalars);
      for_each_chunk(machine, count, kElementsPerChunk,
                     [&](std::int64_t begin, std::int64_t end, int) {
                       apply(rule, update, update.gradient->f32(), begin, end);
                     });
    });
  }
  const Product product = product_of(binding, *matmul);
  InstructionPtr made = instruction([=](const Machine& machine) {
    update.copy_old_values();
    const auto rule = make_rule(update.scalars);
    run_product(machine, product, [&](const Rectangle& rectangle, const float* block) {
      apply(rule, update,
            GradientBlock{block, rectangle.columns, rectangle, product.plan->columns()});
    });
  });
  made->scratch_bytes = product.scratch_bytes();
  made->flop = product.plan->flop();
  return made;
}

InstructionPtr lower_sgd(const Binding& binding, const Node& root, const Node* matmul) {
  Sgd sgd;
  sgd.momentum = root.real("momentum");
  sgd.weight_decay = root.real("weight_decay");
  sgd.nesterov = root.flag("nesterov");
  return lower_update(
      binding, matmul, update_of(binding, root),
      [sgd](const std::vector<Scalar>& scalars) {
        Sgd rule = sgd;
        rule.learning_rate = scalars[0].get();
        return rule;
      },
      [](const Sgd& rule, const Update& u, auto... gradient) {
        update(rule, u.state(0), u.state(1), gradient...);
      });
}

InstructionPtr lower_rmsprop(const Binding& binding, const Node& root, const Node* matmul) {
  RmsProp rmsprop;
  rmsprop.alpha = root.real("decay");
  rmsprop.epsilon = root.real("epsilon");
  rmsprop.momentum = root.real("momentum");
  rmsprop.weight_decay = root.real("weight_decay");
  rmsprop.centred = root.flag("centered");
  return lower_update(
      binding, matmul, update_of(binding, root),
      [rmsprop](const std::vector<Scalar>& scalars) {
        RmsProp rule = rmsprop;
        rule.learning_rate = scalars[0].get();
        return rule;
      },
      [](const RmsProp& rule, const Update& u, auto... gradient) {
        float* mean = rule.centred ? u.state(2) : nullptr;
        update(rule, u.state(0), u.state(1), mean, u.state(rule.centred ? 3 : 2), gradient...);
      });
}

InstructionPtr lower_adam(const Binding& binding, const Node& root, const Node* matmul) {
  Adam adam;
  adam.beta1 = root.real("beta1");
  adam.beta2 = root.real("beta2");
  adam.epsilon = root.real("epsilon");
  adam.weight_decay = root.real("weight_decay");
  adam.decoupled = root.flag("decoupled");
  return lower_update(
      binding, matmul, update_of(binding, root),
      [adam](const std::vector<Scalar>& scalars) {
        Adam rule = adam;
        rule.learning_rate = scalars[0].get();
        rule.correction1 = 1 - std::pow(rule.beta1, scalars[1].get());
        rule.correction2 = 1 - std::pow(rule.beta2, scalars[1].get());
        return rule;
      },
      [](const Adam& rule, const Update& u, auto... gradient) {
        update(rule, u.state(0), u.state(1), u.state(2), gradient...);
      });
}

// An update without a kernel of its own.
InstructionPtr lower_any_update(const Binding& binding, const Node& root, const Node* matmul) {
  constexpr std::size_t kMostArrays = 8;
  const Update update = update_of(binding, root);
  if (update.next.size() > kMostArrays) throw Error("an update of more than 8 arrays");
  const auto chain = std::make_shared<UpdateChain>(root);
  return lower_update(
      binding, matmul, update,
      [chain](const std::vector<Scalar>& scalars) {
        std::array<double, UpdateChain::kMostScalars> values{};
        for (std::size_t i = 0; i < scalars.size(); ++i) values[i] = scalars[i].get();
        return chain->scalars(values);
      },
      [chain](const UpdateChain::Scalars& scalars, const Update& u, auto... gradient) {
        std::array<float*, kMostArrays> arrays{};
        for (std::size_t i = 0; i < u.next.size(); ++i) arrays[i] = u.next[i].f32();
        chain->run(scalars, std::span(arrays.data(), u.next.size()), gradient...);
      });
}

InstructionPtr lower_fused(const Binding& binding) {
  const Node& root = binding.node.body->outputs().front().second.node();
  const Node* matmul = find_product(binding.node);
  if (is(root, "sgd")) return lower_sgd(binding, root, matmul);
  if (is(root, "rmsprop")) return lower_rmsprop(binding, root, matmul);
  if (is(root, "adam") && root.types.size() == 3) return lower_adam(binding, root, matmul);
  if (root.op->update) return lower_any_update(binding, root, matmul);
  if (const Node* sum = sum_of_chain(binding.node)) {
    return std::make_unique<SummedChain>(binding, *sum, sum->inputs[0].extent(0));
  }
  return matmul == nullptr ? lower_chain(binding) : lower_product_chain(binding, *matmul);
}

// A matrix product without a fused epilogue, with leading batch axes.
InstructionPtr lower_matmul(const Binding& binding) {
  const MatmulPlan plan(matmul_shape(binding.node));
  const MatmulShape shape = plan.shape();
  const std::int64_t batch =
      shape.m * shape.n == 0 ? 0 : binding.out[0].size() / (shape.m * shape.n);
  InstructionPtr made = instruction([plan, a = binding.in[0], b = binding.in[1],
                                     out = binding.out[0], batch](const Machine& machine) {
    const MatmulShape& s = plan.shape();
    const std::int64_t chunks = plan.chunks();
    machine.pool->run(batch * chunks, [&](std::int64_t index, int worker) {
      const std::int64_t i = index / chunks;
      const Rectangle r = plan.block(index % chunks);
      plan.run(index % chunks, a.f32() + i * s.m * s.k, b.f32() + i * s.k * s.n,
               out.f32() + i * s.m * s.n + r.row * s.n + r.column, s.n, machine.scratch_of(worker));
    });
  });
  made->scratch_bytes = plan.scratch_bytes();
  made->flop = plan.flop() * static_cast<double>(batch);
  return made;
}

constexpr Kernel kKernels[] = {
    {"fused", lower_fused},
    {"matmul", lower_matmul},
    // These always come fused; the entries say that they need no expansion.
    {"sgd", lower_fused},
    {"rmsprop", lower_fused},
    {"adam", lower_fused},
};

}  // namespace

std::span<const Kernel> fused_kernels() { return kKernels; }

}  // namespace chainrule::cpu
