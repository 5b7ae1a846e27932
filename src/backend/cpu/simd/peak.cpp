// A loop of independent multiply-adds that touches no memory, for the best instruction set.
#include "backend/cpu/simd/peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/simd/peak.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, as Highway asks.
#include <hwy/highway.h>
#include "backend/cpu/simd/dispatch.h"

HWY_BEFORE_NAMESPACE();
namespace chainrule::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Adds the operations that it made to *operations; the sum is returned so that none is optimised
// away.
float multiply_add_loop(std::int64_t iterations, double* operations) {
  const hn::ScalableTag<float> d;
  // Two multipliers with a latency of four or five need ten; more than 12 spill without AVX-512.
  constexpr int kChains = 12;
  hn::Vec<decltype(d)> sum[kChains];
  HWY_UNROLL(12)
  for (int i = 0; i < kChains; ++i) sum[i] = hn::Set(d, static_cast<float>(i));
  const auto factor = hn::Set(d, 0.5F);
  const auto term = hn::Set(d, 0.25F);
  for (std::int64_t n = 0; n < iterations; ++n) {
    HWY_UNROLL(12)
    for (int i = 0; i < kChains; ++i) sum[i] = hn::MulAdd(sum[i], factor, term);
  }
  float total = 0.0F;
  for (int i = 0; i < kChains; ++i) total += hn::GetLane(sum[i]);
  *operations = 2.0 * kChains * static_cast<double>(iterations) * static_cast<double>(hn::Lanes(d));
  return total;
}

}  // namespace chainrule::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::cpu {

HWY_EXPORT(multiply_add_loop);

double peak_gflops(ThreadPool& pool) {
  using Clock = std::chrono::steady_clock;
  // A chunk lasts about 0.1 ms and a round 2 ms, so that short interruptions miss some rounds.
  constexpr std::int64_t kIterations = 30'000;
  constexpr int kRounds = 15;
  const std::int64_t chunks = std::int64_t{20} * pool.threads();
  double best = 0.0;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = Clock::now();
    pool.run(chunks, [](std::int64_t, int) {
      double unused = 0.0;
      volatile float sum = chosen(HWY_DISPATCH_TABLE(multiply_add_loop))(kIterations, &unused);
      static_cast<void>(sum);
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    double operations = 0.0;
    volatile float sum = chosen(HWY_DISPATCH_TABLE(multiply_add_loop))(1, &operations);
    static_cast<void>(sum);
    best = std::max(best, operations * kIterations * static_cast<double>(chunks) / seconds * 1e-9);
  }
  return best;
}

}  // namespace chainrule::cpu
#endif
