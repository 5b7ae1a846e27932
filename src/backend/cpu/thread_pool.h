// The one thread pool. Work is cut into chunks by the caller, never by the number of threads, and
// threads take chunks from one counter, so that a thread that a busy neighbour slows down simply
// takes fewer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace chainrule::cpu {

/// A fixed set of threads that run the chunks of one job at a time.
///
/// Which thread runs a chunk is not determined; a chunk's result must not depend on it. The caller
/// takes part, and waits only for chunks that another thread has begun, never for a thread to wake.
/// Idle threads spin for some tens of microseconds and then sleep.
///
/// Example:  ThreadPool pool(4);
///           pool.run(100, [&](std::int64_t chunk, int worker) { y[chunk] = f(chunk); });
class ThreadPool {
 public:
  /// Starts threads - 1 threads; the caller of run() is the other one.
  ///
  /// throws  UsageError if threads < 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// How many threads run chunks, the caller of run() included.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls f(chunk, worker) once for every chunk in [0, chunks) and returns when all have finished;
  /// worker in [0, threads()) tells apart the chunks that run at the same time, 0 is the caller.
  ///
  /// requires  0 ≤ chunks < 2³²; f throws nothing; called from one thread at a time, not from f.
  template <typename F>
  void run(std::int64_t chunks, F&& f) noexcept {
    if (chunks <= 1 || workers_.empty()) {
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) f(chunk, 0);
      return;
    }
    using Callable = std::remove_reference_t<F>;
    run_job({[](void* callable, std::int64_t chunk, int worker) {
               (*static_cast<Callable*>(callable))(chunk, worker);
             },
             const_cast<std::remove_const_t<Callable>*>(std::addressof(f)), chunks});
  }

 private:
  struct Job {
    void (*call)(void* callable, std::int64_t chunk, int worker);
    void* callable;
    std::int64_t chunks;
  };

  void run_job(const Job& job) noexcept;
  std::uint32_t work(std::uint64_t ticket, int worker) noexcept;
  void serve(int worker) noexcept;
  std::uint64_t await_work() noexcept;

  // The number of the job in the high half, chunks not yet begun in the low half: a chunk is taken
  // by decrementing it, which fails for a thread that still looks at an earlier job.
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  std::atomic<void (*)(void*, std::int64_t, int)> call_{nullptr};
  std::atomic<void*> callable_{nullptr};
  std::atomic<std::int64_t> chunks_{0};

  alignas(64) std::atomic<std::uint32_t> finished_{0};  // chunks of this job that others finished
  std::atomic<bool> caller_sleeps_{false};

  alignas(64) std::atomic<std::uint32_t> wakes_{0};  // changes when sleepers must look again
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};

  std::vector<std::thread> workers_;
};

}  // namespace chainrule::cpu
