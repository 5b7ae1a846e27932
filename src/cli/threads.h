// The threads of --threads.
#pragma once

#include <memory>

#include "chainrule/program.h"

namespace chainrule::cli {

/// So many threads, 0 for one a core; says on stderr when the system gives fewer.
std::shared_ptr<ThreadPool> threads_for(int wanted);

}  // namespace chainrule::cli
