// The instructions for images: convolutions without a fused epilogue, the gradient of their weights,
// pooling, unfold and fold. Work is cut by images, or slice by slice of the batch (slices.h).
#include <algorithm>

#include "backend/cpu/kernels/convolution.h"
#include "backend/cpu/kernels/instruction.h"
#include "backend/cpu/kernels/pool.h"
#include "backend/cpu/program/product_plans.h"
#include "backend/cpu/program/slices.h"
#include "ops/window.h"

namespace chainrule::cpu {
namespace {

bool is_direct(const Node& node) { return window_of(node).dilation[1] == 1; }

// A convolution without a fused epilogue, into its place.
class Convolution final : public Sliced {
 public:
  explicit Convolution(const Binding& binding)
      : Sliced(sliced_examples(binding.node)),
        plan_(make_product_plan(binding.node)),
        a_(binding.in[0]),
        b_(binding.in[1]),
        out_(binding.out[0]) {
    scratch_bytes = plan_->scratch_bytes();
    flop = plan_->flop();
  }
  void before(const Machine& machine) const override { plan_->prepare(b_.f32(), *machine.pool); }
  void run_part(const SlicePart& part) const override {
    const std::int64_t chunks_of_image = plan_->chunks() / slices().examples;
    for (std::int64_t chunk = part.begin * chunks_of_image; chunk < part.end * chunks_of_image;
         ++chunk) {
      run_chunk(chunk, part.f32(a_), part.f32(out_), part.scratch());
    }
  }
  void run(const Machine& machine) const override {
    before(machine);
    machine.pool->run(plan_->chunks(), [&](std::int64_t chunk, int worker) {
      run_chunk(chunk, a_.f32(), out_.f32(), machine.scratch_of(worker));
    });
  }

 private:
  void run_chunk(std::int64_t chunk, const float* a, float* out, std::byte* scratch) const {
    const Rectangle r = plan_->block(chunk);
    plan_->run(chunk, a, b_.f32(), out + r.row * plan_->columns() + r.column, plan_->columns(),
               scratch);
  }

  std::shared_ptr<const ProductPlan> plan_;
  Operand a_, b_, out_;
};

InstructionPtr lower_convolution(const Binding& binding) {
  return std::make_unique<Convolution>(binding);
}

class WeightGradient final : public Sliced {
 public:
  WeightGradient(const Binding& binding, std::unique_ptr<WeightGradientPlan> plan)
      : Sliced(binding.in[0].shape()[0]),
        plan_(std::move(plan)),
        x_(binding.in[0]),
        dy_(binding.in[1]),
        dw_(binding.out[0]),
        partials_(DType::kF32, {Slices::kCount, plan_->partial_elements()}) {
    scratch_bytes = plan_->scratch_bytes();
    flop = plan_->flop();
  }
  void run_part(const SlicePart& part) const override {
    float* const partial = partials() + part.slice * plan_->partial_elements();
    if (part.begin == part.end) {  // of a batch smaller than the number of slices
      std::fill_n(partial, plan_->partial_elements(), 0.0F);
      return;
    }
    plan_->run(part.begin, part.end, part.f32(x_), part.f32(dy_), partial, !part.first,
               part.scratch());
  }
  void after(const Machine& machine) const override {
    machine.pool->run(plan_->finishing_chunks(), [&](std::int64_t chunk, int) {
      plan_->finish(partials(), Slices::kCount, chunk, dw_.f32());
    });
  }

 private:
  float* partials() const { return partials_.values<float>().data(); }

  std::unique_ptr<WeightGradientPlan> plan_;
  Operand x_, dy_, dw_;
  mutable Tensor partials_;
};

InstructionPtr lower_weight_gradient(const Binding& binding) {
  return std::make_unique<WeightGradient>(
      binding,
      make_weight_plan(binding.in[0].shape(), binding.in[1].shape(), window_of(binding.node)));
}

// `image` are the shapes of one side, `windows` of the other.
PoolShape pool_shape(const Node& node, const Shape& image, const Shape& windows) {
  return {window_of(node), image[1], image[2], image[3], windows[1], windows[2]};
}

// An instruction that calls f(image, part) for each image of x; `part` says where arrays lie.
template <typename F>
InstructionPtr for_each_image(const Operand& x, F f) {
  class Images final : public Sliced {
   public:
    Images(std::int64_t images, F function) : Sliced(images), function_(std::move(function)) {}
    void run_part(const SlicePart& part) const override {
      for (std::int64_t image = part.begin; image < part.end; ++image) function_(image, part);
    }
    void run(const Machine& machine) const override {
      machine.pool->run(slices().examples, [&](std::int64_t image, int worker) {
        function_(image, SlicePart{machine, worker, 0, image, image + 1});
      });
    }

   private:
    F function_;
  };
  return std::make_unique<Images>(x.shape()[0], std::move(f));
}

// Floats between two images.
std::int64_t step_of(const Operand& x) {
  const Shape& shape = x.shape();
  return shape[1] * shape[2] * shape[3];
}

InstructionPtr lower_max_pool(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.in[0].shape(), binding.out[0].shape());
  return for_each_image(binding.in[0], [shape, x = binding.in[0], y = binding.out[0]](
                                           std::int64_t image, const SlicePart& part) {
    max_pool(shape, part.f32(x) + image * step_of(x), part.f32(y) + image * step_of(y));
  });
}

InstructionPtr lower_max_pool_gradient(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.in[0].shape(), binding.in[1].shape());
  return for_each_image(
      binding.out[0], [shape, x = binding.in[0], y = binding.in[1], dy = binding.in[2],
                       dx = binding.out[0]](std::int64_t image, const SlicePart& part) {
        const std::int64_t at = image * step_of(y);
        max_pool_gradient(shape, part.f32(x) + image * step_of(x), part.f32(y) + at,
                          part.f32(dy) + at, part.f32(dx) + image * step_of(x));
      });
}

// ── depthwise convolutions ───────────────────────────────────────────────────

InstructionPtr lower_depthwise(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.in[0].shape(), binding.out[0].shape());
  return for_each_image(binding.in[0], [shape, x = binding.in[0], w = binding.in[1],
                                        y = binding.out[0]](std::int64_t image,
                                                            const SlicePart& part) {
    depthwise(shape, part.f32(x) + image * step_of(x), w.f32(), part.f32(y) + image * step_of(y));
  });
}

InstructionPtr lower_depthwise_input_gradient(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.out[0].shape(), binding.in[0].shape());
  return for_each_image(binding.out[0],
                        [shape, dy = binding.in[0], w = binding.in[1], dx = binding.out[0]](
                            std::int64_t image, const SlicePart& part) {
                          depthwise_input_gradient(shape, part.f32(dy) + image * step_of(dy),
                                                   w.f32(), part.f32(dx) + image * step_of(dx));
                        });
}

class DepthwiseWeightPlan final : public WeightGradientPlan {
 public:
  explicit DepthwiseWeightPlan(const PoolShape& shape) : shape_(shape) {}

  std::int64_t partial_elements() const override {
    return shape_.window.kernel[0] * shape_.window.kernel[1] * shape_.channels;
  }
  std::size_t scratch_bytes() const override { return 0; }
  double flop() const override { return 0; }  // memory is what it waits for
  void run(std::int64_t begin, std::int64_t end, const float* x, const float* dy, float* partial,
           bool accumulate, std::byte*) const override {
    if (!accumulate) std::fill_n(partial, partial_elements(), 0.0F);
    for (std::int64_t image = begin; image < end; ++image) {
      depthwise_weight_gradient(shape_, x + image * shape_.height * shape_.width * shape_.channels,
                                dy + image * shape_.out_height * shape_.out_width * shape_.channels,
                                partial);
    }
  }
  std::int64_t finishing_chunks() const override { return 1; }
  void finish(const float* partials, std::int64_t parts, std::int64_t, float* dw) const override {
    join_partials(partials, parts, partial_elements(), 0, partial_elements(), dw);
  }

 private:
  PoolShape shape_;
};

InstructionPtr lower_depthwise_weight_gradient(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.in[0].shape(), binding.in[1].shape());
  return std::make_unique<WeightGradient>(binding, std::make_unique<DepthwiseWeightPlan>(shape));
}

InstructionPtr lower_unfold(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.in[0].shape(), binding.out[0].shape());
  const auto outside = static_cast<float>(binding.node.real("outside"));
  return for_each_image(binding.in[0], [shape, outside, x = binding.in[0], y = binding.out[0]](
                                           std::int64_t image, const SlicePart& part) {
    unfold(shape, outside, part.f32(x) + image * step_of(x), part.f32(y) + image * step_of(y));
  });
}

InstructionPtr lower_fold(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.out[0].shape(), binding.in[0].shape());
  return for_each_image(binding.out[0], [shape, y = binding.in[0], x = binding.out[0]](
                                            std::int64_t image, const SlicePart& part) {
    fold(shape, part.f32(y) + image * step_of(y), part.f32(x) + image * step_of(x));
  });
}

constexpr Kernel kKernels[] = {
    {"conv2d", lower_convolution, is_direct},
    {"conv2d_transpose", lower_convolution},
    {"conv2d_weight_backward", lower_weight_gradient, is_direct},
    {"depthwise_conv2d", lower_depthwise},
    {"depthwise_conv2d_input_backward", lower_depthwise_input_gradient},
    {"depthwise_conv2d_weight_backward", lower_depthwise_weight_gradient},
    {"max_pool2d", lower_max_pool},
    {"max_pool2d_backward", lower_max_pool_gradient},
    {"unfold", lower_unfold},
    {"fold", lower_fold},
};

}  // namespace

std::span<const Kernel> image_kernels() { return kKernels; }

}  // namespace chainrule::cpu
