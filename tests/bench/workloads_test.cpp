// The networks of chainrule-bench, as large as they are measured: a step must give the same bits
// on any number of threads.
#include "workloads.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "chainrule/program.h"
#include "support/allocation_counter.h"

using namespace chainrule;

namespace {

struct Run {
  TensorMap parameters;
  double gflop = 0;  // of one step
};

// A few steps, fewer of the larger networks; none where one step would take too long.
Run run(const bench::Workload& workload, int threads, double most_gflop) {
  const auto parameters = std::make_shared<Parameters>();
  for (const auto& [name, value] : workload.parameters) parameters->set(name, value);
  Program program(*workload.graph, parameters,
                  {.threads = make_thread_pool(threads), .guard = "loss"});
  const double gflop = program.flop() * 1e-9;
  const auto batches = static_cast<std::size_t>(workload.x.shape()[0]);
  const std::int64_t steps = gflop > most_gflop ? 0 : gflop > 10 ? 1 : 3;
  for (std::int64_t step = 1; step <= steps; ++step) {
    const std::size_t batch = static_cast<std::size_t>(step) % batches;
    program.bind("x", workload.x.data() + batch * (workload.x.bytes() / batches));
    program.bind("t", workload.t.data() + batch * (workload.t.bytes() / batches));
    program.input<float>("step")[0] = static_cast<float>(step);
    REQUIRE(program.run());
  }
  return {parameters->tensors(), gflop};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

}  // namespace

TEST_CASE("every workload of the benchmark gives the same bits on 1, 2 and 5 threads") {
  REQUIRE(bench::workload_names().size() >= 6);
  // The sanitizers make a step some thirty times as long, and look for other things.
  const double most_gflop = kCountsAllocations ? 1e9 : 2;
  for (const std::string& name : bench::workload_names()) {
    CAPTURE(name);
    const bench::Workload workload = bench::make_workload(name);
    const Run one = run(workload, 1, most_gflop);
    if (one.gflop > most_gflop) continue;
    for (const int threads : {2, 5}) {
      CAPTURE(threads);
      const Run more = run(workload, threads, most_gflop);
      REQUIRE(more.parameters.size() == one.parameters.size());
      std::size_t changed = 0;
      for (const auto& entry : one.parameters) {
        const std::string& parameter = entry.first;
        const Tensor& value = entry.second;
        CAPTURE(parameter);
        CHECK(same_bits(value, more.parameters.at(parameter)));
        changed += same_bits(value, workload.parameters.at(parameter)) ? 0 : 1;
      }
      CHECK(changed == one.parameters.size());
    }
  }
}
