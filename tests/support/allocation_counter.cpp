// The replaced operator new of the test program. Only the two forms that obtain memory and the
// deletes that match them are replaced; the standard library's other forms call these.
#include "support/allocation_counter.h"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHAINRULE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define CHAINRULE_SANITIZED 1
#endif
#endif

namespace chainrule {
namespace {

std::atomic<std::int64_t>& counter() {
  static constinit std::atomic<std::int64_t> count{0};
  return count;
}

}  // namespace

std::int64_t allocations() { return counter().load(); }

#ifdef CHAINRULE_SANITIZED
const bool kCountsAllocations = false;
}  // namespace chainrule
#else
const bool kCountsAllocations = true;

namespace {

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  counter().fetch_add(1, std::memory_order_relaxed);
  return memory;
}

}  // namespace
}  // namespace chainrule

void* operator new(std::size_t size) {
  return chainrule::counted(std::malloc(size == 0 ? 1 : size));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  // aligned_alloc wants whole multiples of the alignment.
  const std::size_t whole = (size + align - 1) / align * align;
  return chainrule::counted(std::aligned_alloc(align, whole == 0 ? align : whole));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif
