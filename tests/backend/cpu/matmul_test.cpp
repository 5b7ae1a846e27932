#include "backend/cpu/kernels/matmul.h"

#include <doctest/doctest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "backend/cpu/simd/peak.h"
#include "backend/threads/thread_pool.h"
#include "base/philox.h"

using chainrule::PhiloxStream;
using chainrule::ThreadPool;
using chainrule::cpu::MatmulPlan;
using chainrule::cpu::MatmulShape;
using chainrule::cpu::Rectangle;

namespace {

constexpr float kSentinel = 12345.0F;
constexpr std::size_t kGuard = 64;

// Numbers in [-1, 1) at an address that is `shift` floats past a 64-byte boundary, exactly as long
// as they must be, so that a sanitizer sees every read past the end.
class Matrix {
 public:
  Matrix(std::int64_t count, std::size_t shift, std::uint32_t stream)
      : storage_(static_cast<std::size_t>(count) + shift), shift_(shift) {
    const PhiloxStream random{7, stream, 0};
    for (std::size_t i = shift; i < storage_.size(); ++i) {
      storage_[i] = static_cast<float>(random.uniform(i) * 2 - 1);
    }
  }
  const float* data() const { return storage_.data() + shift_; }

 private:
  std::vector<float> storage_;
  std::size_t shift_;
};

struct Scratch {
  explicit Scratch(std::size_t bytes) : storage(bytes + 64) {}
  std::byte* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(storage.data());
    return storage.data() + (64 - address % 64) % 64;
  }
  std::vector<std::byte> storage;
};

std::string name_of(const MatmulShape& s) {
  return std::string(s.transpose_a ? "T" : "N") + (s.transpose_b ? "T " : "N ") +
         std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k);
}

// The product by `threads` threads into a NaN-filled matrix between sentinels, which must survive.
std::vector<float> multiply(const MatmulShape& s, const float* a, const float* b, int threads,
                            std::size_t shift = 0) {
  const MatmulPlan plan(s);
  ThreadPool pool(threads);
  std::vector<Scratch> scratch;
  for (int i = 0; i < threads; ++i) scratch.emplace_back(plan.scratch_bytes());
  const auto size = static_cast<std::size_t>(s.m * s.n);
  std::vector<float> guarded(size + 2 * kGuard + shift, kSentinel);
  float* c = guarded.data() + kGuard + shift;
  std::fill_n(c, size, std::numeric_limits<float>::quiet_NaN());
  pool.run(plan.chunks(), [&](std::int64_t chunk, int worker) {
    const Rectangle block = plan.block(chunk);
    plan.run(chunk, a, b, c + block.row * s.n + block.column, s.n,
             scratch[static_cast<std::size_t>(worker)].data());
  });
  const auto is_sentinel = [](float x) { return x == kSentinel; };
  CHECK_MESSAGE(std::all_of(guarded.data(), c, is_sentinel), name_of(s));
  CHECK_MESSAGE(std::all_of(c + size, guarded.data() + guarded.size(), is_sentinel), name_of(s));
  return {c, c + size};
}

// The largest |c - exact| over its bound k·2⁻²³·Σ|a·b|; at most 1 if every element is right.
double worst_error(const MatmulShape& s, const float* a, const float* b,
                   const std::vector<float>& c) {
  double worst = 0;
  for (std::int64_t m = 0; m < s.m; ++m) {
    for (std::int64_t n = 0; n < s.n; ++n) {
      double exact = 0;
      double size = 0;
      for (std::int64_t k = 0; k < s.k; ++k) {
        const double x = a[s.transpose_a ? k * s.m + m : m * s.k + k];
        const double y = b[s.transpose_b ? n * s.k + k : k * s.n + n];
        exact += x * y;
        size += std::abs(x * y);
      }
      const double error = std::abs(c[static_cast<std::size_t>(m * s.n + n)] - exact);
      if (!(error <= static_cast<double>(s.k) * 0x1p-23 * size)) worst = 2;
      if (size > 0) worst = std::max(worst, error / (static_cast<double>(s.k) * 0x1p-23 * size));
    }
  }
  return worst;
}

void check_product(const MatmulShape& s, std::size_t shift = 0) {
  const Matrix a(s.m * s.k, shift, 1);
  const Matrix b(s.k * s.n, shift, 2);
  const std::vector<float> c = multiply(s, a.data(), b.data(), 1, shift);
  CHECK_MESSAGE(worst_error(s, a.data(), b.data(), c) <= 1.0, name_of(s));
}

// Runs f once for each instruction set that this machine has.
template <typename F>
void for_every_target(F f) {
  const std::int64_t supported = hwy::SupportedTargets();
  for (std::int64_t rest = supported; rest != 0; rest &= rest - 1) {
    const std::int64_t target = rest & -rest;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    CAPTURE(hwy::TargetName(target));
    f();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace

TEST_CASE("matmul: odd sizes, all transposes, every instruction set") {
  const std::vector<std::int64_t> sizes = {1, 2, 3, 5, 8, 13, 17, 33};
  for_every_target([&] {
    for (const std::int64_t m : sizes) {
      for (const std::int64_t n : sizes) {
        for (const std::int64_t k : sizes) {
          for (int t = 0; t < 4; ++t) check_product({m, n, k, t % 2 == 1, t >= 2});
        }
      }
    }
  });
}

TEST_CASE("matmul: sizes that are cut into chunks and pieces, every instruction set") {
  for_every_target([] {
    for (int t = 0; t < 4; ++t) {
      const bool ta = t % 2 == 1;
      const bool tb = t >= 2;
      check_product({61, 127, 131, ta, tb});
      check_product({64, 10, 128, ta, tb});
      check_product({67, 1, 257, ta, tb});
      check_product({1, 67, 257, ta, tb});
      check_product({31, 47, 2311, ta, tb});
      check_product({16, 96, 1024, ta, tb});
    }
  });
}

TEST_CASE("matmul: misaligned matrices") {
  for (std::size_t shift = 1; shift < 16; shift += 3) {
    for (int t = 0; t < 4; ++t) {
      check_product({29, 37, 19, t % 2 == 1, t >= 2}, shift);
      check_product({3, 3, 2, t % 2 == 1, t >= 2}, shift);
    }
  }
}

TEST_CASE("matmul: an empty sum is zero, an empty product touches nothing") {
  for (int t = 0; t < 4; ++t) {
    const MatmulShape no_k{7, 35, 0, t % 2 == 1, t >= 2};
    CHECK(multiply(no_k, nullptr, nullptr, 2) == std::vector<float>(7 * 35, 0.0F));
    const Matrix a(12, 0, 1);
    CHECK(multiply({0, 3, 4, t % 2 == 1, t >= 2}, nullptr, a.data(), 2).empty());
    CHECK(multiply({3, 0, 4, t % 2 == 1, t >= 2}, a.data(), nullptr, 2).empty());
  }
}

TEST_CASE("matmul: infinities and NaN stay in their own rows and columns") {
  const MatmulShape s{20, 21, 9};
  std::vector<float> a(20 * 9, 1.0F);
  std::vector<float> b(9 * 21, 1.0F);
  a[3 * 9 + 4] = std::numeric_limits<float>::quiet_NaN();
  b[2 * 21 + 20] = std::numeric_limits<float>::infinity();
  const std::vector<float> c = multiply(s, a.data(), b.data(), 1);
  for (std::size_t m = 0; m < 20; ++m) {
    for (std::size_t n = 0; n < 21; ++n) {
      const float value = c[m * 21 + n];
      if (m == 3) {
        CHECK(std::isnan(value));
      } else {
        CHECK(value == (n == 20 ? std::numeric_limits<float>::infinity() : 9.0F));
      }
    }
  }
}

TEST_CASE("matmul: the same bits on 1, 2 and 5 threads") {
  for (const MatmulShape& s :
       {MatmulShape{64, 128, 784}, MatmulShape{128, 512, 101, false, true},
        MatmulShape{784, 128, 64, true, false}, MatmulShape{200, 300, 1100}}) {
    const Matrix a(s.m * s.k, 0, 1);
    const Matrix b(s.k * s.n, 0, 2);
    const std::vector<float> one = multiply(s, a.data(), b.data(), 1);
    CHECK(worst_error(s, a.data(), b.data(), one) <= 1.0);
    for (const int threads : {2, 5}) {
      const std::vector<float> several = multiply(s, a.data(), b.data(), threads);
      CHECK(std::memcmp(one.data(), several.data(), one.size() * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("matmul: the chunks tile the result and a block may go elsewhere") {
  for (const MatmulShape& s : {MatmulShape{64, 128, 784}, MatmulShape{513, 1030, 300, true, false},
                               MatmulShape{1000, 10, 999}, MatmulShape{1, 4000, 4000}}) {
    const MatmulPlan plan(s);
    std::vector<int> covered(static_cast<std::size_t>(s.m * s.n), 0);
    for (std::int64_t chunk = 0; chunk < plan.chunks(); ++chunk) {
      const Rectangle block = plan.block(chunk);
      CHECK(block.rows > 0);
      CHECK(block.rows <= plan.max_block_rows());
      CHECK(block.columns > 0);
      CHECK(block.columns <= plan.max_block_columns());
      for (std::int64_t m = block.row; m < block.row + block.rows; ++m) {
        for (std::int64_t n = block.column; n < block.column + block.columns; ++n) {
          ++covered[static_cast<std::size_t>(m * s.n + n)];
        }
      }
    }
    CHECK(covered == std::vector<int>(covered.size(), 1));
  }

  const MatmulShape s{64, 128, 784};
  const MatmulPlan plan(s);
  REQUIRE(plan.chunks() > 1);
  const Matrix a(s.m * s.k, 0, 1);
  const Matrix b(s.k * s.n, 0, 2);
  const std::vector<float> whole = multiply(s, a.data(), b.data(), 1);
  Scratch scratch(plan.scratch_bytes());
  for (std::int64_t chunk = 0; chunk < plan.chunks(); ++chunk) {
    const Rectangle block = plan.block(chunk);
    std::vector<float> buffer(static_cast<std::size_t>(block.rows * block.columns),
                              std::numeric_limits<float>::quiet_NaN());
    plan.run(chunk, a.data(), b.data(), buffer.data(), block.columns, scratch.data());
    for (std::int64_t m = 0; m < block.rows; ++m) {
      const float* row = whole.data() + (block.row + m) * s.n + block.column;
      CHECK(std::equal(row, row + block.columns, buffer.data() + m * block.columns));
    }
  }
}

TEST_CASE("matmul: a product large enough for oneDNN, in samples") {
  const MatmulShape s{2048, 2048, 2048};
  const Matrix a(s.m * s.k, 0, 1);
  const Matrix b(s.k * s.n, 0, 2);
  const std::vector<float> c = multiply(s, a.data(), b.data(), 2);
  for (std::int64_t sample = 0; sample < 300; ++sample) {
    const std::int64_t m = sample * 1031 % s.m;
    const std::int64_t n = sample * 773 % s.n;
    double exact = 0;
    for (std::int64_t k = 0; k < s.k; ++k) {
      exact += double{a.data()[m * s.k + k]} * double{b.data()[k * s.n + n]};
    }
    CHECK(std::abs(c[static_cast<std::size_t>(m * s.n + n)] - exact) < 1e-3);
  }
}

TEST_CASE("the measured peak is that of a machine with arithmetic units") {
  ThreadPool pool(1);
  const double peak = chainrule::cpu::peak_gflops(pool);
  CHECK(peak > 0.1);
  CHECK(peak < 1e5);
}
