// The adapter for oneDNN 2.6 by its C interface. Its functions are found at run time under the
// types that its header declares, so a change of interface is a compile error here and nowhere
// else.
#include "backend/cpu/onednn.h"

#include <dlfcn.h>
#include <dnnl.h>

#include "chainrule/error.h"

namespace chainrule::cpu {
namespace {

struct Library {
  decltype(&dnnl_sgemm) sgemm = nullptr;
  void (*omp_set_num_threads)(int) = nullptr;  // of the OpenMP library that oneDNN brings along
};

template <typename Function>
void find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(handle, name));
}

// Never unloaded: OpenMP's threads and the generated code outlive any one product.
const Library& library() {
  static const Library kLibrary = [] {
    Library found;
    void* handle = dlopen("libdnnl.so.2", RTLD_LAZY | RTLD_LOCAL);
    if (handle == nullptr) return found;
    find(handle, "dnnl_sgemm", found.sgemm);
    find(handle, "omp_set_num_threads", found.omp_set_num_threads);
    return found;
  }();
  return kLibrary;
}

}  // namespace

bool onednn_available() { return library().sgemm != nullptr; }

void onednn_sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                  std::int64_t k, const float* a, std::int64_t lda, const float* b,
                  std::int64_t ldb, float* c, std::int64_t ldc) {
  if (!onednn_available())
    throw Error("oneDNN is not on this machine; ask onednn_available() first");
  // OpenMP keeps this number for each calling thread. Our pool has cut the work already.
  thread_local const bool kAlone = [] {
    if (library().omp_set_num_threads != nullptr) library().omp_set_num_threads(1);
    return true;
  }();
  static_cast<void>(kAlone);
  library().sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0F, a, lda, b, ldb,
                  0.0F, c, ldc);
}

}  // namespace chainrule::cpu
