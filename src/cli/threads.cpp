#include "cli/threads.h"

#include <algorithm>
#include <cstdio>
#include <thread>

namespace chainrule::cli {

std::shared_ptr<ThreadPool> threads_for(int wanted) {
  std::shared_ptr<ThreadPool> threads = make_thread_pool(wanted);
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int expected = wanted == 0 ? cores : wanted;
  const int given = thread_count(*threads);
  if (given < expected) {
    std::fprintf(stderr, "chainrule: the system refused some of %d threads; working with %d\n",
                 expected, given);
  }
  return threads;
}

}  // namespace chainrule::cli
