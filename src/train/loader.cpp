// One batch is handed over at a time: asked for, prepared, taken.
#include "train/loader.h"

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

#include "chainrule/error.h"

namespace chainrule {

Loader::Loader(const Tensor& data, const Augmentation& augmentation, std::uint64_t seed)
    : data_(data),
      augmentation_(augmentation),
      seed_(seed),
      example_(data.shape().begin() + 1, data.shape().end()) {
  if (!varies()) return;
  if (example_.size() != 3 || data.dtype() != DType::kF32) {
    throw UsageError("augmentation (" + augmentation.to_text() +
                     ") is for images [H, W, C]; the data's rows are " + to_string(example_));
  }
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    // Without it load() makes every batch itself.
  }
}

Loader::~Loader() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    state_ = State::kStop;
  }
  changed_.notify_all();
  thread_.join();
}

void Loader::fill(std::span<const std::int64_t> rows, std::uint32_t epoch,
                  std::span<std::byte> to) const {
  gather_rows(data_, rows, to);
  if (!varies()) return;
  const auto pixels = static_cast<std::size_t>(element_count(example_));
  auto* images = reinterpret_cast<float*>(to.data());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    augmentation_.apply({images + i * pixels, pixels}, example_, seed_, epoch, rows[i]);
  }
}

void Loader::load(std::span<const std::int64_t> rows, std::uint32_t epoch,
                  std::span<std::byte> to) {
  if (!varies()) return fill(rows, epoch, to);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return state_ != State::kAsked; });
  const bool ready = state_ == State::kReady && batch_.epoch == epoch &&
                     std::equal(rows.begin(), rows.end(), batch_.rows.begin(), batch_.rows.end());
  state_ = State::kIdle;
  if (!ready) return fill(rows, epoch, to);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  std::memcpy(to.data(), batch_.bytes.data(), to.size());
}

void Loader::ahead(std::span<const std::int64_t> rows, std::uint32_t epoch) {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    batch_.rows.assign(rows.begin(), rows.end());
    batch_.epoch = epoch;
    failure_ = nullptr;
    batch_.bytes.resize(rows.size() * static_cast<std::size_t>(element_count(example_)) *
                        sizeof(float));
    state_ = State::kAsked;
  }
  changed_.notify_all();
}

void Loader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return state_ == State::kAsked || state_ == State::kStop; });
    if (state_ == State::kStop) return;
    lock.unlock();
    try {
      fill(batch_.rows, batch_.epoch, batch_.bytes);
    } catch (...) {
      failure_ = std::current_exception();
    }
    lock.lock();
    if (state_ == State::kStop) return;
    state_ = State::kReady;
    changed_.notify_all();
  }
}

}  // namespace chainrule
