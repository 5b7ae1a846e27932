#include "base/denormals.h"

#include <doctest/doctest.h>

#include "chainrule/ops.h"
#include "chainrule/program.h"

using namespace chainrule;

namespace {

float half(float x) {
  volatile float v = x;
  v = v * 0.5F;
  return v;
}

constexpr float kLeastNormal = 0x1p-126F;

}  // namespace

#if defined(__x86_64__) || defined(__aarch64__)

TEST_CASE("denormals are zeros for as long as the object lives") {
  REQUIRE(half(kLeastNormal) == 0x1p-127F);
  {
    const DenormalsAsZeros zeros;
    CHECK(half(kLeastNormal) == 0.0F);
    {
      const DenormalsAsZeros inner;
      CHECK(half(kLeastNormal) == 0.0F);
    }
    CHECK(half(kLeastNormal) == 0.0F);
  }
  CHECK(half(kLeastNormal) == 0x1p-127F);
}

TEST_CASE("a program makes no denormals on any thread, and its caller's mode comes back") {
  constexpr std::int64_t kSize = 200'000;  // more than one chunk
  for (const int threads : {1, 2, 5}) {
    Graph graph("decay");
    const Value moment = graph.parameter("moment", {DType::kF32, {kSize}});
    graph.update(moment, 0.5 * moment);
    auto parameters = std::make_shared<Parameters>();
    parameters->set("moment", Tensor::of<float>({kSize}, std::vector<float>(kSize, kLeastNormal)));
    Program program(graph, parameters, {.threads = make_thread_pool(threads), .guard = {}});
    program.run();
    int zeros = 0;
    for (const float v : parameters->at("moment").values<float>()) zeros += v == 0.0F ? 1 : 0;
    CHECK(zeros == kSize);
    CHECK(half(kLeastNormal) == 0x1p-127F);
  }
}

#endif
