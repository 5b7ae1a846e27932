// chainrule-bench: times one training step of a workload and prints one JSON line.
//
//     chainrule-bench --workload mlp-small --threads 2 --seconds 3
//
// A step is forward, loss, backward and update, float32, on batches that lie in memory.
#include <time.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backend/cpu/simd/peak.h"
#include "chainrule/error.h"
#include "chainrule/program.h"
#include "chainrule/safetensors.h"
#include "workloads.h"

using namespace chainrule;

namespace {

double seconds_on(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
double now() { return seconds_on(CLOCK_MONOTONIC); }

struct Options {
  std::string workload;
  int threads = 1;
  double seconds = 3;
  std::string dump;
  int verify_steps = 0;
};

constexpr const char* kUsage =
    "chainrule-bench --workload NAME [--threads N] [--seconds S] [--dump FILE] [--verify-steps K]";

Options parse(int count, char** arguments) {
  std::map<std::string, std::string> given;
  for (int i = 1; i < count; i += 2) {
    const std::string name = arguments[i];
    const bool known = name == "--workload" || name == "--threads" || name == "--seconds" ||
                       name == "--dump" || name == "--verify-steps";
    if (!known || i + 1 >= count)
      throw UsageError("cannot read \"" + name + "\"; usage: " + kUsage);
    given[name] = arguments[i + 1];
  }
  Options options;
  options.workload = given["--workload"];
  options.dump = given["--dump"];
  if (given.contains("--threads")) options.threads = std::stoi(given["--threads"]);
  if (given.contains("--seconds")) options.seconds = std::stod(given["--seconds"]);
  if (given.contains("--verify-steps")) options.verify_steps = std::stoi(given["--verify-steps"]);
  return options;
}

// A program that walks through the batches in turn.
class Trainer {
 public:
  Trainer(const bench::Workload& workload, std::shared_ptr<ThreadPool> pool)
      : workload_(workload),
        program_(*workload.graph, parameters_of(workload), {std::move(pool), "loss"}),
        step_(program_.input<float>("step").data()),
        loss_(program_.output<float>("loss").data()),
        batches_(workload.x.shape()[0]) {
    bind(0);
  }

  void step() {
    if (batches_ > 1) bind(steps_ % batches_);
    *step_ = static_cast<float>(++steps_);
    if (!program_.run()) throw Error("the loss is not finite at step " + std::to_string(steps_));
  }
  double loss() const { return static_cast<double>(*loss_); }
  std::int64_t steps() const { return steps_; }
  double gflop() const { return program_.flop() * 1e-9; }

 private:
  static std::shared_ptr<Parameters> parameters_of(const bench::Workload& workload) {
    auto parameters = std::make_shared<Parameters>();
    for (const auto& [name, value] : workload.parameters) parameters->set(name, value);
    return parameters;
  }
  void bind(std::int64_t batch) {
    const auto index = static_cast<std::size_t>(batch);
    const auto batches = static_cast<std::size_t>(batches_);
    program_.bind("x", workload_.x.data() + index * (workload_.x.bytes() / batches));
    program_.bind("t", workload_.t.data() + index * (workload_.t.bytes() / batches));
  }

  const bench::Workload& workload_;
  Program program_;
  float* step_;
  const float* loss_;
  std::int64_t batches_;
  std::int64_t steps_ = 0;
};

void dump(const bench::Workload& workload, const std::string& path) {
  TensorMap tensors{{"x", workload.x}, {"t", workload.t}};
  for (const auto& [name, value] : workload.parameters) {
    if (name.find('/') == std::string::npos) tensors.emplace(name, value);  // no optimiser's state
  }
  save_safetensors(path, {tensors.begin(), tensors.end()}, {});
}

// The most memory held. Not getrusage(), whose figure begins at that of the process that started
// us.
double peak_rss_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

double quantile(std::vector<double>& sorted, double q) {
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

nlohmann::ordered_json run(const Options& options, double main_start, double cpu_before_main) {
  const bench::Workload workload = bench::make_workload(options.workload);
  const std::shared_ptr<ThreadPool> pool = make_thread_pool(options.threads);
  Trainer trainer(workload, pool);

  trainer.step();
  const double first_step = cpu_before_main + now() - main_start;
  const double first_loss = trainer.loss();
  std::vector<double> losses{first_loss};
  while (trainer.steps() < options.verify_steps) {
    trainer.step();
    losses.push_back(trainer.loss());
  }
  if (!options.dump.empty()) dump(workload, options.dump);

  // Steps much shorter than the clock's own cost are timed several at once.
  const double warm_until = now() + std::min(0.3, options.seconds / 4);
  const std::int64_t warm_from = trainer.steps();
  const double warm_start = now();
  while (now() < warm_until) trainer.step();
  const double estimate = (now() - warm_start) / static_cast<double>(trainer.steps() - warm_from);
  const int group = std::max(1, static_cast<int>(20e-6 / estimate));

  const double peak_before = cpu::peak_gflops(*pool);
  std::vector<double> times;
  const std::int64_t timed_from = trainer.steps();
  for (const double end = now() + options.seconds; now() < end;) {
    const double start = now();
    for (int i = 0; i < group; ++i) trainer.step();
    times.push_back((now() - start) / group);
  }
  const double peak = (peak_before + cpu::peak_gflops(*pool)) / 2;
  std::sort(times.begin(), times.end());
  const double median = quantile(times, 0.5);

  nlohmann::ordered_json line{{"workload", options.workload},
                              {"threads", options.threads},
                              {"median_us", median * 1e6},
                              {"p10_us", quantile(times, 0.1) * 1e6},
                              {"p90_us", quantile(times, 0.9) * 1e6},
                              {"steps", trainer.steps() - timed_from},
                              {"first_loss", first_loss},
                              {"last_loss", trainer.loss()},
                              {"gflop", trainer.gflop()},
                              {"peak_gflops", peak},
                              {"percent_of_peak", 100 * trainer.gflop() / median / peak},
                              {"peak_rss_mb", peak_rss_mb()},
                              {"first_step_ms", first_step * 1e3}};
  if (options.verify_steps > 0) line["losses"] = losses;
  return line;
}

}  // namespace

int main(int count, char** arguments) {
  // The time from the start of the process to here is spent by the loader, on the processor.
  const double cpu_before_main = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
  const double main_start = now();
  try {
    std::cout << run(parse(count, arguments), main_start, cpu_before_main).dump() << "\n";
  } catch (const UsageError& error) {
    std::cerr << "chainrule-bench: " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "chainrule-bench: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
