#include "backend/threads/thread_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "chainrule/error.h"

using chainrule::ThreadPool;
using chainrule::UsageError;

TEST_CASE("every chunk runs once, whatever the numbers of chunks and threads") {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const std::int64_t chunks : {0, 1, 2, 3, 7, 1000}) {
      std::vector<int> runs(static_cast<std::size_t>(chunks), 0);
      bool workers_valid = true;
      pool.run(chunks, [&](std::int64_t chunk, int worker) {
        ++runs[static_cast<std::size_t>(chunk)];
        if (worker < 0 || worker >= threads) workers_valid = false;
      });
      CHECK(runs == std::vector<int>(static_cast<std::size_t>(chunks), 1));
      CHECK(workers_valid);
    }
  }
}

TEST_CASE("what one job writes the next one reads, over many tiny jobs") {
  for (const int threads : {2, 5}) {
    ThreadPool pool(threads);
    std::vector<std::int64_t> values(8, 0);
    constexpr std::int64_t kJobs = 20'000;
    for (std::int64_t job = 0; job < kJobs; ++job) {
      const auto chunks = static_cast<std::int64_t>(values.size()) - job % 3;
      pool.run(chunks, [&](std::int64_t chunk, int) {
        auto& value = values[static_cast<std::size_t>(chunk)];
        if (value <= job) ++value;
      });
    }
    for (std::size_t i = 0; i < 6; ++i) CHECK(values[i] == kJobs);
  }
}

TEST_CASE("two chunks at the same time never share a worker") {
  ThreadPool pool(5);
  std::vector<int> busy(5, 0);
  bool shared = false;
  for (int job = 0; job < 200; ++job) {
    pool.run(50, [&](std::int64_t, int worker) {
      int& mine = busy[static_cast<std::size_t>(worker)];
      if (++mine != 1) shared = true;
      --mine;
    });
  }
  CHECK_FALSE(shared);
}

TEST_CASE("threads that have gone to sleep wake for the next job") {
  ThreadPool pool(3);
  for (int job = 0; job < 5; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    // No chunk ends before all have begun, or the sleepers have had half a minute to come.
    std::atomic<int> begun{0};
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    pool.run(3, [&](std::int64_t, int) {
      ++begun;
      while (begun < 3 && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    CHECK(std::chrono::steady_clock::now() < end);
  }
}

TEST_CASE("a pool needs a thread") {
  CHECK_THROWS_WITH_AS(ThreadPool(0), "threads: expected at least 1, got 0", UsageError);
}

TEST_CASE("several threads may use one pool at the same time") {
  ThreadPool pool(3);
  constexpr std::size_t kUsers = 4;
  std::vector<std::vector<int>> counts(kUsers, std::vector<int>(40, 0));
  std::vector<std::thread> users;
  for (std::vector<int>& own : counts) {
    users.emplace_back([&pool, &own] {
      for (int job = 0; job < 3000; ++job) {
        pool.run(40, [&](std::int64_t chunk, int) { ++own[static_cast<std::size_t>(chunk)]; });
      }
    });
  }
  for (std::thread& user : users) user.join();
  for (const std::vector<int>& own : counts) CHECK(own == std::vector<int>(40, 3000));
}

TEST_CASE("what a chunk throws comes out of run, that of the first such chunk") {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (int job = 0; job < 20; ++job) {
      CHECK_THROWS_WITH_AS(pool.run(100,
                                    [](std::int64_t chunk, int) {
                                      if (chunk % 10 != 7) return;
                                      throw std::runtime_error("chunk " + std::to_string(chunk));
                                    }),
                           "chunk 7", std::runtime_error);
      std::vector<int> runs(100, 0);
      pool.run(100, [&](std::int64_t chunk, int) { ++runs[static_cast<std::size_t>(chunk)]; });
      CHECK(runs == std::vector<int>(100, 1));
    }
  }
}

TEST_CASE("where the system refuses a thread, half of those that it gave do the work") {
  for (const int given : {0, 1, 6}) {
    int left = given;
    const auto start = [&](std::function<void()> function) {
      if (left-- == 0) {
        left = 100;  // those before will have ended
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
      }
      return std::thread(std::move(function));
    };
    ThreadPool pool(9, start);
    CHECK(pool.threads() == 1 + given / 2);
    std::vector<int> runs(100, 0);
    pool.run(100, [&](std::int64_t chunk, int) { ++runs[static_cast<std::size_t>(chunk)]; });
    CHECK(runs == std::vector<int>(100, 1));
  }
}
