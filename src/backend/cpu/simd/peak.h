// What the machine could do at most: the yardstick for the benchmarks.
#pragma once

#include "backend/threads/thread_pool.h"

namespace chainrule::cpu {

/// Billions of float32 operations a second (a multiplication and an addition count as two) that all
/// threads of the pool reach together with nothing but multiply-adds in registers: the best of
/// several rounds, 30 ms in all.
double peak_gflops(ThreadPool& pool);

}  // namespace chainrule::cpu
