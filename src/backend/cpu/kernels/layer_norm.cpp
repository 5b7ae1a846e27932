// Layer normalisation, compiled once for every instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/layer_norm.cpp"
#include <hwy/foreach_target.h>
// Must follow foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "backend/cpu/kernels/instruction.h"
#include "backend/cpu/kernels/layer_norm.h"
#include "backend/cpu/kernels/reduce.h"
#include "backend/cpu/simd/dispatch.h"
#include "backend/cpu/simd/reduce-inl.h"
#include "chainrule/tensor.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu {
namespace HWY_NAMESPACE {

void normalise_rows(const float* x, const float* gamma, const float* beta, float epsilon, float* y,
                    float* mean, float* scale, std::int64_t columns, std::int64_t begin,
                    std::int64_t end) {
  const auto n = static_cast<std::size_t>(columns);
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const row = x + r * columns;
    float* const to = y + r * columns;
    const RowMoments moments = row_moments(row, n);
    const float factor = 1.0F / std::sqrt(moments.variance + epsilon);
    mean[r] = moments.mean;
    scale[r] = factor;
    const V m = set(moments.mean);
    const V s = set(factor);
    sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
      const V normal = hn::Mul(hn::Sub(access.load(row + i), m), s);
      access.store(hn::MulAdd(normal, access.load(gamma + i), access.load(beta + i)), to + i);
    });
  }
}

// g = dy ⊙ gamma, and times x̂.
struct Upstream {
  const float* gamma;
  template <class Access>
  HWY_INLINE V operator()(V dy, std::size_t i, Access access) const {
    return hn::Mul(dy, access.load(gamma + i));
  }
};
struct UpstreamTimesNormal {
  const float* gamma;
  const float* x;
  float mean;
  float scale;
  template <class Access>
  HWY_INLINE V operator()(V dy, std::size_t i, Access access) const {
    const V normal = hn::Mul(hn::Sub(access.load(x + i), set(mean)), set(scale));
    return hn::Mul(hn::Mul(dy, access.load(gamma + i)), normal);
  }
};

void gradient_of_rows(const LayerNormGradient& arrays, std::int64_t columns, std::int64_t begin,
                      std::int64_t end, float* dgamma, float* dbeta) {
  const LayerNormGradient a = arrays;
  const auto n = static_cast<std::size_t>(columns);
  const float share = 1.0F / static_cast<float>(columns);
  for (std::int64_t r = begin; r < end; ++r) {
    const float* const x = a.x + r * columns;
    const float* const dy = a.dy + r * columns;
    float* const dx = a.dx + r * columns;
    const V mean = set(a.mean[r]);
    const V scale = set(a.scale[r]);
    const V level = set(share * reduce_row(dy, n, AddJoin{}, Upstream{a.gamma}));
    const V along = set(share * reduce_row(dy, n, AddJoin{},
                                           UpstreamTimesNormal{a.gamma, x, a.mean[r], a.scale[r]}));
    sweep(n, [&](std::size_t i, auto access) HWY_ATTR {
      const V normal = hn::Mul(hn::Sub(access.load(x + i), mean), scale);
      const V upstream = access.load(dy + i);
      const V g = hn::Mul(upstream, access.load(a.gamma + i));
      access.store(hn::Mul(scale, hn::NegMulAdd(normal, along, hn::Sub(g, level))), dx + i);
      access.store(hn::MulAdd(upstream, normal, access.load(dgamma + i)), dgamma + i);
      access.store(hn::Add(upstream, access.load(dbeta + i)), dbeta + i);
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(normalise_rows);
HWY_EXPORT(gradient_of_rows);

void layer_norm(const float* x, const float* gamma, const float* beta, float epsilon, float* y,
                float* mean, float* scale, std::int64_t columns, std::int64_t begin,
                std::int64_t end) {
  chosen(HWY_DISPATCH_TABLE(normalise_rows))(x, gamma, beta, epsilon, y, mean, scale, columns,
                                             begin, end);
}

void layer_norm_gradient(const LayerNormGradient& arrays, std::int64_t columns, std::int64_t begin,
                         std::int64_t end, float* dgamma, float* dbeta) {
  chosen(HWY_DISPATCH_TABLE(gradient_of_rows))(arrays, columns, begin, end, dgamma, dbeta);
}

namespace {

InstructionPtr lower_layer_norm(const Binding& binding) {
  return instruction(
      [x = binding.in[0], gamma = binding.in[1], beta = binding.in[2], y = binding.out[0],
       mean = binding.out[1], scale = binding.out[2],
       epsilon = static_cast<float>(binding.node.real("epsilon"))](const Machine& machine) {
        const std::int64_t columns = columns_of(x);
        for_each_chunk(machine, rows_of(x), rows_per_chunk(columns),
                       [&](std::int64_t begin, std::int64_t end, int) {
                         layer_norm(x.f32(), gamma.f32(), beta.f32(), epsilon, y.f32(), mean.f32(),
                                    scale.f32(), columns, begin, end);
                       });
      });
}

// Each chunk of rows has sums of its own, which are joined in order.
InstructionPtr lower_layer_norm_gradient(const Binding& binding) {
  const std::int64_t columns = columns_of(binding.in[0]);
  constexpr std::int64_t kMostRows = 256;  // whose gradients are added up plainly
  const std::int64_t rows = std::min(kMostRows, rows_per_chunk(columns));
  const std::int64_t chunks = (rows_of(binding.in[0]) + rows - 1) / rows;
  // One more, for what joining the chunks rounds off.
  const auto sums = std::make_shared<Tensor>(
      DType::kF32, Shape{std::max<std::int64_t>(1, chunks) + 1, 2 * columns});
  return instruction([binding_in = binding.in, dx = binding.out[0], dgamma = binding.out[1],
                      dbeta = binding.out[2], columns, rows, chunks, sums](const Machine& machine) {
    const LayerNormGradient arrays{binding_in[0].f32(), binding_in[1].f32(), binding_in[2].f32(),
                                   binding_in[3].f32(), binding_in[4].f32(), dx.f32()};
    float* const all = sums->values<float>().data();
    std::fill_n(all, sums->size(), 0.0F);
    for_each_chunk(machine, rows_of(dx), rows, [&](std::int64_t begin, std::int64_t end, int) {
      float* const own = all + begin / rows * 2 * columns;
      layer_norm_gradient(arrays, columns, begin, end, own, own + columns);
    });
    float* const lost = all + std::max<std::int64_t>(1, chunks) * 2 * columns;
    for (std::int64_t chunk = 1; chunk < chunks; ++chunk) {
      add_to_sum(all + chunk * 2 * columns, all, lost, 2 * columns);
    }
    std::copy_n(all, columns, dgamma.f32());
    std::copy_n(all + columns, columns, dbeta.f32());
  });
}

constexpr Kernel kKernels[] = {
    {"layer_norm", lower_layer_norm},
    {"layer_norm_backward", lower_layer_norm_gradient},
};

}  // namespace

std::span<const Kernel> layer_norm_kernels() { return kKernels; }

}  // namespace chainrule::cpu
#endif
