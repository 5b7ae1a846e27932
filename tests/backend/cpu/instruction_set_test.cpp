// Which instruction sets a name leaves to choose from; tests/cli/cli_test.py sets the variable.
#include "backend/cpu/simd/instruction_set.h"

#include <doctest/doctest.h>
#include <hwy/targets.h>

#include "chainrule/error.h"
#include "chainrule/program.h"

using namespace chainrule;
using namespace chainrule::cpu;

TEST_CASE("a name leaves its instruction set and what is simpler") {
  constexpr std::int64_t kModern = HWY_AVX3 | HWY_AVX2 | HWY_SSE4 | HWY_SCALAR;
  CHECK(targets_for("avx512", kModern) == kModern);
  CHECK(targets_for("avx2", kModern) == (HWY_AVX2 | HWY_SSE4 | HWY_SCALAR));
  CHECK(targets_for("sse4", kModern) == (HWY_SSE4 | HWY_SCALAR));
  CHECK(targets_for("plain", kModern) == HWY_SCALAR);
  CHECK(targets_for("plain", HWY_SSE4 | HWY_EMU128) == HWY_EMU128);
  CHECK(targets_for("neon", HWY_NEON) == HWY_NEON);
  CHECK(name_of_best(kModern) == "avx512");
  CHECK(name_of_best(HWY_SSE4 | HWY_SCALAR) == "sse4");
}

TEST_CASE("a name that is unknown, or that the machine lacks, is refused") {
  CHECK_THROWS_WITH_AS(targets_for("avx3", HWY_AVX2 | HWY_SSE4 | HWY_SCALAR),
                       "CHAINRULE_SIMD: expected one of avx2, sse4, plain, got \"avx3\"",
                       UsageError);
  CHECK_THROWS_WITH_AS(targets_for("avx512", HWY_AVX2 | HWY_SCALAR),
                       "CHAINRULE_SIMD: this machine has no avx512; it has avx2, plain",
                       UsageError);
}

TEST_CASE("the instruction set that is chosen is the best that kernels were compiled for") {
  CHECK(instruction_set() == name_of_best(hwy::SupportedTargets() & HWY_TARGETS));
}
