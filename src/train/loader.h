// Where a step's rows come from: copied as they are, or varied by augmentation on a thread that is
// one batch ahead. What a batch holds depends on (seed, epoch, rows) alone, never on that thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "chainrule/data.h"
#include "chainrule/images.h"

namespace chainrule {

class Loader {
 public:
  /// `data` and `augmentation` outlive the loader. There is a thread only with an augmentation,
  /// and only where the system gives one.
  ///
  /// throws  UsageError when there is one and the data are no images.
  Loader(const Tensor& data, const Augmentation& augmentation, std::uint64_t seed);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Writes a batch of rows to `to`. The next call of ahead() may be for another batch.
  void load(std::span<const std::int64_t> rows, std::uint32_t epoch, std::span<std::byte> to);

  /// Begins to prepare a batch, which the next load() will ask for.
  ///
  /// requires  no batch is being prepared.
  void ahead(std::span<const std::int64_t> rows, std::uint32_t epoch);

 private:
  struct Batch {
    std::vector<std::int64_t> rows;
    std::uint32_t epoch = 0;
    std::vector<std::byte> bytes;
  };
  enum class State { kIdle, kAsked, kReady, kStop };

  bool varies() const { return !augmentation_.empty(); }
  void fill(std::span<const std::int64_t> rows, std::uint32_t epoch, std::span<std::byte> to) const;
  void work();

  const Tensor& data_;
  const Augmentation& augmentation_;
  std::uint64_t seed_;
  Shape example_;
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kIdle;
  Batch batch_;  // the thread's while asked, the caller's otherwise
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace chainrule
