// The thread pool: chunks are claimed from one 64-bit ticket, waiting is a bounded spin and then a
// futex (std::atomic::wait).
//
// A late thread is harmless: it reads the job's fields, then claims a chunk by compare-and-swap on
// the ticket that it read before. The claim succeeds only if that very job still has chunks to
// give, and then its fields were not rewritten in between. So nobody waits for threads that never
// came.
#include "backend/cpu/thread_pool.h"

#include <chrono>
#include <string>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "chainrule/error.h"

namespace chainrule::cpu {
namespace {

// Longer than the pause between two products of one training step, far shorter than the time slice
// that a spinning thread would take from a neighbour.
constexpr std::chrono::microseconds kSpin{50};

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until ready() or kSpin has passed; tells whether ready() came true.
template <typename Ready>
bool spin_until(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

constexpr std::uint64_t kChunksLeft = 0xFFFFFFFF;

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads < 1) {
    throw UsageError("threads: expected at least 1, got " + std::to_string(threads));
  }
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  for (int worker = 1; worker < threads; ++worker) {
    workers_.emplace_back([this, worker] { serve(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  ++wakes_;
  wakes_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_job(const Job& job) noexcept {
  call_.store(job.call, std::memory_order_relaxed);
  callable_.store(job.callable, std::memory_order_relaxed);
  chunks_.store(job.chunks, std::memory_order_relaxed);
  finished_.store(0, std::memory_order_relaxed);
  const std::uint64_t number = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  const std::uint64_t ticket = number << 32 | static_cast<std::uint64_t>(job.chunks);
  // Sequentially consistent, with the counterpart in await_work(): either we see the sleeper or it
  // sees the ticket.
  ticket_.store(ticket);
  if (sleepers_.load() > 0) {
    ++wakes_;
    wakes_.notify_all();
  }

  const std::uint32_t others = static_cast<std::uint32_t>(job.chunks) - work(ticket, 0);
  const auto all_finished = [&] { return finished_.load(std::memory_order_acquire) == others; };
  if (spin_until(all_finished)) return;
  // Asleep, this core is free for the thread that we wait for.
  caller_sleeps_ = true;
  for (;;) {
    const std::uint32_t finished = finished_.load();
    if (finished == others) break;
    finished_.wait(finished);
  }
  caller_sleeps_ = false;
}

// Runs chunks of the ticket's job while there are any; returns how many.
std::uint32_t ThreadPool::work(std::uint64_t ticket, int worker) noexcept {
  const std::uint64_t number = ticket >> 32;
  std::uint32_t count = 0;
  while (ticket >> 32 == number && (ticket & kChunksLeft) > 0) {
    auto* const call = call_.load(std::memory_order_relaxed);
    void* const callable = callable_.load(std::memory_order_relaxed);
    const std::int64_t chunks = chunks_.load(std::memory_order_relaxed);
    const auto left = static_cast<std::int64_t>(ticket & kChunksLeft);
    if (ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      call(callable, chunks - left, worker);
      ++count;
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }
  return count;
}

void ThreadPool::serve(int worker) noexcept {
  for (;;) {
    const std::uint64_t ticket = await_work();
    if (stop_.load(std::memory_order_relaxed)) return;
    const std::uint32_t count = work(ticket, worker);
    if (count == 0) continue;
    finished_.fetch_add(count);
    if (caller_sleeps_.load()) finished_.notify_one();
  }
}

// Waits until there is a chunk to take, or the pool stops; returns the ticket then seen.
std::uint64_t ThreadPool::await_work() noexcept {
  std::uint64_t ticket = 0;
  const auto ready = [&] {
    ticket = ticket_.load();
    return (ticket & kChunksLeft) > 0 || stop_.load(std::memory_order_relaxed);
  };
  while (!spin_until(ready)) {
    ++sleepers_;
    const std::uint32_t wakes = wakes_.load();
    if (!ready()) wakes_.wait(wakes);
    --sleepers_;
  }
  return ticket;
}

}  // namespace chainrule::cpu
