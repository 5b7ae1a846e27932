// The thread pool: chunks are claimed from one 64-bit ticket, waiting is a bounded spin and then a
// futex (std::atomic::wait).
//
// A late thread is harmless: it reads the job's fields, then claims a chunk by compare-and-swap on
// the ticket that it read before. The claim succeeds only if that very job still has chunks to
// give, and then its fields were not rewritten in between. So nobody waits for threads that never
// came.
#include "backend/threads/thread_pool.h"

#include <chrono>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#include "base/denormals.h"
#include "chainrule/error.h"

namespace chainrule {
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

ThreadPool::ThreadPool(int threads, const StartThread& start) {
  if (threads < 1) {
    throw UsageError("threads: expected at least 1, got " + std::to_string(threads));
  }
  for (int count = threads - 1; !start_workers(count, start);) {
    count = static_cast<int>(workers_.size()) / 2;
    stop_workers();
  }
}

ThreadPool::~ThreadPool() { stop_workers(); }

std::thread ThreadPool::start_thread(std::function<void()> function) {
  return std::thread(std::move(function));
}

// False when the system refused one.
bool ThreadPool::start_workers(int count, const StartThread& start) {
  workers_.reserve(static_cast<std::size_t>(count));
  try {
    for (int worker = 1; worker <= count; ++worker) {
      workers_.push_back(start([this, worker] { serve(worker); }));
    }
  } catch (const std::system_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

void ThreadPool::stop_workers() {
  stop_ = true;
  ++wakes_;
  wakes_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  stop_ = false;
}

void ThreadPool::run_job(const Job& job) {
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

  await_others(static_cast<std::uint32_t>(job.chunks) - work(ticket, 0));
  const std::exception_ptr failure = std::exchange(failure_, nullptr);
  busy_.store(false, std::memory_order_release);
  if (failure) std::rethrow_exception(failure);
}

// Waits until other threads have finished so many chunks.
void ThreadPool::await_others(std::uint32_t chunks) noexcept {
  if (spin_until([&] { return finished_.load(std::memory_order_acquire) == chunks; })) return;
  // Asleep, this core is free for the thread that we wait for.
  caller_sleeps_ = true;
  for (;;) {
    const std::uint32_t finished = finished_.load();
    if (finished == chunks) break;
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
      try {
        call(callable, chunks - left, worker);
      } catch (...) {
        keep_exception(chunks - left);
      }
      ++count;
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }
  return count;
}

// The one of the lowest chunk is kept, whichever thread was first.
void ThreadPool::keep_exception(std::int64_t chunk) noexcept {
  const std::lock_guard lock(failure_mutex_);
  if (failure_ && failed_chunk_ < chunk) return;
  failure_ = std::current_exception();
  failed_chunk_ = chunk;
}

void ThreadPool::serve(int worker) noexcept {
  const DenormalsAsZeros zeros;
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

}  // namespace chainrule
