// The adapter for oneDNN 2 and 3 by its C interface, which is found at run time: neither building
// nor running needs the library.
#include "backend/cpu/kernels/onednn.h"

#include <dlfcn.h>

#include <initializer_list>

#include "chainrule/error.h"

#if __has_include(<dnnl.h>)
#include <dnnl.h>

#include <type_traits>
#endif

namespace chainrule::cpu {
namespace {

// dnnl_sgemm, c = alpha·op(a)·op(b) + beta·c; what it returns is an enumeration of C, so an int.
using Sgemm = int(char transa, char transb, std::int64_t m, std::int64_t n, std::int64_t k,
                  float alpha, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                  float beta, float* c, std::int64_t ldc);

#if __has_include(<dnnl.h>)
// Where the header is at hand, a change of interface is a compile error.
static_assert(std::is_same_v<decltype(dnnl_sgemm),
                             dnnl_status_t(char, char, dnnl_dim_t, dnnl_dim_t, dnnl_dim_t, float,
                                           const float*, dnnl_dim_t, const float*, dnnl_dim_t,
                                           float, float*, dnnl_dim_t)>);
static_assert(std::is_same_v<dnnl_dim_t, std::int64_t> && sizeof(dnnl_status_t) == sizeof(int));
#endif

struct Library {
  Sgemm* sgemm = nullptr;
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
    // The second is Debian 13's name.
    for (const char* name : {"libdnnl.so.3", "libdnnl.so.3.6", "libdnnl.so.2"}) {
      void* handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
      if (handle == nullptr) continue;
      find(handle, "dnnl_sgemm", found.sgemm);
      find(handle, "omp_set_num_threads", found.omp_set_num_threads);
      if (found.sgemm != nullptr) break;
    }
    return found;
  }();
  return kLibrary;
}

}  // namespace

void plain_sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                 const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float* c,
                 std::int64_t ldc) {
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t l = 0; l < k; ++l) {
        sum += double{transpose_a ? a[l * lda + i] : a[i * lda + l]} *
               double{transpose_b ? b[j * ldb + l] : b[l * ldb + j]};
      }
      c[i * ldc + j] = static_cast<float>(sum);
    }
  }
}

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
  const int status = library().sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k,
                                     1.0F, a, lda, b, ldb, 0.0F, c, ldc);
  if (status != 0) plain_sgemm(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, c, ldc);
}

}  // namespace chainrule::cpu
