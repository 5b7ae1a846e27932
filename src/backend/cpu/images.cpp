// The instructions for images: convolutions that nothing finishes, the gradient of their weights,
// pooling, unfold and fold. Work is cut by images.
#include "backend/cpu/convolution.h"
#include "backend/cpu/instruction.h"
#include "backend/cpu/pool.h"
#include "backend/cpu/product_plans.h"
#include "ops/window.h"

namespace chainrule::cpu {
namespace {

bool is_direct(const Node& node) { return window_of(node).dilation[1] == 1; }

InstructionPtr lower_convolution(const Binding& binding) {
  const std::shared_ptr<const ProductPlan> plan = make_product_plan(binding.node);
  InstructionPtr made = instruction(
      [plan, a = binding.in[0], b = binding.in[1], out = binding.out[0]](const Machine& machine) {
        plan->prepare(b.f32());
        machine.pool->run(plan->chunks(), [&](std::int64_t chunk, int worker) {
          const Rectangle r = plan->block(chunk);
          plan->run(chunk, a.f32(), b.f32(), out.f32() + r.row * plan->columns() + r.column,
                    plan->columns(), machine.scratch_of(worker));
        });
      });
  made->scratch_bytes = plan->scratch_bytes();
  made->flop = plan->flop();
  return made;
}

InstructionPtr lower_weight_gradient(const Binding& binding) {
  const ConvolutionWeightPlan plan(binding.in[0].shape(), binding.in[1].shape(),
                                   window_of(binding.node));
  auto partial = std::make_shared<Tensor>(DType::kF32, Shape{plan.chunks() * plan.elements()});
  InstructionPtr made = instruction([plan, partial, x = binding.in[0], dy = binding.in[1],
                                     dw = binding.out[0]](const Machine& machine) {
    float* const sums = partial->values<float>().data();
    machine.pool->run(plan.chunks(), [&](std::int64_t chunk, int worker) {
      plan.run(chunk, x.f32(), dy.f32(), sums, machine.scratch_of(worker));
    });
    for_each_chunk(machine, plan.elements(), 4096, [&](std::int64_t begin, std::int64_t end, int) {
      plan.join(sums, dw.f32(), begin, end);
    });
  });
  made->scratch_bytes = plan.scratch_bytes();
  made->flop = plan.flop();
  return made;
}

// `image` are the shapes of one side, `windows` of the other.
PoolShape pool_shape(const Node& node, const Shape& image, const Shape& windows) {
  return {window_of(node), image[1], image[2], image[3], windows[1], windows[2]};
}

// Calls f(image) for each of so many images.
template <typename F>
void for_each_image(const Machine& machine, std::int64_t images, F f) {
  machine.pool->run(images, [&](std::int64_t image, int) { f(image); });
}

// Floats between two images.
std::int64_t step_of(const Operand& x) {
  const Shape& shape = x.shape();
  return shape[1] * shape[2] * shape[3];
}

InstructionPtr lower_max_pool(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.in[0].shape(), binding.out[0].shape());
  return instruction([shape, x = binding.in[0], y = binding.out[0]](const Machine& machine) {
    for_each_image(machine, x.shape()[0], [&](std::int64_t image) {
      max_pool(shape, x.f32() + image * step_of(x), y.f32() + image * step_of(y));
    });
  });
}

InstructionPtr lower_max_pool_gradient(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.in[0].shape(), binding.in[1].shape());
  return instruction([shape, x = binding.in[0], y = binding.in[1], dy = binding.in[2],
                      dx = binding.out[0]](const Machine& machine) {
    for_each_image(machine, x.shape()[0], [&](std::int64_t image) {
      const std::int64_t at = image * step_of(y);
      max_pool_gradient(shape, x.f32() + image * step_of(x), y.f32() + at, dy.f32() + at,
                        dx.f32() + image * step_of(x));
    });
  });
}

InstructionPtr lower_unfold(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.in[0].shape(), binding.out[0].shape());
  const auto outside = static_cast<float>(binding.node.real("outside"));
  return instruction(
      [shape, outside, x = binding.in[0], y = binding.out[0]](const Machine& machine) {
        for_each_image(machine, x.shape()[0], [&](std::int64_t image) {
          unfold(shape, outside, x.f32() + image * step_of(x), y.f32() + image * step_of(y));
        });
      });
}

InstructionPtr lower_fold(const Binding& binding) {
  const PoolShape shape = pool_shape(binding.node, binding.out[0].shape(), binding.in[0].shape());
  return instruction([shape, y = binding.in[0], x = binding.out[0]](const Machine& machine) {
    for_each_image(machine, x.shape()[0], [&](std::int64_t image) {
      fold(shape, y.f32() + image * step_of(y), x.f32() + image * step_of(x));
    });
  });
}

constexpr Kernel kKernels[] = {
    {"conv2d", lower_convolution, is_direct},
    {"conv2d_transpose", lower_convolution},
    {"conv2d_weight_backward", lower_weight_gradient, is_direct},
    {"max_pool2d", lower_max_pool},
    {"max_pool2d_backward", lower_max_pool_gradient},
    {"unfold", lower_unfold},
    {"fold", lower_fold},
};

}  // namespace

std::span<const Kernel> image_kernels() { return kKernels; }

}  // namespace chainrule::cpu
