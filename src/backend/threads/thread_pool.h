// The one thread pool. Work is cut into chunks by the caller, never by the number of threads, and
// threads take chunks from one counter, so that a thread that a busy neighbour slows down simply
// takes fewer.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace chainrule {

/// A fixed set of threads that run the chunks of one job at a time.
///
/// Which thread runs a chunk is not determined; a chunk's result must not depend on it. The caller
/// takes part, and waits only for chunks that another thread has begun, never for a thread to wake.
/// Idle threads spin for some tens of microseconds and then sleep. The pool's own threads take
/// denormals as zeros, as a Program's caller does.
///
/// Any number of threads may call run() at the same time: who finds the pool at work for another
/// runs its chunks alone, on its own thread.
///
/// Example:  ThreadPool pool(4);
///           pool.run(100, [&](std::int64_t chunk, int worker) { y[chunk] = f(chunk); });
class ThreadPool {
 public:
  /// Starts a thread that calls the function.  throws  std::system_error where there is none left.
  using StartThread = std::function<std::thread(std::function<void()>)>;

  /// Starts threads - 1 threads; the caller of run() is the other one. Where the system refuses
  /// one, half as many as it gave are kept, so that it is not left at its limit: see threads().
  ///
  /// throws  UsageError if threads < 1.
  explicit ThreadPool(int threads, const StartThread& start = start_thread);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// How many threads run chunks, the caller of run() included.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls f(chunk, worker) once for every chunk in [0, chunks) and returns when all have finished;
  /// worker in [0, threads()) tells apart the chunks of this call that run at the same time, 0 is
  /// the caller.
  ///
  /// requires  0 ≤ chunks < 2³²; not called from f.
  /// throws    what f throws, for the first such chunk; others may not have run then.
  template <typename F>
  void run(std::int64_t chunks, F&& f) {
    if (chunks <= 1 || workers_.empty() || busy_.exchange(true, std::memory_order_acquire)) {
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

  static std::thread start_thread(std::function<void()> function);
  bool start_workers(int count, const StartThread& start);
  void stop_workers();

  void run_job(const Job& job);
  std::uint32_t work(std::uint64_t ticket, int worker) noexcept;
  void await_others(std::uint32_t chunks) noexcept;
  void keep_exception(std::int64_t chunk) noexcept;
  void serve(int worker) noexcept;
  std::uint64_t await_work() noexcept;

  std::atomic<bool> busy_{false};  // with somebody's job

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

  std::mutex failure_mutex_;
  std::exception_ptr failure_;  // of this job's first chunk that threw
  std::int64_t failed_chunk_ = 0;

  std::vector<std::thread> workers_;
};

}  // namespace chainrule
